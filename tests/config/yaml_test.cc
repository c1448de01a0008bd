#include "noregret/config/yaml.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>

#include "noregret/base/file.h"
#include "noregret/base/rng.h"
#include "tests/support/scratch.h"

namespace noregret {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

Json json_of(const std::string& text) { return parse_yaml(text, "c.yaml").to_json(); }

std::string error_in(const std::string& text) {
  return message_of<ConfigError>([&] { parse_yaml(text, "c.yaml"); });
}

// Neither a tree nor a ConfigError would end the test program.
bool is_read(const std::string& text) {
  try {
    parse_yaml(text, "c.yaml");
    return true;
  } catch (const ConfigError& e) {
    EXPECT_THAT(e.what(), StartsWith("c.yaml"));
    return false;
  }
}

// --- What is read

TEST(ParseYaml, KeepsTheOrderOfKeys) { EXPECT_EQ(json_of("b: 1\na: 2\nc: 3\n").dump(), R"({"b":1,"a":2,"c":3})"); }

TEST(ParseYaml, ReadsBlockAndFlowAlike) {
  EXPECT_EQ(json_of("a:\n  - b: 1\n    c: x\n  - []\nd: {}\n"), json_of("{a: [{b: 1, c: x}, []], d: {}}"));
}

TEST(ParseYaml, AQuotedNumberIsText) {
  EXPECT_EQ(json_of("{a: 5, b: '5', c: \"5\", d: 1e3, e: '1e3', f: true, g: 'true'}").dump(),
            R"({"a":5,"b":"5","c":"5","d":1000.0,"e":"1e3","f":true,"g":"true"})");
}

TEST(ParseYaml, ABlockTextIsTextWhateverItLooksLike) {
  EXPECT_EQ(json_of("a: |-\n  5\nb: >-\n  1\n  2\n").dump(), R"({"a":"5","b":"1 2"})");
}

TEST(ParseYaml, EmptyTildeAndNullAreNull) {
  for (const std::string text : {"a:", "a: ", "a: ~", "a: null", "a: Null", "a: NULL", "a: # nothing", "{a: }"}) {
    EXPECT_EQ(json_of(text).dump(), R"({"a":null})") << text;
  }
}

TEST(ParseYaml, WordsThatOnlyLookLikeNullAreText) {
  EXPECT_EQ(json_of("[nUll, none, nil, '~', 'null', \"\"]").dump(), R"(["nUll","none","nil","~","null",""])");
}

TEST(ParseYaml, YesAndOnAreText) { EXPECT_EQ(json_of("[yes, on, True]").dump(), R"(["yes","on","True"])"); }

TEST(ParseYaml, AnEmptyTextIsNullInTheFile) {
  for (const std::string text : {"", "\n\n", "# only a comment\n", "---\n", "   "}) {
    const Node root = parse_yaml(text, "c.yaml");
    EXPECT_EQ(root.kind, Node::Kind::kNull) << text;
    EXPECT_EQ(root.location.file, "c.yaml") << text;
  }
}

TEST(ParseYaml, LineEndsOfWindowsAreLineEnds) {
  EXPECT_EQ(json_of("a: x\r\nb:\r\n  - y\r\n"), json_of("a: x\nb:\n  - y\n"));
}

TEST(ParseYaml, AByteOrderMarkIsPassedOver) {
  EXPECT_EQ(json_of("\xef\xbb\xbf"
                    "a: 1\n")
                .dump(),
            R"({"a":1})");
}

TEST(ParseYaml, OneMarkedDocumentIsFine) { EXPECT_EQ(json_of("%YAML 1.2\n---\na: 1\n...\n").dump(), R"({"a":1})"); }

TEST(ParseYaml, ReadsCharactersBeyondAscii) {
  EXPECT_EQ(json_of("\xc3\xbc: \xe4\xb8\xad # \xf0\x9f\x98\x80").dump(), "{\"\xc3\xbc\":\"\xe4\xb8\xad\"}");
}

TEST(ParseYaml, AValueIsLocatedAtItsKey) {
  const Node root = parse_yaml("a: 1\nb:\n    c:\n      - x\n      - y\n    d:\ne: 1\n", "c.yaml");
  EXPECT_EQ(root.find("a")->location.str(), "c.yaml:1:1");
  EXPECT_EQ(root.find("b")->location.str(), "c.yaml:2:1");
  EXPECT_EQ(root.find("b")->find("c")->location.str(), "c.yaml:3:5");
  EXPECT_EQ(root.find("b")->find("c")->list[1].location.str(), "c.yaml:5:9");
  EXPECT_EQ(root.find("b")->find("d")->location.str(), "c.yaml:6:5");  // not where the next key is
}

TEST(ParseYaml, ABulkOfKeysIsReadInLinearTime) {
  std::string text;
  for (int i = 0; i < 100000; ++i) text += std::to_string(i) + ": 1\n";
  const auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(parse_yaml(text, "c.yaml").map.size(), 100000u);
  // 0.3 s; comparing each key with those before it takes 5e9 comparisons, about a minute.
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(10));
}

// --- What is refused

TEST(ParseYaml, RefusesADuplicateKeyAtEachLevel) {
  EXPECT_EQ(error_in("a: 1\nb: 2\na: 3\n"), "c.yaml:3:1: key 'a' is there twice");
  EXPECT_EQ(error_in("a:\n  b: 1\n  'b': 2\n"), "c.yaml:3:3: key 'b' is there twice");
  EXPECT_EQ(error_in("a:\n  - {b: 1, b: 2}\n"), "c.yaml:2:12: key 'b' is there twice");
}

TEST(ParseYaml, TheSameKeyInTwoMapsIsNoDuplicate) { EXPECT_TRUE(is_read("a: {b: 1}\nb: {a: 1, b: 2}\n")); }

TEST(ParseYaml, RefusesAnchors) {
  for (const std::string text : {"a: &x 1", "a: &x [1]", "a: &x {b: 1}", "&x a: 1", "a: &x\n"}) {
    EXPECT_THAT(error_in(text), HasSubstr("anchors (&name) are not allowed")) << text;
  }
  EXPECT_THAT(error_in("b: 1\na: &x 1"), StartsWith("c.yaml:2:4: "));
}

TEST(ParseYaml, RefusesAnAnchorThatHoldsItself) { EXPECT_THAT(error_in("a: &x [*x]"), HasSubstr("anchors")); }

TEST(ParseYaml, RefusesAliases) { EXPECT_THAT(error_in("a: *x"), StartsWith("c.yaml:1:4: ")); }

TEST(ParseYaml, RefusesAliasBombs) {
  std::string bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 9; ++i) {
    const std::string last = "*a" + std::to_string(i - 1);
    bomb += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [" + last + ", " + last + ", " + last + "]\n";
  }
  EXPECT_THAT(error_in(bomb), StartsWith("c.yaml:1:5: anchors"));
}

TEST(ParseYaml, RefusesTags) {
  for (const std::string text : {"a: !foo b", "a: !!str 5", "a: !!int '5'", "a: !<x> b", "a: ! b", "a: !", "a: ! 'b'",
                                 "a: !x [b]", "a: ! {b: 1}", "\xc3\xbc: ! b", "!!map {a: 1}"}) {
    EXPECT_THAT(error_in(text), HasSubstr("are not allowed")) << text;
  }
  EXPECT_THAT(error_in("a: !foo b"), StartsWith("c.yaml:1:4: tags ('!foo')"));
}

TEST(ParseYaml, AnExclamationMarkInATextIsNoTag) {
  EXPECT_EQ(json_of("\xef\xbb\xbf"
                    "a: '!b'\nb: \"! c\"\nc: d!\ne: |-\n  !f\n")
                .dump(),
            R"({"a":"!b","b":"! c","c":"d!","e":"!f"})");
}

TEST(ParseYaml, AMergeKeyIsAKeyLikeAnyOther) { EXPECT_EQ(json_of("<<: {a: 1}").dump(), R"({"<<":{"a":1}})"); }

TEST(ParseYaml, RefusesASecondDocument) {
  for (const std::string text :
       {"a: 1\n---\na: 1\n", "--- a\n--- b\n", "a: 1\n...\nb\n", "---\n---\n", "[1]x", "'a' 'b'"}) {
    EXPECT_THAT(error_in(text), HasSubstr("a second document, or text after the end of the first")) << text;
  }
  EXPECT_THAT(error_in("a: 1\n---\nb: 1\n"), StartsWith("c.yaml:2:1: "));
}

TEST(ParseYaml, RefusesThirtyThreeLevels) {
  const auto nested = [](int levels, char open, char close) {
    return std::string(static_cast<size_t>(levels), open) + std::string(static_cast<size_t>(levels), close);
  };
  EXPECT_TRUE(is_read(nested(32, '[', ']')));
  EXPECT_THAT(error_in(nested(33, '[', ']')), HasSubstr("nested deeper than 32 levels"));
  EXPECT_FALSE(is_read(std::string(100000, '[')));
  std::string block;
  for (size_t i = 0; i < 40; ++i) block += std::string(2 * i, ' ') + "a:\n";
  EXPECT_THAT(error_in(block), StartsWith("c.yaml:33:65: nested deeper than 32 levels"));
}

TEST(ParseYaml, RefusesMoreThanAMebibyte) {
  const std::string text = "a: " + std::string(1 << 20, 'x');
  EXPECT_EQ(error_in(text), "c.yaml: 1048579 bytes, want at most 1048576");
  EXPECT_TRUE(is_read(text.substr(0, 1 << 20)));
}

TEST(ParseYaml, RefusesNul) {
  EXPECT_EQ(error_in(std::string("a: 1\nb: x\0y\n", 12)), "c.yaml:2:5: a control character '\\x00'; remove it");
  EXPECT_THAT(error_in("a: \"x\\0y\""), StartsWith("c.yaml:1:4: a NUL character"));
}

TEST(ParseYaml, RefusesTheCharacterThatTheParserTakesForTheEnd) {
  EXPECT_THAT(error_in("a: 1\n\x04\nb: 2\n"), StartsWith("c.yaml:2:1: a control character '\\x04'"));
}

TEST(ParseYaml, RefusesInvalidUtf8) {
  for (const std::string text : {"a: \xff",
                                 "\xfe\xff\x01"
                                 "a",
                                 "a: \xc3", "a: \xed\xa0\x80", "a: \xc0\xaf"}) {
    EXPECT_EQ(error_in(text), "c.yaml: not UTF-8");
  }
}

TEST(ParseYaml, RefusesTabsThatIndent) {
  for (const std::string text : {"a:\n\tb: 1", "a:\n  b: 1\n\tc: 2", "\ta: 1"}) {
    EXPECT_THAT(error_in(text), StartsWith("c.yaml:")) << text;
  }
  EXPECT_EQ(json_of("a:\t1\t# c").dump(), R"({"a":1})");  // between words a tab is a space
}

TEST(ParseYaml, RefusesKeysThatAreNoText) {
  for (const std::string text :
       {"? [a]\n: 1", "[a]: 1", "{a: 1}: 2", "? {a: 1}\n: 2", "~: 1", "null: 1", "'': 1", ": 1"}) {
    EXPECT_THAT(error_in(text), HasSubstr("a key must be plain text")) << text;
  }
}

TEST(ParseYaml, RefusesAKeyWithoutItsColon) {
  EXPECT_EQ(error_in("mode: rl\nseed\n"), "c.yaml:2:1: no ':' after key 'seed'");
  EXPECT_EQ(error_in("a:\n  - b: 1\n    c\n"), "c.yaml:3:5: no ':' after key 'c'");
}

TEST(ParseYaml, RefusesBrokenSyntaxWithItsPlace) {
  EXPECT_THAT(error_in("a: 1\nb: c: d\n"), StartsWith("c.yaml:2:5: "));
  EXPECT_THAT(error_in("a: 1\n  b: 2\n"), StartsWith("c.yaml:2:4: "));
  EXPECT_THAT(error_in("a: [1]]"), StartsWith("c.yaml:1:7: "));
  for (const std::string text :
       {"a: [", "a: {", "a: 'x", "a: \"x", "a: @x", "a: - b", "a: \"\\q\"", "a: \"\\ud800\"", "a: 1\n}"}) {
    EXPECT_THAT(error_in(text), StartsWith("c.yaml:")) << text;
  }
}

TEST(ParseYaml, AnErrorIsOneLine) {
  for (const std::string text : {"\"a\\nb\": 1\n\"a\\nb\": 2", "a: !<x\ty> b", "a\n: b: c", "\"a\\nb\"\n\"c\""}) {
    EXPECT_EQ(error_in(text).find('\n'), std::string::npos) << text;
  }
}

// --- No text hangs or crashes the reader

TEST(ParseYaml, EveryTextOfOneByteEnds) {
  int num_read = 0;
  for (int byte = 0; byte < 256; ++byte) num_read += is_read(std::string(1, static_cast<char>(byte)));
  EXPECT_FALSE(is_read(","));  // some readers find documents in it for ever
  EXPECT_GT(num_read, 60);     // letters, digits, blanks
}

TEST(ParseYaml, EveryTextOfTwoPunctuationMarksEnds) {
  const std::string marks = ",[]{}:-?&*!|>'\"%@`#~<.= \t\n";
  for (const char a : marks) {
    for (const char b : marks) is_read({a, b});
  }
}

TEST(ParseYaml, RandomShortTextsEnd) {
  const std::vector<std::string> pieces = {",", "[", "]",  "{",  "}",     ":",   " ",  "\n",       "-",  "?", "&", "*",
                                           "!", "'", "\"", "|",  ">",     "#",   "%",  "@",        "a",  "1", "~", "\t",
                                           "<", "=", ".",  "\r", "---\n", "...", "\\", "\xc3\xbc", ": ", "- "};
  Rng rng(7);
  int num_read = 0;
  for (int i = 0; i < 20000; ++i) {
    std::string text;
    for (uint64_t length = 1 + rng.below(14); length > 0; --length) text += pieces[rng.below(pieces.size())];
    num_read += is_read(text);
  }
  EXPECT_GT(num_read, 1000);   // the texts are neither all refused
  EXPECT_LT(num_read, 19000);  // nor all fine
}

TEST(ParseYaml, LongTextsOfOnePieceEnd) {
  for (const std::string piece :
       {"[", "{", "- ", "? ", "a: ", ",", "'", "\"", "!", "&a ", "--- ", "a\n", "|\n", "{a: ", "[]", "#"}) {
    std::string text;
    while (text.size() < 100000) text += piece;
    is_read(text);
  }
}

// --- Files

TEST(LoadYaml, NamesTheFileInErrors) {
  const ScratchDir dir;
  const fs::path file = dir.write("x.yaml", "a: 1\na: 2\n");
  EXPECT_EQ(message_of<ConfigError>([&] { load_yaml(file); }), file.string() + ":2:1: key 'a' is there twice");
}

TEST(LoadYaml, AMissingFileIsAConfigError) {
  const ScratchDir dir;
  EXPECT_THAT(message_of<ConfigError>([&] { load_yaml(dir.path() / "no.yaml"); }), HasSubstr("no.yaml: no such file"));
  EXPECT_THAT(message_of<ConfigError>([&] { load_yaml(dir.path()); }), HasSubstr("is a folder"));
}

TEST(LoadYaml, ReadsNoMoreThanAMebibyte) {
  const ScratchDir dir;
  const fs::path file = dir.write("big.yaml", std::string(2 << 20, '#'));
  EXPECT_THAT(message_of<ConfigError>([&] { load_yaml(file); }), HasSubstr("larger than 1048576 bytes"));
}

}  // namespace
}  // namespace noregret
