#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>

#include "base/posix_file.h"
#include "noregret/base/child_process.h"
#include "noregret/base/clock.h"
#include "noregret/base/error.h"
#include "noregret/base/text.h"

namespace noregret {
namespace {

struct Pipe {
  Descriptor read_end;
  Descriptor write_end;
};

Pipe make_pipe() {
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0) throw IoError(cat("cannot make a pipe: ", errno_text(errno)));
  return Pipe{Descriptor(ends[0]), Descriptor(ends[1])};
}

void close_now(Descriptor& descriptor) { const Descriptor closed(descriptor.release()); }

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

  std::vector<int> child_ends() const { return {in_.read_end.get(), out_.write_end.get(), err_.write_end.get()}; }

  void begin() {
    close_now(in_.read_end);
    close_now(out_.write_end);
    close_now(err_.write_end);
    for (const int fd : {in_.write_end.get(), out_.read_end.get(), err_.read_end.get()}) fcntl(fd, F_SETFL, O_NONBLOCK);
    feed();
  }

  // Until both outputs are at their end, or the time or the room is.
  void run(const Stopwatch& running) {
    while (out_.read_end.get() >= 0 || err_.read_end.get() >= 0) {
      const double left = options_.timeout_s - running.seconds();
      if (left <= 0) {
        result_.is_timed_out = true;
        return;
      }
      std::array<pollfd, 3> waits{
          {{in_.write_end.get(), POLLOUT, 0}, {out_.read_end.get(), POLLIN, 0}, {err_.read_end.get(), POLLIN, 0}}};
      poll(waits.data(), waits.size(), static_cast<int>(left * 1000) + 1);
      if (waits[0].revents != 0) feed();
      take(out_.read_end, result_.out);
      take(err_.read_end, result_.err);
      if (result_.is_output_too_long) return;
    }
  }

 private:
  void feed() {
    const size_t left = options_.input.size() - num_fed_;
    const ssize_t count = left == 0 ? 0 : write(in_.write_end.get(), options_.input.data() + num_fed_, left);
    if (count > 0) num_fed_ += static_cast<size_t>(count);
    const bool is_broken = count < 0 && errno != EAGAIN && errno != EINTR;
    if (is_broken || num_fed_ == options_.input.size()) close_now(in_.write_end);
  }

  void take(Descriptor& from, std::string& text) {
    if (from.get() < 0) return;
    if (!drain(from, text, options_.max_output_bytes)) close_now(from);
    if (text.size() <= options_.max_output_bytes) return;
    text.resize(options_.max_output_bytes);
    result_.is_output_too_long = true;
  }

  const ProgramOptions& options_;
  ProgramResult& result_;
  Pipe in_ = make_pipe();
  Pipe out_ = make_pipe();
  Pipe err_ = make_pipe();
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
  streams.run(running);
  const bool is_cut = result.is_timed_out || result.is_output_too_long;
  const std::optional<ChildEnd> end = is_cut ? std::nullopt : process.wait_for(options.timeout_s - running.seconds());
  if (!end && !is_cut) result.is_timed_out = true;
  result.end = end ? *end : process.kill();
  return result;
}

}  // namespace noregret
