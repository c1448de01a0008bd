#include "noregret/run/reporter.h"

#include <cstdio>

#include "noregret/base/error.h"
#include "noregret/base/text.h"

namespace noregret {
namespace {

// One line of at most `width` bytes, cut between characters, line ends shown as a slash.
std::string one_line(const std::string& text, size_t width) {
  std::string line;
  for (const char c : text) {
    if (c == '\n') {
      line += " / ";
    } else {
      line += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
    }
  }
  if (line.size() <= width) return line;
  size_t end = width - 3;
  while (end > 0 && (static_cast<unsigned char>(line[end]) & 0xC0) == 0x80) --end;
  return line.substr(0, end) + "...";
}

std::string score_text(const TrajectoryGroup& group, const Trajectory& sample, const std::vector<std::string>& names) {
  char number[32];
  std::string text;
  if (sample.score.status == ScoreStatus::kOk) {
    std::snprintf(number, sizeof number, "%.2f", sample.score.reward);
    text = cat("reward ", number);
  } else {
    text = cat("reward failed (", one_line(sample.score.error, 120), ")");
  }
  for (size_t i = 0; i < sample.score.breakdown.size() && i < names.size(); ++i) {
    const ComponentScore& part = sample.score.breakdown[i];
    std::snprintf(number, sizeof number, "%.2f", part.score);
    text += cat(", ", names[i], " ", part.status == ScoreStatus::kOk ? number : "failed");
  }
  return text + cat(", ", sample.completion.num_sampled(), " tokens, ",
                    finish_reason_name(sample.completion.finish_reason), ", want ", one_line(group.task.reference, 24));
}

// What the policy said; an environment's answers stand between brackets.
std::string transcript(const Trajectory& sample) {
  if (!sample.episode || sample.episode->turns.size() < 2) return sample.text;
  std::string text;
  for (const Message& turn : sample.episode->turns) {
    const std::string said = one_line(turn.content, 240);
    text += cat(text.empty() ? "" : " ", turn.role == "assistant" ? said : cat("[", said, "]"));
  }
  return text;
}

}  // namespace

Reporter::~Reporter() { clear_status(); }

void Reporter::keep(const fs::path& log_file) { log_ = std::make_unique<AppendFile>(log_file); }

void Reporter::line(const std::string& text) {
  clear_status();
  std::fprintf(stderr, "%s\n", text.c_str());
  if (!log_) return;
  try {
    log_->write(text + "\n");
  } catch (const IoError&) {  // it stands on stderr; what writes results says that the disk is full
  }
}

void Reporter::warn(const std::string& text) { line("warning: " + text); }

void Reporter::status(const std::string& text) {
  if (!is_terminal_) return;
  std::fprintf(stderr, "\r\033[K%s", text.c_str());
  std::fflush(stderr);
  has_status_ = true;
}

void Reporter::clear_status() {
  if (!has_status_) return;
  std::fprintf(stderr, "\r\033[K");
  has_status_ = false;
}

std::string sample_table(const std::vector<TrajectoryGroup>& groups, const std::vector<std::string>& component_names,
                         int64_t num_rows) {
  std::string table;
  for (size_t i = 0; i < groups.size() && i < static_cast<size_t>(num_rows); ++i) {
    const TrajectoryGroup& group = groups[i];
    if (group.trajectories.empty()) continue;
    const Trajectory& sample = group.trajectories.front();
    if (!table.empty()) table += "\n";
    table += cat("  prompt      ", one_line(group.prompt_text, 160), "\n  completion  ",
                 one_line(transcript(sample), 240), "\n              ", score_text(group, sample, component_names));
  }
  return table;
}

}  // namespace noregret
