#include "noregret/grade/worker_protocol.h"

#include <cstring>

namespace noregret::math {
namespace {

enum Flag : uint32_t {
  kRequireReduced = 1,
  kCheckUnits = 2,
  kPercentAsFraction = 4,
  kBareBase = 8,
  kAcceptNumeric = 16,
  kAcceptOverlap = 32,
  kGoldSeparates = 64,
  kPredictionSeparates = 128,
};

struct QuestionHead {
  uint32_t sequence;
  uint32_t flags;
  uint32_t tolerance_digits;
  uint32_t deadline_ms;
  uint32_t gold_size;
};

struct ReplyBody {
  uint32_t sequence;
  int32_t judgement;
  int32_t tier;
};

template <class Body>
std::string bytes_of(const Body& body) {
  std::string bytes(sizeof body, '\0');
  std::memcpy(bytes.data(), &body, sizeof body);
  return bytes;
}

}  // namespace

std::string encode(const Question& question) {
  const GradeOptions& options = question.options;
  QuestionHead head{};
  head.sequence = question.sequence;
  head.flags = (options.require_reduced ? kRequireReduced : 0u) | (options.check_units ? kCheckUnits : 0u) |
               (options.percent_as_fraction ? kPercentAsFraction : 0u) | (options.bare_base ? kBareBase : 0u) |
               (options.accept_numeric ? kAcceptNumeric : 0u) |
               (options.accept_overlap_300_bits ? kAcceptOverlap : 0u) |
               (question.gold_commas == Commas::kSeparate ? kGoldSeparates : 0u) |
               (question.prediction_commas == Commas::kSeparate ? kPredictionSeparates : 0u);
  head.tolerance_digits = static_cast<uint32_t>(options.tolerance_digits);
  head.deadline_ms = static_cast<uint32_t>(options.deadline_ms);
  head.gold_size = static_cast<uint32_t>(question.gold.size());
  return bytes_of(head) + question.gold + question.prediction;
}

std::string encode(const Reply& reply) {
  return bytes_of(ReplyBody{reply.sequence, static_cast<int32_t>(reply.outcome.judgement), reply.outcome.tier});
}

std::optional<Question> decode_question(std::string_view message) {
  QuestionHead head{};
  if (message.size() < sizeof head) return {};
  std::memcpy(&head, message.data(), sizeof head);
  message.remove_prefix(sizeof head);
  if (head.gold_size > message.size()) return {};
  Question question;
  question.sequence = head.sequence;
  GradeOptions& options = question.options;
  options.require_reduced = (head.flags & kRequireReduced) != 0;
  options.check_units = (head.flags & kCheckUnits) != 0;
  options.percent_as_fraction = (head.flags & kPercentAsFraction) != 0;
  options.bare_base = (head.flags & kBareBase) != 0;
  options.accept_numeric = (head.flags & kAcceptNumeric) != 0;
  options.accept_overlap_300_bits = (head.flags & kAcceptOverlap) != 0;
  options.tolerance_digits = head.tolerance_digits;
  options.deadline_ms = head.deadline_ms;
  const auto commas = [&](Flag flag) { return (head.flags & flag) != 0 ? Commas::kSeparate : Commas::kGroupThousands; };
  question.gold_commas = commas(kGoldSeparates);
  question.prediction_commas = commas(kPredictionSeparates);
  question.gold = message.substr(0, head.gold_size);
  question.prediction = message.substr(head.gold_size);
  return question;
}

std::optional<Reply> decode_reply(std::string_view message) {
  ReplyBody body{};
  if (message.size() != sizeof body) return {};
  std::memcpy(&body, message.data(), sizeof body);
  const auto judgement = static_cast<Judgement>(body.judgement);
  if (judgement < Judgement::kEqual || judgement > Judgement::kOverCap) return {};
  return Reply{body.sequence, {judgement, body.tier}};
}

}  // namespace noregret::math
