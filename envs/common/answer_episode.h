#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "noregret/rollout/env.h"

namespace noregret {

// The answer that a turn ends with, without white space around it: what follows the last "####" on its line; without
// one, what stands in the last \boxed. Only what follows the last </think> is looked at; nothing where reasoning is
// opened and never closed, where the answer is empty or longer than 512 bytes, or where the turn was cut before the
// answer's end.
std::optional<std::string> answer_of(const Turn& turn);

enum class AnswerVerdict { kUnreadable, kWrong, kRight };

// An episode of one turn: score 1 when `judge` finds the turn's answer right, else 0. Parts: `answered` (there is an
// answer) and `readable` (it is in the asked-for form).
std::unique_ptr<Episode> judge_answer(std::function<AnswerVerdict(const std::string& answer)> judge);

}  // namespace noregret
