#include "reward/output_log.h"

#include <utility>

#include "noregret/base/error.h"
#include "noregret/base/text.h"
#include "reward/raw_batch.h"

namespace noregret {
namespace {

constexpr size_t kMaxLogBytes = size_t{16} << 20;
constexpr size_t kMaxKeptBytes = size_t{1} << 18;
constexpr size_t kMaxProcessBytes = size_t{1} << 18;
constexpr size_t kMaxLineBytes = 1000;

}  // namespace

void OutputLog::open(const std::filesystem::path& file) {
  auto log = std::make_unique<AppendFile>(file);
  const std::scoped_lock lock(mutex_);
  file_ = std::move(log);
  if (!kept_.empty()) file_->write(std::exchange(kept_, ""));
}

std::string OutputLog::take() {
  const std::scoped_lock lock(mutex_);
  return std::exchange(kept_, "");
}

bool OutputLog::write(const std::string& label, std::string_view line) {
  const std::scoped_lock lock(mutex_);
  if (num_bytes_ > kMaxLogBytes || (!file_ && kept_.size() > kMaxKeptBytes)) return false;
  const std::string text = cat(label, " prints: ", line, "\n");
  num_bytes_ += text.size();
  try {
    file_ ? file_->write(text) : void(kept_ += text);
  } catch (const IoError&) {
    num_bytes_ = kMaxLogBytes + 1;  // a full disk stops the run where it saves, not where a reward chatters
  }
  return true;
}

void OutputLines::feed(std::string_view bytes) {
  while (!bytes.empty() && num_bytes_ <= kMaxProcessBytes) {
    const size_t end = bytes.find('\n');
    const std::string_view piece = bytes.substr(0, end);
    open_line_ += piece.substr(0, kMaxLineBytes - std::min(kMaxLineBytes, open_line_.size()));
    if (end == std::string_view::npos) return;
    put(open_line_);
    open_line_.clear();
    bytes.remove_prefix(end + 1);
  }
}

void OutputLines::end() {
  if (!open_line_.empty()) put(open_line_);
  open_line_.clear();
}

void OutputLines::put(std::string_view line) {
  last_line_ = plugin_text(line);
  num_bytes_ += line.size() + 1;
  const bool is_last = num_bytes_ > kMaxProcessBytes;
  log_.write(label_, is_last ? "(more of this process is left out)" : last_line_);
}

}  // namespace noregret
