// Compares answers in a process of its own: what it takes on may use up memory or time. Started by noregret_grade, with
// a socket as its standard input (worker_protocol.h); not for use by hand.
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "grade_worker/judge.h"
#include "noregret/base/error.h"
#include "noregret/grade/worker_protocol.h"

namespace noregret::math {
namespace {

constexpr int kSocket = 0;
[[maybe_unused]] constexpr rlim_t kMemory = rlim_t{512} << 20;

void set_limit(int resource, rlim_t value) {
  const rlimit limit{value, value};
  setrlimit(resource, &limit);
}

// The parent kills a worker that is late. Where the parent is gone, SIGALRM does. (PDEATHSIG would also kill the worker
// of a program whose thread that started it has ended.)
void set_alarm(uint32_t deadline_ms) {
  itimerval timer{};
  timer.it_value.tv_sec = deadline_ms == 0 ? 0 : deadline_ms / 1000 + 2;
  setitimer(ITIMER_REAL, &timer, nullptr);
}

Outcome answer(const Question& question) {
  const Parsed gold = parse_answer(question.gold, question.gold_commas);
  const Parsed prediction = parse_answer(question.prediction, question.prediction_commas);
  if (!gold.is_ok() || !prediction.is_ok()) return {Judgement::kUnknown, 0};
  Judge judge(question.options);
  return compare(gold.expr, prediction.expr, question.options, &judge);
}

ssize_t receive(char* buffer) {
  ssize_t size = 0;
  do {
    size = recv(kSocket, buffer, kMaxMessage, 0);
  } while (size < 0 && errno == EINTR);
  return size;
}

int serve() {
  char buffer[kMaxMessage];
  const std::string ready = encode(Reply{});  // deadlines count from now on, not from when the program was started
  if (send(kSocket, ready.data(), ready.size(), MSG_NOSIGNAL) < 0) return 0;
  for (ssize_t size = receive(buffer); size > 0; size = receive(buffer)) {
    const std::optional<Question> question = decode_question({buffer, static_cast<size_t>(size)});
    if (!question) return static_cast<int>(ExitCode::kData);
    set_alarm(static_cast<uint32_t>(question->options.deadline_ms));
    const std::string reply = encode(Reply{question->sequence, answer(*question)});
    set_alarm(0);
    if (send(kSocket, reply.data(), reply.size(), MSG_NOSIGNAL) < 0) break;
  }
  return 0;  // the other end is closed
}

}  // namespace
}  // namespace noregret::math

int main() {
  int type = 0;
  socklen_t size = sizeof type;
  if (getsockopt(noregret::math::kSocket, SOL_SOCKET, SO_TYPE, &type, &size) != 0 || type != SOCK_SEQPACKET) {
    std::fputs("noregret-grade-worker: is started by the grader, not by hand; see noregret grade --help\n", stderr);
    return static_cast<int>(noregret::ExitCode::kUsage);
  }
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  noregret::math::set_limit(RLIMIT_CORE, 0);
#ifndef NOREGRET_SANITIZED  // a sanitizer's shadow is terabytes of address space
  noregret::math::set_limit(RLIMIT_AS, noregret::math::kMemory);
#endif
  noregret::math::set_limit(RLIMIT_FSIZE, 0);
  return noregret::math::serve();
}
