#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>

#include "noregret/base/child_process.h"
#include "noregret/base/clock.h"
#include "noregret/base/descriptor.h"

namespace noregret {
namespace {

constexpr double kTickSeconds = 0.02;  // between looks at a process where the kernel has no pidfd

// Moves what is there into `text`; false at the end of the stream.
bool drain(const Descriptor& from, std::string& text, size_t max_bytes) {
  std::array<char, 65536> buffer;
  while (text.size() <= max_bytes) {
    const ssize_t count = read(from.get(), buffer.data(), buffer.size());
    if (count > 0) {
      text.append(buffer.data(), static_cast<size_t>(count));
    } else {
      return count < 0 && (errno == EAGAIN || errno == EINTR);
    }
  }
  return true;
}

// A program that reads no input must not end us by SIGPIPE: blocked in this thread while it writes, and taken away.
class NoSigpipe {
 public:
  NoSigpipe() {
    sigemptyset(&pipe_);
    sigaddset(&pipe_, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe_, &before_);
  }
  ~NoSigpipe() {
    const timespec now{};
    while (sigtimedwait(&pipe_, nullptr, &now) == SIGPIPE) {
    }
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }

 private:
  sigset_t pipe_;
  sigset_t before_;
};

class Streams {
 public:
  Streams(const ProgramOptions& options, ProgramResult& result) : options_(options), result_(result) {}

  std::vector<int> child_ends() const { return {in_.first.get(), out_.second.get(), err_.second.get()}; }

  void begin() {
    in_.first.reset();
    out_.second.reset();
    err_.second.reset();
    for (const int fd : {in_.second.get(), out_.first.get(), err_.first.get()}) fcntl(fd, F_SETFL, O_NONBLOCK);
    feed();
  }

  // Until both outputs are at their end, or the program, the time or the room is.
  void run(ChildProcess& process, const Stopwatch& running) {
    while (out_.first.get() >= 0 || err_.first.get() >= 0) {
      const bool has_ended = process.wait_for(0.0).has_value();
      const double left = options_.timeout_s - running.seconds();
      if (left <= 0) {
        result_.is_timed_out = true;
        return;
      }
      if (!has_ended) wait_for_news(process.end_fd(), left);
      take(out_.first, result_.out);
      take(err_.first, result_.err);
      if (has_ended || result_.is_output_too_long) return;  // what is still in the pipes has been taken
    }
  }

 private:
  void wait_for_news(int end_fd, double seconds) {
    std::array<pollfd, 4> waits{{{in_.second.get(), POLLOUT, 0},
                                 {out_.first.get(), POLLIN, 0},
                                 {err_.first.get(), POLLIN, 0},
                                 {end_fd, POLLIN, 0}}};
    const double most = end_fd < 0 ? kTickSeconds : seconds;
    poll(waits.data(), waits.size(), static_cast<int>(std::min(seconds, most) * 1000) + 1);
    if (waits[0].revents != 0) feed();
  }

  void feed() {
    const size_t left = options_.input.size() - num_fed_;
    const ssize_t count = left == 0 ? 0 : write(in_.second.get(), options_.input.data() + num_fed_, left);
    if (count > 0) num_fed_ += static_cast<size_t>(count);
    const bool is_broken = count < 0 && errno != EAGAIN && errno != EINTR;
    if (is_broken || num_fed_ == options_.input.size()) in_.second.reset();
  }

  void take(Descriptor& from, std::string& text) {
    if (from.get() < 0) return;
    if (!drain(from, text, options_.max_output_bytes)) from.reset();
    if (text.size() <= options_.max_output_bytes) return;
    text.resize(options_.max_output_bytes);
    result_.is_output_too_long = true;
  }

  const ProgramOptions& options_;
  ProgramResult& result_;
  DescriptorPair in_ = make_pipe();
  DescriptorPair out_ = make_pipe();
  DescriptorPair err_ = make_pipe();
  size_t num_fed_ = 0;
};

}  // namespace

ProgramResult run_program(const ProgramOptions& options) {
  ProgramResult result;
  const NoSigpipe guard;
  Streams streams(options, result);
  ChildOptions child;
  child.program = options.program;
  child.args = options.args;
  child.environment = options.environment;
  child.descriptors = streams.child_ends();
  child.descriptors.insert(child.descriptors.end(), options.extra_descriptors.begin(), options.extra_descriptors.end());
  const Stopwatch running;
  ChildProcess process(child);
  streams.begin();
  streams.run(process, running);
  const bool is_cut = result.is_timed_out || result.is_output_too_long;
  const std::optional<ChildEnd> end = is_cut ? std::nullopt : process.wait_for(options.timeout_s - running.seconds());
  if (!end && !is_cut) result.is_timed_out = true;
  result.end = end ? *end : process.kill();
  return result;
}

}  // namespace noregret
