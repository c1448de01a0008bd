#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "noregret/base/fields.h"
#include "noregret/base/text.h"
#include "noregret/config/run_config.h"
#include "noregret/config/yaml.h"
#include "tests/support/scratch.h"

namespace noregret {
namespace {

// A config that is wrong in one way, and the whole of the error that it must give.
struct NegativeCase {
  std::string text;
  std::string error;
};

// The names that a struct's visit_fields lists.
struct FieldNames {
  std::vector<std::string> names;
  template <class... Rest>
  void operator()(const char* name, const Rest&...) {
    names.emplace_back(name);
  }
};

// Walks the option tree and makes, for each key: the key misspelt, twice, without a value, and with every value that is
// none of its type or its range.
class NegativeCases {
 public:
  explicit NegativeCases(std::vector<NegativeCase>& cases) : cases_(cases) {}

  template <class T>
  static std::vector<NegativeCase> of(T options) {
    std::vector<NegativeCase> cases;
    NegativeCases visitor(cases);
    visitor.enter(options);
    return cases;
  }

  template <class T>
  void operator()(const char* name, T& field, const char* /*doc*/) {
    key_cases(name);
    value_cases(name, field);
  }
  template <class T, class Constraint>
  void operator()(const char* name, T& field, const Constraint& constraint, const char* doc) {
    (*this)(name, field, doc);
    range_cases(name, field, constraint);
  }

 private:
  // Where the keys of the map stand.
  struct Place {
    std::string head;  // lines above
    std::string lead;  // before the first key
    std::string path;  // "objective.", "rewards[0]."
    size_t column = 1;
  };

  template <class T>
  void enter(T& options) {
    FieldNames visitor;
    options.visit_fields(visitor);
    siblings_ = visitor.names;
    options.visit_fields(*this);
  }
  template <class T>
  void enter(const Place& place, T options) {
    NegativeCases inner(cases_);
    inner.place_ = place;
    inner.enter(options);
  }

  std::string location(size_t line, size_t column) const {
    return cat("c.yaml:", line + (place_.head.empty() ? 0 : 1), ":", column, ": ");
  }
  std::string line(const std::string& name, const std::string& value) const {
    return place_.head + place_.lead + name + (value.empty() ? ":" : ": " + value) + "\n";
  }
  // `name: value` is refused at the key: "<path>.<name> is <described>, want <want>".
  void refuse(const std::string& name, const std::string& value, const std::string& described,
              const std::string& want) {
    cases_.push_back(
        {line(name, value), location(1, place_.column) + place_.path + name + " is " + described + ", want " + want});
  }
  // `name: [value]` is refused at the value.
  void refuse_item(const std::string& name, const std::string& value, const std::string& described,
                   const std::string& want) {
    cases_.push_back({line(name, "[" + value + "]"), location(1, place_.column + name.size() + 3) + place_.path + name +
                                                         "[0] is " + described + ", want " + want});
  }

  void key_cases(const std::string& name) {
    cases_.push_back({line(name + "x", "1"), location(1, place_.column) + "unknown key " +
                                                 quoted(place_.path + name + "x") + "; did you mean '" + name +
                                                 "'? Known keys: " + join(siblings_, ", ")});
    cases_.push_back({line(name, "1") + std::string(place_.column - 1, ' ') + name + ": 1\n",
                      location(2, place_.column) + "key '" + name + "' is there twice"});
  }

  // What no scalar takes.
  void no_scalar_cases(const std::string& name, const std::string& want) {
    refuse(name, "[1]", "a list", want);
    refuse(name, "{a: 1}", "a map", want);
  }
  void no_number_cases(const std::string& name, const std::string& want) {
    no_scalar_cases(name, want);
    refuse(name, "", "empty", want);
    refuse(name, "x", "'x'", want);
    refuse(name, "8k", "'8k'", want);
    refuse(name, "true", "true", want);
    refuse(name, "'5'", "'5'", want + "; leave the quotes away");
    refuse(name, "1_000", "'1_000'", want + "; write 1000");
    refuse(name, "0x10", "'0x10'", want + "; write it in decimal digits, without a leading 0");
    refuse(name, "010", "'010'", want + "; write it in decimal digits, without a leading 0");
  }
  template <class T>
  void whole_number_cases(const std::string& name, const std::string& too_large) {
    no_number_cases(name, "an integer");
    refuse(name, "1.5", "1.5", "an integer");
    refuse(name, "1e3", "1e3", "an integer; write 1000");
    const std::string all =
        cat("an integer from ", std::numeric_limits<T>::min(), " to ", std::numeric_limits<T>::max());
    refuse(name, too_large, too_large, all);
    refuse(name, "-" + too_large, "-" + too_large, all);
  }

  void value_cases(const char*, Node&) {}
  void value_cases(const char* name, int64_t&) { whole_number_cases<int64_t>(name, "9223372036854775809"); }
  void value_cases(const char* name, uint64_t&) { whole_number_cases<uint64_t>(name, "18446744073709551616"); }
  void value_cases(const char* name, double&) {
    no_number_cases(name, "a number");
    refuse(name, ".inf", "'.inf'", "a finite number");
    refuse(name, "nan", "'nan'", "a finite number");
    refuse(name, "1e400", "1e400", "a number that a double can hold, 2.3e-308 to 1.7e308");
  }
  void value_cases(const char* name, bool&) {
    no_scalar_cases(name, "true or false");
    refuse(name, "", "empty", "true or false");
    refuse(name, "x", "'x'", "true or false");
    refuse(name, "'true'", "'true'", "true or false; write true");
    refuse(name, "yes", "'yes'", "true or false; write true");
    refuse(name, "OFF", "'OFF'", "true or false; write false");
    refuse(name, "0", "0", "true or false; write false");
  }
  void value_cases(const char* name, std::string&) {
    no_scalar_cases(name, "text");
    refuse(name, "", "empty", "text; write \"\" for none");
  }
  void list_cases(const char* name) {
    refuse(name, "", "empty", "a list");
    refuse(name, "x", "'x'", "a list; write [x]");
    refuse(name, "{a: 1}", "a map", "a list");
  }
  void value_cases(const char* name, std::vector<std::string>&) {
    list_cases(name);
    refuse_item(name, "[x]", "a list", "text");
    refuse_item(name, "~", "empty", "text; write \"\" for none");
  }
  void value_cases(const char* name, std::vector<double>&) {
    list_cases(name);
    refuse_item(name, "x", "'x'", "a number");
    refuse_item(name, "{a: 1}", "a map", "a number");
  }
  template <class T>
  void value_cases(const char* name, std::vector<T>&) {
    list_cases(name);
    refuse_item(name, "x", "'x'", "a map of keys and values");
    enter({std::string(name) + ":\n", "  - ", std::string(name) + "[0].", 5}, T{});
  }
  template <class T>
  void value_cases(const char* name, std::optional<T>&) {
    T options{};
    value_cases(name, options);
  }
  template <internal::Struct T>
  void value_cases(const char* name, T&) {
    refuse(name, "x", "'x'", "a map of keys and values");
    refuse(name, "3", "3", "a map of keys and values");
    refuse(name, "[1]", "a list", "a map of keys and values");
    enter({std::string(name) + ":\n", "  ", std::string(name) + ".", 3}, T{});
  }

  void range_cases(const char* name, std::string&, const OneOf& constraint) {
    for (const std::string& value : {constraint.names[0] + "x", std::string("nonsense")}) {
      const std::string want = "one of " + join(constraint.names, ", ") + did_you_mean(value, constraint.names);
      refuse(name, value, "'" + value + "'", want);
    }
  }
  template <class T>
  void range_cases(const char* name, T&, const AtLeast& constraint) {
    refuse(name, cat(constraint.low - 1), cat(constraint.low - 1), cat("at least ", constraint.low));
  }
  template <class T>
  void range_cases(const char* name, T&, const GreaterThan& constraint) {
    refuse(name, cat(constraint.low), cat(constraint.low), cat("more than ", constraint.low));
    refuse(name, cat(constraint.low - 1), cat(constraint.low - 1), cat("more than ", constraint.low));
  }
  template <class T>
  void range_cases(const char* name, T& field, const Range& constraint) {
    for (const double value : {constraint.low - 1, constraint.high + 1}) {
      const std::string want = cat(constraint.low, " to ", constraint.high);
      if constexpr (internal::kIsVector<T>) {
        refuse_item(name, cat(value), cat(value), want);
      } else {
        (void)field;
        refuse(name, cat(value), cat(value), want);
      }
    }
  }

  std::vector<NegativeCase>& cases_;
  Place place_;
  std::vector<std::string> siblings_;
};

const std::string kKeys =
    "mode, seed, device, threads, model, adapter, task, data, rollout, rewards, objective, optimizer, train, eval, "
    "log";
// Traps of YAML itself. What yaml-cpp says it says in its own words.
const std::vector<NegativeCase> kYamlTraps = {
    // More than one value for a key, and more than one document.
    {"seed: 1\nseed: 1\n", "c.yaml:2:1: key 'seed' is there twice"},
    {"train: {steps: 1, steps: 2}\n", "c.yaml:1:19: key 'steps' is there twice"},
    {"train:\n  steps: 1\n  'steps': 2\n", "c.yaml:3:3: key 'steps' is there twice"},
    {"train:\n  steps: 1\n  \"st\\x65ps\": 2\n", "c.yaml:3:3: key 'steps' is there twice"},
    {"<<: {seed: 1}\n<<: {seed: 2}\n", "c.yaml:2:1: key '<<' is there twice"},
    {"seed: 1\n---\nseed: 2\n",
     "c.yaml:2:1: a second document, or text after the end of the first; a config is one document"},
    {"seed: 1\n...\nseed: 2\n",
     "c.yaml:3:1: a second document, or text after the end of the first; a config is one document"},
    {"{seed: 1} {seed: 2}\n",
     "c.yaml:1:11: a second document, or text after the end of the first; a config is one document"},
    // What stands for something else.
    {"a: &x 1\n", "c.yaml:1:4: anchors (&name) are not allowed; write the value out"},
    {"&x a: 1\n", "c.yaml:1:1: anchors (&name) are not allowed; write the value out"},
    {"a: &x [*x]\n", "c.yaml:1:4: anchors (&name) are not allowed; write the value out"},
    {"a: *x\n", "c.yaml:1:4: the referenced anchor is not defined"},
    {"<<: *x\n", "c.yaml:1:5: the referenced anchor is not defined"},
    {"a: !!int '5'\n", "c.yaml:1:4: tags ('tag:yaml.org,2002:int') are not allowed; quotes make a text of a value"},
    {"a: !!python/object:os.system x\n",
     "c.yaml:1:4: tags ('tag:yaml.org,2002:python/object:os.system') are not allowed; quotes make a text of a value"},
    {"seed: !!str 5\n", "c.yaml:1:7: tags ('tag:yaml.org,2002:str') are not allowed; quotes make a text of a value"},
    {"a: ! 5\n", "c.yaml:1:4: tags ('!') are not allowed; quotes make a text of a value"},
    {"!!map {a: 1}\n", "c.yaml:1:1: tags ('tag:yaml.org,2002:map') are not allowed; quotes make a text of a value"},
    // Keys that are no text.
    {"? [a]\n: 1\n", "c.yaml:1:3: a key must be plain text"},
    {"[a]: 1\n", "c.yaml:1:1: a key must be plain text"},
    {"{a: 1}: 2\n", "c.yaml:1:1: a key must be plain text"},
    {"~: 1\n", "c.yaml:1:1: a key must be plain text"},
    {"'': 1\n", "c.yaml:1:1: a key must be plain text"},
    {": 1\n", "c.yaml:1:1: a key must be plain text"},
    {"? a\n", "c.yaml:1:3: unknown key 'a'; known keys: " + kKeys},
    {"mode: rl\nseed\n", "c.yaml:2:1: no ':' after key 'seed'"},
    {"rewards:\n  - plugin: a\n    weight\n", "c.yaml:3:5: no ':' after key 'weight'"},
    {"1: 2\n", "c.yaml:1:1: unknown key '1'; known keys: " + kKeys},
    {"true: 1\n", "c.yaml:1:1: unknown key 'true'; known keys: " + kKeys},
    {"Seed: 1\n", "c.yaml:1:1: unknown key 'Seed'; did you mean 'seed'? Known keys: " + kKeys},
    {"seed : 1\n seed: 2\n", "c.yaml:2:6: illegal map value"},
    {std::string(256, 'k') + ": 1\n", "c.yaml:1:1: a key is longer than 255 bytes"},
    {"seed:1\n", "c.yaml:1:1: the value is 'seed:1', want a map of keys and values"},
    // Depth, size, characters.
    {"a: " + std::string(32, '[') + std::string(32, ']') + "\n", "c.yaml:1:35: nested deeper than 32 levels"},
    {"a: " + std::string(32, '{') + "\n", "c.yaml:1:5: a key must be plain text"},
    {"# " + std::string(1 << 20, 'x') + "\n", "c.yaml: 1048579 bytes, want at most 1048576"},
    {std::string("seed: 1\0\n", 9), "c.yaml:1:8: a control character '\\x00'; remove it"},
    {"seed: \"1\\0\"\n", "c.yaml:1:7: a NUL character"},
    {"seed: 1\n\x04\nseed: 2\n", "c.yaml:2:1: a control character '\\x04'; remove it"},
    {"seed: 1\x1b[2K\n", "c.yaml:1:8: a control character '\\x1b'; remove it"},
    {"seed: \xff\n", "c.yaml: not UTF-8"},
    {"seed: \xed\xa0\x80\n", "c.yaml: not UTF-8"},
    {"\xfe\xff\0s", "c.yaml: not UTF-8"},
    {"seed: \xc2\xa0x\n", "c.yaml:1:1: seed is '\xc2\xa0x', want an integer"},
    {"seed: \xe2\x80\x8bx\n", "c.yaml:1:1: seed is '\xe2\x80\x8bx', want an integer"},
    {"seed: \xd9\xa1\n", "c.yaml:1:1: seed is '\xd9\xa1', want an integer"},
    {"seed: \xef\xbf\xbf\n", "c.yaml:1:7: a code point that is no character, such as U+FFFF; remove it"},
    {"seed: \"\\uFFFE\"\n", "c.yaml:1:7: a code point that is no character, such as U+FFFF; remove it"},
    {"seed: \xef\xb7\x90\n", "c.yaml:1:7: a code point that is no character, such as U+FFFF; remove it"},
    {"seed: \xf4\x8f\xbf\xbf\n", "c.yaml:1:7: a code point that is no character, such as U+FFFF; remove it"},
    // Blanks that indent.
    {"train:\n\tsteps: 1\n", "c.yaml:2:7: illegal map value"},
    {"train:\n  steps: 1\n save_every: 2\n", "c.yaml:3:2: end of map not found"},
    {"train:\n  steps: 1\n    save_every: 2\n", "c.yaml:3:15: illegal map value"},
    {"train:\nsteps: 1\n", "c.yaml:2:1: unknown key 'steps'; known keys: " + kKeys},
    // Syntax that ends too early or too late.
    {",", "c.yaml:1:1: a second document, or text after the end of the first; a config is one document"},
    {"@", "c.yaml:1:1: unknown token"},
    {"`", "c.yaml:1:1: unknown token"},
    {"a: [1\n", "c.yaml:1:5: no ':' after key '1'"},
    {"a: {b: 1\n", "c.yaml:2:1: end of map flow not found"},
    {"a: [1]]\n", "c.yaml:1:7: illegal flow end"},
    {"a: 'x\n", "c.yaml:1:4: a quote that is not closed"},
    {"a: \"x\n", "c.yaml:1:4: a quote that is not closed"},
    {"a: \"\\q\"\n", "c.yaml:1:7: unknown escape character: q"},
    {"a: \"\\ud800\"\n", "c.yaml:1:11: invalid unicode: 55296"},
    {"a: b: c\n", "c.yaml:1:5: illegal map value"},
    {"a: - b\n", "c.yaml:1:4: illegal block entry"},
    {"a: |5x\n  t\n", "c.yaml:1:6: unexpected character in block scalar"},
    {"%YAML 2.0\n---\nseed: 1\n", "c.yaml:1:1: YAML major version too large"},
    // Roots and words that are read in another way elsewhere.
    {"seed\n", "c.yaml:1:1: the value is 'seed', want a map of keys and values"},
    {"[seed]\n", "c.yaml:1:1: the value is a list, want a map of keys and values"},
    {"--- >\n text\n", "c.yaml:1:5: the value is 'text\\n', want a map of keys and values"},
    {"seed: 1:30\n", "c.yaml:1:1: seed is '1:30', want an integer"},
    {"seed: 2026-01-27\n", "c.yaml:1:1: seed is '2026-01-27', want an integer"},
    {"seed: 0b1\n", "c.yaml:1:1: seed is '0b1', want an integer; write it in decimal digits, without a leading 0"},
    {"seed: 0o7\n", "c.yaml:1:1: seed is '0o7', want an integer; write it in decimal digits, without a leading 0"},
    {"seed: 1,000\n", "c.yaml:1:1: seed is '1,000', want an integer"},
    {"seed: |-\n  5\n", "c.yaml:1:1: seed is '5', want an integer; leave the quotes away"},
    {"seed: 5 6\n", "c.yaml:1:1: seed is '5 6', want an integer"},
    {"seed: 5 # five\nsteps: 1\n", "c.yaml:2:1: unknown key 'steps'; known keys: " + kKeys},
    {"train: {steps: 1 save_every: 2}\n", "c.yaml:1:28: end of map flow not found"},
    {"run_name: \"a\\Nb\"\n", "c.yaml:1:11: an escape that is no UTF-8; write the character, or \\u and its number"},
    {"\"a\\_b\": 1\n", "c.yaml:1:1: an escape that is no UTF-8; write the character, or \\u and its number"},
    {"train: {steps:1}\n",
     "c.yaml:1:9: unknown key 'train.steps:1'; did you mean 'steps'? Known keys: steps, updates_per_batch, "
     "microbatch_tokens, head_chunk_tokens, gradient_checkpointing, max_skipped_updates, save_every, keep_last, "
     "keep_every, keep_best, stall_s"},
    {"train: [steps: 1]\n", "c.yaml:1:1: train is a list, want a map of keys and values"},
    {"eval: {greedy: y}\n", "c.yaml:1:8: eval.greedy is 'y', want true or false; write true"},
    {"eval: {greedy: TRUE}\n", "c.yaml:1:8: eval.greedy is 'TRUE', want true or false; write true"},
    {"optimizer: {betas: 0.9, 0.95}\n", "c.yaml:1:13: optimizer.betas is 0.9, want a list; write [0.9]"},
    {"optimizer: {betas: [0.9 0.95]}\n", "c.yaml:1:21: optimizer.betas[0] is '0.9 0.95', want a number"},
    {"optimizer: {eps: 1e}\n", "c.yaml:1:13: optimizer.eps is '1e', want a number"},
    {"optimizer: {eps: 1e-5x}\n", "c.yaml:1:13: optimizer.eps is '1e-5x', want a number"},
    {"optimizer: {eps: 1.e-5.}\n", "c.yaml:1:13: optimizer.eps is '1.e-5.', want a number"},
    {"optimizer: {eps: --1}\n", "c.yaml:1:13: optimizer.eps is '--1', want a number"},
    {"optimizer: {eps: 10%}\n", "c.yaml:1:13: optimizer.eps is '10%', want a number"},
    {"optimizer: {eps: 1/8}\n", "c.yaml:1:13: optimizer.eps is '1/8', want a number"},
    {"rewards:\n  a\n\n  b\n", "c.yaml:1:1: rewards is 'a\\nb', want a list"},
    {"rewards: " + std::string(1000, 'x') + "\n",
     "c.yaml:1:1: rewards is '" + std::string(77, 'x') + "...', want a list"},
    {"seed: 1_" + std::string(1000, '0') + "\n",
     "c.yaml:1:1: seed is '1_" + std::string(75, '0') + "...', want an integer"},
    {"rollout: {max_new_tokens: 1k}\n", "c.yaml:1:11: rollout.max_new_tokens is '1k', want an integer"},
    {"rewards: [{plugin: a, timeout_s: 10s}]\n", "c.yaml:1:23: rewards[0].timeout_s is '10s', want a number"},
    {"rewards: [{plugin: a, memory_mb: 2GB}]\n", "c.yaml:1:23: rewards[0].memory_mb is '2GB', want an integer"},
};

// Each is refused by the whole of its error, and none is there twice.
void expect_refused(const std::vector<NegativeCase>& cases) {
  std::set<std::string> texts;
  for (const NegativeCase& wrong : cases) {
    EXPECT_EQ(message_of<ConfigError>([&] { read_run_config(parse_yaml(wrong.text, "c.yaml")); }), wrong.error)
        << wrong.text;
    EXPECT_TRUE(texts.insert(wrong.text).second) << "twice: " << wrong.text;
  }
}

TEST(NegativeConfigs, EveryOptionRefusesWhatItIsNotWithItsPlace) {
  const std::vector<NegativeCase> cases = NegativeCases::of(RunConfig{});
  EXPECT_GE(cases.size(), 300u);
  RecordProperty("cases", static_cast<int>(cases.size()));
  expect_refused(cases);
}

TEST(NegativeConfigs, EveryTrapOfYamlIsRefusedWithItsPlace) { expect_refused(kYamlTraps); }

}  // namespace
}  // namespace noregret
