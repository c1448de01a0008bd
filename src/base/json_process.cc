#include "noregret/base/json_process.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cmath>

#include "noregret/base/check.h"
#include "noregret/base/clock.h"
#include "noregret/base/error.h"
#include "noregret/base/text.h"

namespace noregret {
namespace {

constexpr double kTickSeconds = 0.05;  // between looks at the cancel flag
constexpr double kEndSeconds = 0.5;    // for a process whose channel is closed to be seen as ended

void set_nonblocking(const Descriptor& fd) { fcntl(fd.get(), F_SETFL, O_NONBLOCK); }

// The launcher, which outlives what it started by a moment, tells a signal as a shell would.
std::string end_text(ChildEnd end) {
  if (end.exit_code > 128) {
    end.signal = end.exit_code - 128;
    end.exit_code = -1;
  }
  return end.text();
}

// Bytes of a "NaN", "Infinity" or "-Infinity" at the beginning.
size_t nan_size(std::string_view text) {
  for (const std::string_view word : {"NaN", "Infinity", "-Infinity"}) {
    if (text.starts_with(word)) return word.size();
  }
  return 0;
}

std::string without_nan(std::string_view text) {
  std::string out;
  bool is_in_string = false;
  for (size_t i = 0; i < text.size();) {
    const size_t size = is_in_string ? 0 : nan_size(text.substr(i));
    if (size > 0) {
      out += "null";
      i += size;
      continue;
    }
    if (text[i] == '"') is_in_string = !is_in_string;
    const size_t step = is_in_string && text[i] == '\\' ? 2 : 1;
    out += text.substr(i, step);
    i += step;
  }
  return out;
}

}  // namespace

std::string make_nonce() {
  std::array<unsigned char, 16> bytes{};
  NOREGRET_CHECK(getrandom(bytes.data(), bytes.size(), 0) == static_cast<ssize_t>(bytes.size()));
  std::string text;
  for (const unsigned char byte : bytes) {
    text += "0123456789abcdef"[byte >> 4];
    text += "0123456789abcdef"[byte & 15];
  }
  return text;
}

Json parse_reply(std::string_view text) {
  try {
    return parse_json(text, "the reply");
  } catch (const DataError&) {
    const std::string without = without_nan(text);
    if (without == text) throw;
    return parse_json(without, "the reply");
  }
}

void JsonProcess::start() {
  stop();
  DescriptorPair channel = make_socket_pair();
  DescriptorPair output = make_pipe();
  ChildOptions child;
  child.program = options_.program;
  child.args = options_.args;
  child.environment = options_.environment;
  child.descriptors = {-1, output.second.get(), output.second.get(), channel.second.get()};
  child.wants_namespace = options_.wants_namespace;
  process_ = std::make_unique<ChildProcess>(child);
  channel.second.reset();  // the child's end of it is all that may keep it open
  output.second.reset();
  channel_ = std::move(channel.first);
  output_ = std::move(output.first);
  set_nonblocking(channel_);
  set_nonblocking(output_);
  lines_.emplace(options_.label, *options_.log);
  inbox_.clear();
}

void JsonProcess::stop() {
  if (process_) process_->kill();
  if (output_.get() >= 0) take_output();
  if (lines_) lines_->end();
  process_.reset();
  channel_.reset();
  output_.reset();
}

JsonProcess::Reply JsonProcess::ask(Json message, double seconds, const std::atomic<bool>* cancel) {
  const std::string nonce = make_nonce();
  message["nonce"] = nonce;
  std::string outbox = dump_json(message) + "\n";
  const Stopwatch waiting;
  while (true) {
    if (!send_some(outbox)) return ended();
    const size_t line_end = inbox_.find('\n');
    if (line_end != std::string::npos) {
      const Reply reply = read_line(std::string_view(inbox_).substr(0, line_end), nonce);
      inbox_.erase(0, line_end + 1);
      if (reply.fault != ProcessFault::kNone) stop();
      return reply;
    }
    const double left = seconds - waiting.seconds();
    const bool is_cancelled = cancel != nullptr && *cancel;
    if (left <= 0 || is_cancelled || inbox_.size() > kMaxReplyBytes) {
      stop();
      if (is_cancelled) return Reply{ProcessFault::kTimeout, "not waited for: the run stops", {}};
      if (left > 0) return Reply{ProcessFault::kProtocol, cat("its answer is longer than ", kMaxReplyBytes), {}};
      return Reply{ProcessFault::kTimeout, with_last_words(cat("no answer within ", seconds, " s")), {}};
    }
    const short events = outbox.empty() ? POLLIN : POLLIN | POLLOUT;
    std::array<pollfd, 2> waits{{{channel_.get(), events, 0}, {output_.get(), POLLIN, 0}}};
    poll(waits.data(), waits.size(), static_cast<int>(std::ceil(std::min(left, kTickSeconds) * 1000)));
    if (waits[1].revents != 0) take_output();
    if ((waits[0].revents & (POLLIN | POLLHUP | POLLERR)) != 0 && !receive_some()) return ended();
  }
}

bool JsonProcess::send_some(std::string& outbox) const {
  while (!outbox.empty()) {
    const ssize_t count = send(channel_.get(), outbox.data(), outbox.size(), MSG_NOSIGNAL);
    if (count < 0) return errno == EAGAIN || errno == EINTR;
    outbox.erase(0, static_cast<size_t>(count));
  }
  return true;
}

bool JsonProcess::receive_some() {
  std::array<char, 65536> buffer;
  const ssize_t count = recv(channel_.get(), buffer.data(), buffer.size(), 0);
  if (count > 0) inbox_.append(buffer.data(), static_cast<size_t>(count));
  return count > 0 || (count < 0 && (errno == EAGAIN || errno == EINTR));
}

void JsonProcess::take_output() {
  std::array<char, 65536> buffer;
  for (int i = 0; i < 64; ++i) {  // 4 MiB at most, then a look at the clock
    const ssize_t count = read(output_.get(), buffer.data(), buffer.size());
    if (count > 0) {
      lines_->feed({buffer.data(), static_cast<size_t>(count)});
    } else {
      if (count == 0) output_.reset();
      return;
    }
  }
}

JsonProcess::Reply JsonProcess::read_line(std::string_view line, const std::string& nonce) const {
  try {
    Json value = parse_reply(line);
    const bool is_answer = value.is_object() && value.contains("nonce") && value["nonce"] == nonce;
    if (is_answer) return Reply{ProcessFault::kNone, "", std::move(value)};
    return Reply{ProcessFault::kProtocol, cat("a line without the request's nonce: ", quoted(line)), {}};
  } catch (const DataError& e) {
    return Reply{ProcessFault::kProtocol, cat("a line that is no JSON: ", quoted(line), ": ", e.what()), {}};
  }
}

JsonProcess::Reply JsonProcess::ended() {
  const std::optional<ChildEnd> end = process_->wait_for(kEndSeconds);
  stop();
  if (!end) return Reply{ProcessFault::kProtocol, with_last_words("it closed its channel"), {}};
  return Reply{ProcessFault::kCrashed, with_last_words(cat("its process ended with ", end_text(*end))), {}};
}

std::string JsonProcess::with_last_words(const std::string& why) const {
  const std::string& words = lines_->last_line();
  return words.empty() ? why : cat(why, "; its last line: ", quoted(words));
}

}  // namespace noregret
