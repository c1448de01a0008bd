// Hostile files, by the rule that each breaks, with the message that it must give.
#include <set>

#include "tests/format/safetensors_support.h"

namespace noregret {
namespace {

using testing::HasSubstr;

struct Malicious {
  std::string bytes;
  std::string message;  // part of it
};

void expect_refused(const std::vector<Malicious>& files) {
  const TempFolder folder;
  std::set<std::string> seen;
  for (const Malicious& file : files) {
    const fs::path path = folder.write("x.safetensors", file.bytes);
    const std::string message = error_of([&] { SafetensorsFile::open(path); });
    EXPECT_THAT(message, testing::StartsWith(path.string() + ": ")) << file.bytes.substr(0, 200);
    EXPECT_THAT(message, HasSubstr(file.message)) << file.bytes.substr(0, 200);
    EXPECT_TRUE(seen.insert(file.bytes).second) << "twice: " << file.bytes.substr(0, 200);
  }
}

std::string header(const std::string& json, const std::string& data = "") { return raw_safetensors(json, data); }

// A file of one tensor `a`.
std::string one(const std::string& dtype, const std::string& shape, uint64_t begin, uint64_t end,
                const std::string& data = "") {
  return header("{\"a\":" + entry(dtype, shape, begin, end) + "}", data);
}

// The same with data_offsets as they are written here.
std::string one_at(const std::string& offsets, const std::string& data = "x") {
  return header(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":)" + offsets + "}}", data);
}

std::string two(const std::string& a, const std::string& b, const std::string& data) {
  return header("{\"a\":" + a + ",\"b\":" + b + "}", data);
}

std::string repeated(const std::string& piece, int count) {
  std::string text;
  for (int i = 0; i < count; ++i) text += piece;
  return text;
}

TEST(MaliciousSafetensors, Rule1TheLengthOfTheHeader) {
  const std::string kMax = "its header is ";
  expect_refused({
      {"", "0 bytes, a safetensors file begins with an 8-byte length"},
      {"1234567", "7 bytes, a safetensors file begins with an 8-byte length"},
      {little_endian(1, 8), kMax + "1 bytes long, want at most 0"},
      {little_endian(3, 8) + "{}", kMax + "3 bytes long, want at most 2"},
      {little_endian(100'000'001, 8) + "{}", kMax + "100000001 bytes long"},
      {little_endian(uint64_t{1} << 63, 8) + "{}", kMax + "9223372036854775808 bytes long"},
      {little_endian(~uint64_t{0}, 8) + "{}", kMax + "18446744073709551615 bytes long"},
      {little_endian(~uint64_t{7}, 8) + "{}", kMax + "18446744073709551608 bytes long"},  // + 8 wraps to 0
      {"<html>not found</html>", "bytes long, want at most 14; it is cut off or no safetensors file"},
      {std::string("PK\3\4\0\0\0\0rest of an archive", 26), "bytes long, want at most 18"},
  });
}

TEST(MaliciousSafetensors, Rule2TheTextOfTheHeader) {
  expect_refused({
      {header(""), "does not begin with '{'"},
      {header(" {}"), "does not begin with '{'"},
      {header("[]"), "does not begin with '{'"},
      {header("\xef\xbb\xbf{}"), "does not begin with '{'"},
      {header("{}\n"), "not JSON padded by spaces"},
      {header("{}\t "), "not JSON padded by spaces"},
      {header(std::string("{}\0", 3)), "not JSON padded by spaces"},
      {header("{"), "not JSON padded by spaces"},
      {header("{}{}"), "not JSON at column 3"},
      {header("{\"a\":}"), "not JSON at column 6"},
      {header("{'a':1}"), "not JSON at column 2"},
      {header("{/**/}"), "not JSON at column 2"},
      {header("{\"a\":NaN}"), "not JSON at column 6"},
      {header("{\"a\":1,}"), "not JSON at column 8"},
      {header("{\"\xff\":1}"), "not UTF-8"},
      {header("{\"\xed\xa0\x80\":1}"), "not UTF-8"},
      {header("{\"\xc0\xaf\":1}"), "not UTF-8"},
      {header("{\"\\ud800\":1}"), "not JSON at column"},
      {header(std::string("{\"a\0\":1}", 8)), "holds a NUL byte"},
      {header("{\"a\":" + repeated("[", 100) + repeated("]", 100) + "}"), "nested deeper than 64 levels"},
      {header(repeated("{\"a\":", 100000) + repeated("}", 100000)), "nested deeper than 64 levels"},
  });
}

TEST(MaliciousSafetensors, Rule3NamesAreUnique) {
  const std::string tensor = entry("U8", "[1]", 0, 1);
  expect_refused({
      {header("{\"a\":" + tensor + ",\"a\":" + tensor + "}", "x"), "key 'a' is there twice"},
      {header("{\"a\":" + tensor + ",\"\\u0061\":" + tensor + "}", "x"), "key 'a' is there twice"},
      {header(R"({"__metadata__":{},"__metadata__":{}})"), "key '__metadata__' is there twice"},
      {header(R"({"__metadata__":{"a":"1","a":"2"}})"), "key 'a' is there twice"},
      {header(R"({"a":{"dtype":"U8","dtype":"F32","shape":[1],"data_offsets":[0,1]}})", "x"),
       "key 'dtype' is there twice"},
      {header(R"({"a":{"dtype":"U8","shape":[9],"shape":[1],"data_offsets":[0,1]}})", "x"),
       "key 'shape' is there twice"},
  });
}

TEST(MaliciousSafetensors, Rule4MetadataIsTextByText) {
  expect_refused({
      {header(R"({"__metadata__":{"format":1}})"), "'format'"},
      {header(R"({"__metadata__":{"format":null}})"), "'format'"},
      {header(R"({"__metadata__":{"format":{"a":"b"}}})"), "'format'"},
      {header(R"({"__metadata__":[]})"), "no object"},
      {header(R"({"__metadata__":"pt"})"), "no object"},
      {header(R"({"__metadata__":null})"), "no object"},
  });
}

TEST(MaliciousSafetensors, Rule5OffsetsLeaveNoHoleAndNoOverlap) {
  const auto u8 = [](uint64_t begin, uint64_t end) {
    return entry("U8", "[" + std::to_string(end - begin) + "]", begin, end);
  };
  expect_refused({
      {one("U8", "[1]", 1, 2, "xy"), "tensor 'a' begins at byte 1 of the data, want 0; a hole lies before it"},
      {two(u8(0, 1), u8(2, 3), "xyz"), "tensor 'b' begins at byte 2 of the data, want 1; a hole lies before it"},
      {two(u8(2, 3), u8(0, 1), "xyz"), "tensor 'a' begins at byte 2 of the data, want 1; a hole lies before it"},
      {two(u8(0, 2), u8(1, 3), "xyz"), "tensor 'b' begins at byte 1 of the data, want 2; it overlaps"},
      {two(u8(0, 2), u8(0, 2), "xy"), "tensor 'b' begins at byte 0 of the data, want 2; it overlaps"},
      {two(u8(0, 3), u8(1, 2), "xyz"), "tensor 'b' begins at byte 1 of the data, want 3; it overlaps"},
      {two(u8(0, 2), u8(1, 1), "xy"), "tensor 'b' begins at byte 1 of the data, want 2; it overlaps"},
      {one("U8", "[0]", 1, 1, "x"), "tensor 'a' begins at byte 1 of the data, want 0; a hole lies before it"},
      {one("U8", "[1]", 1, 0, "x"), "tensor 'a' ends at byte 0, before it begins at 1"},
      {one("U8", "[1]", ~uint64_t{0}, 0, "x"), "tensor 'a' ends at byte 0, before it begins at 18446744073709551615"},
      {one("U8", "[2]", 0, 2, "x"), "tensor 'a' ends at byte 2 of the data, the file holds 1"},
      {one("U8", "[1]", 0, ~uint64_t{0}, "x"), "tensor 'a' ends at byte 18446744073709551615 of the data"},
      {one("U8", "[1]", ~uint64_t{0} - 1, ~uint64_t{0}, "x"), "tensor 'a' ends at byte 18446744073709551615"},
      {one_at("[0]"), "tensor 'a' has data_offsets that are not [begin, end]"},
      {one_at("[0,1,1]"), "tensor 'a' has data_offsets that are not [begin, end]"},
      {one_at("[]"), "tensor 'a' has data_offsets that are not [begin, end]"},
      {one_at("0"), "tensor 'a' has a data_offsets that is no array"},
      {one_at("{\"begin\":0,\"end\":1}"), "tensor 'a' has a data_offsets that is no array"},
      {one_at("[-1,0]"), "tensor 'a' has a data offset that is no integer from 0 on"},
      {one_at("[-0,1]"), "tensor 'a' has a data offset that is no integer from 0 on"},
      {one_at("[0,1.0]"), "tensor 'a' has a data offset that is no integer from 0 on"},
      {one_at("[0,1e0]"), "tensor 'a' has a data offset that is no integer from 0 on"},
      {one_at("[\"0\",1]"), "tensor 'a' has a data offset that is no integer from 0 on"},
      {one_at("[0,true]"), "tensor 'a' has a data offset that is no integer from 0 on"},
      {one_at("[0,18446744073709551616]"), "tensor 'a' has a data offset that is no integer from 0 on"},
      {one_at("[0,1e400]"), "not JSON at column"},
  });
}

TEST(MaliciousSafetensors, Rule6SizesMatchShapes) {
  expect_refused({
      {one("F32", "[2]", 0, 4, "1234"), "want 8"},
      {one("F32", "[1]", 0, 3, "123"), "want 4"},
      {one("BF16", "[]", 0, 1, "1"), "want 2"},
      {one("U8", "[0]", 0, 1, "x"), "want 0"},
      {one("U8", "[1,0,1]", 0, 1, "x"), "want 0"},
      {one("U8", "[4294967296,4294967296]", 0, 0), "overflows"},  // 2^64 elements are 0 modulo 2^64
      {one("F64", "[2305843009213693952]", 0, 0), "overflows"},   // 2^61 elements of 8 bytes
      {one("U8", "[9223372036854775807,2]", 0, 0), "overflows"},
      {one("I64", "[3,6148914691236517206]", 0, 16, std::string(16, 'x')), "overflows"},
      {one("U8", "[0,4294967296,4294967296]", 0, 0), "overflows"},
      {one("U8", "[4294967296,0,4294967296]", 0, 0), "overflows"},
      {one("U8", "[9223372036854775808]", 0, 0), "a dimension of 9223372036854775808, which is too large"},
      {one("U8", "[18446744073709551615]", 0, 0), "a dimension of 18446744073709551615, which is too large"},
      {one("U8", "[18446744073709551616]", 0, 0), "a dimension that is no integer from 0 on"},
      {one("U8", "[-1]", 0, 1, "x"), "a dimension that is no integer from 0 on"},
      {one("U8", "[1.0]", 0, 1, "x"), "a dimension that is no integer from 0 on"},
      {one("U8", "[\"1\"]", 0, 1, "x"), "a dimension that is no integer from 0 on"},
      {one("U8", "[null]", 0, 1, "x"), "a dimension that is no integer from 0 on"},
      {one("U8", "[[1]]", 0, 1, "x"), "a dimension that is no integer from 0 on"},
      {one("U8", "1", 0, 1, "x"), "a shape that is no array"},
      {one("U8", "null", 0, 1, "x"), "a shape that is no array"},
      {one("U8", "{}", 0, 1, "x"), "a shape that is no array"},
      {one("U8", "[1" + repeated(",1", 64) + "]", 0, 1, "x"), "has 65 dimensions, want at most 64"},
      {one("F8_E4M3", "[1]", 0, 1, "x"), "has dtype 'F8_E4M3', want one of F64 F32"},
      {one("f32", "[1]", 0, 4, "1234"), "has dtype 'f32', want one of F64 F32"},
      {one("", "[1]", 0, 1, "x"), "has dtype '', want one of F64 F32"},
      {one("U8\\u0000", "[1]", 0, 1, "x"), "has dtype 'U8\\x00', want one of F64 F32"},
  });
}

TEST(MaliciousSafetensors, EntriesHoldTheirThreeKeys) {
  expect_refused({
      {header(R"({"a":{"dtype":"U8","shape":[1]}})", "x"), "key 'data_offsets' is missing"},
      {header(R"({"a":{"shape":[1],"data_offsets":[0,1]}})", "x"), "key 'dtype' is missing"},
      {header(R"({"a":{"dtype":"U8","data_offsets":[0,1]}})", "x"), "key 'shape' is missing"},
      {header(R"({"a":{"dtype":8,"shape":[1],"data_offsets":[0,1]}})", "x"),
       "key 'dtype' is an integer, want a string"},
      {header(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"strides":[1]}})", "x"), "has the key 'strides'"},
      {header(R"({"a":{}})", "x"), "key 'dtype' is missing"},
      {header(R"({"a":[1]})", "x"), "is no object"},
      {header(R"({"a":null})", "x"), "is no object"},
      {header(R"({"":1})", "x"), "tensor '' is no object"},
  });
}

TEST(MaliciousSafetensors, Rule7TheDataEndsWithTheFile) {
  expect_refused({
      {header("{}", "x"), "1 bytes after the last tensor belong to none"},
      {one("U8", "[1]", 0, 1, "xyz"), "2 bytes after the last tensor belong to none"},
      {one("U8", "[0]", 0, 0, "x"), "1 bytes after the last tensor belong to none"},
      {header("{\"__metadata__\":{}}", std::string(4096, '\0')), "4096 bytes after the last tensor belong to none"},
  });
}

}  // namespace
}  // namespace noregret
