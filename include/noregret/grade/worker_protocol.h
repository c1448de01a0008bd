#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "noregret/grade/compare.h"
#include "noregret/grade/parse.h"

// One datagram a question and one an answer, over a SOCK_SEQPACKET pair that is the worker's standard input. Both ends
// are of one build, so the bytes are those of this machine.
namespace noregret::math {

constexpr size_t kMaxMessage = 4096;

struct Question {
  uint32_t sequence = 0;
  GradeOptions options;
  Commas gold_commas = Commas::kGroupThousands;
  Commas prediction_commas = Commas::kGroupThousands;
  std::string gold;
  std::string prediction;
};

struct Reply {
  uint32_t sequence = 0;
  Outcome outcome;
};

std::string encode(const Question& question);
std::string encode(const Reply& reply);
std::optional<Question> decode_question(std::string_view message);
std::optional<Reply> decode_reply(std::string_view message);

}  // namespace noregret::math
