#include "envs/base_conversion/base_conversion.h"

#include <algorithm>
#include <optional>

#include "envs/common/answer_episode.h"
#include "envs/common/procedural.h"

namespace noregret {
namespace {

constexpr std::string_view kDigits = "0123456789abcdefghijklmnopqrstuvwxyz";

std::string in_base(int64_t value, int64_t base) {
  std::string text;
  for (; value > 0; value /= base) text.insert(text.begin(), kDigits[static_cast<size_t>(value % base)]);
  return text.empty() ? "0" : text;
}

// The digits alone, small letters, no zeros before them. "0x" and its like, and the base as an index ("2d_{16}"), are
// left out where they name this base. Nothing where another sign is left.
std::optional<std::string> read_digits(std::string text, int64_t base) {
  for (char& c : text) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  for (const std::string& index : {cat("_", base), cat("_{", base, "}")}) {
    if (text.ends_with(index)) text.resize(text.size() - index.size());
  }
  const char* prefix = base == 2 ? "0b" : base == 8 ? "0o" : base == 16 ? "0x" : "";
  if (text.starts_with(prefix)) text.erase(0, std::string_view(prefix).size());
  if (text.empty()) return std::nullopt;
  for (const char c : text) {
    if (static_cast<int64_t>(kDigits.find(c)) >= base || kDigits.find(c) == std::string_view::npos) return std::nullopt;
  }
  text.erase(0, std::min(text.find_first_not_of('0'), text.size() - 1));
  return text;
}

// "2*16+13=45. " reads a number digit by digit; "45=22*2+1. " takes digits off it, the last one first.
std::string work_out(int64_t value, int64_t from, int64_t to) {
  std::string text;
  const auto say = [&text](const auto&... parts) { text += cat(text.empty() ? "" : " ", parts...); };
  if (from != 10) {
    int64_t so_far = 0;
    for (const char digit : in_base(value, from)) {
      const auto number = static_cast<int64_t>(kDigits.find(digit));
      if (so_far > 0) say(so_far, "*", from, "+", number, "=", so_far * from + number, ".");
      so_far = so_far * from + number;
    }
  }
  if (to != 10) {
    for (int64_t left = value; left > 0; left /= to) {
      say(left, "=", left / to, "*", to, "+", left % to, ".");
      if (left % to > 9) say(left % to, " is ", kDigits[static_cast<size_t>(left % to)], ".");
    }
  }
  return text;
}

class BaseConversion : public ProceduralTasks {
 public:
  BaseConversion(const BaseConversionOptions& options, uint64_t seed)
      : ProceduralTasks("base_conversion", write_fields(options), options.instruction, seed), options_(options) {}

  std::unique_ptr<Episode> start(const Task& task) const override {
    const auto base = task.metadata.at("to").get<int64_t>();
    return judge_answer([want = task.reference, base](const std::string& answer) {
      const std::optional<std::string> digits = read_digits(answer, base);
      if (!digits) return AnswerVerdict::kUnreadable;
      return *digits == want ? AnswerVerdict::kRight : AnswerVerdict::kWrong;
    });
  }

 private:
  Task draw(Rng question, Rng /*other*/) const override {
    const int64_t from = options_.bases[question.below(options_.bases.size())];
    int64_t to = from;
    while (to == from) to = options_.bases[question.below(options_.bases.size())];
    int64_t lowest = 1;
    for (int64_t i = 1; i < options_.level; ++i) lowest *= from;
    const int64_t value = draw_int(question, lowest, lowest * from - 1);  // 36^10 is below 2^52
    Task task;
    task.messages = {{"user", cat("Convert ", in_base(value, from), " from base ", from, " to base ", to, ".")}};
    task.reference = in_base(value, to);
    task.metadata = {{"level", options_.level}, {"from", from}, {"to", to}};
    task.demonstration = cat(work_out(value, from, to), "\n#### ", task.reference);
    return task;
  }

  BaseConversionOptions options_;
};

}  // namespace

std::unique_ptr<TaskSource> make_base_conversion(FieldReader& reader, const EnvContext& context) {
  BaseConversionOptions options;
  options.visit_fields(reader);
  reader.finish();
  const auto is_other = [&](int64_t base) { return base != options.bases.front(); };
  if (std::none_of(options.bases.begin(), options.bases.end(), is_other)) {
    const Node* written = reader.node().find("bases");
    throw ConfigError((written != nullptr ? *written : reader.node()).location.str() +
                      ": task.bases wants at least two different bases");
  }
  return std::make_unique<BaseConversion>(options, context.seed);
}

}  // namespace noregret
