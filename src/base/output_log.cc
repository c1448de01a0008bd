#include "noregret/base/output_log.h"

#include <algorithm>
#include <utility>

#include "noregret/base/error.h"
#include "noregret/base/text.h"

namespace noregret {
namespace {

constexpr size_t kMaxLogBytes = size_t{16} << 20;
constexpr size_t kMaxKeptBytes = size_t{1} << 18;
constexpr size_t kMaxProcessBytes = size_t{1} << 18;
constexpr size_t kMaxLineBytes = 1000;

// Bytes of a multi-byte character at the end; all of it may be there, or its beginning.
size_t cut_character_size(std::string_view text) {
  for (size_t size = 1; size <= std::min<size_t>(4, text.size()); ++size) {
    const auto byte = static_cast<unsigned char>(text[text.size() - size]);
    if (byte >= 0xC0) return size;
    if (byte < 0x80) return 0;
  }
  return 0;
}

}  // namespace

std::string clean_line(std::string_view text) {
  const std::string_view whole = text.substr(0, text.size() - cut_character_size(text));
  if (!is_valid_utf8(text) && is_valid_utf8(whole)) text = whole;
  const bool is_utf8 = is_valid_utf8(text);
  std::string line(text);
  for (char& c : line) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7F) c = ' ';
    if (byte >= 0x80 && !is_utf8) c = '?';
  }
  return line;
}

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
    num_bytes_ = kMaxLogBytes + 1;  // a full disk stops the run where it saves, not where a program chatters
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
  last_line_ = clean_line(line);
  num_bytes_ += line.size() + 1;
  const bool is_last = num_bytes_ > kMaxProcessBytes;
  log_.write(label_, is_last ? "(more of this process is left out)" : last_line_);
}

}  // namespace noregret
