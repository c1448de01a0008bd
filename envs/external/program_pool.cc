#include "envs/external/program_pool.h"

#include "noregret/base/text.h"

namespace noregret {
namespace {

constexpr double kStartSeconds = 20.0;  // to load, however short the time for an answer is

EnvFault fault_of(ProcessFault fault) {
  switch (fault) {
    case ProcessFault::kTimeout:
      return EnvFault::kTimeout;
    case ProcessFault::kCrashed:
      return EnvFault::kCrashed;
    default:
      return EnvFault::kProtocol;
  }
}

std::string refusal_in(const Json& value) {
  const bool is_refusal = value.contains("error") && !value["error"].is_null();
  if (!is_refusal) return "";
  return clean_line(value["error"].is_string() ? value["error"].get<std::string>() : dump_json(value["error"]));
}

}  // namespace

ProgramPool::ProgramPool(JsonProcessOptions options, Json hello, size_t num_workers, double timeout_s)
    : options_(std::move(options)), hello_(std::move(hello)), timeout_s_(timeout_s) {
  for (size_t i = 0; i < num_workers; ++i) threads_.emplace_back([this] { work(); });
}

ProgramPool::~ProgramPool() {
  {
    const std::scoped_lock lock(mutex_);
    is_closed_ = true;
  }
  has_job_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

Json ProgramPool::greet() {
  Job job{nullptr, nullptr, {}};
  run(job);
  if (job.reply.fault != ProcessFault::kNone) {
    throw ConfigError(cat(options_.label, ": it does not start: ", job.reply.error));
  }
  const std::string refusal = refusal_in(job.reply.value);
  if (!refusal.empty()) throw ConfigError(cat(options_.label, ": ", refusal));
  return job.reply.value;
}

Json ProgramPool::ask(const Json& message, const std::atomic<bool>* cancel) {
  Job job{&message, cancel, {}};
  run(job);
  if (job.reply.fault != ProcessFault::kNone) throw EnvError(fault_of(job.reply.fault), job.reply.error);
  const std::string refusal = refusal_in(job.reply.value);
  if (!refusal.empty()) throw EnvError(EnvFault::kFailed, refusal);
  return job.reply.value;
}

void ProgramPool::run(Job& job) {
  std::unique_lock lock(mutex_);
  jobs_.push_back(&job);
  has_job_.notify_one();
  is_done_.wait(lock, [&job] { return job.is_done; });
}

void ProgramPool::work() {
  JsonProcess process(options_);
  std::unique_lock lock(mutex_);
  while (true) {
    has_job_.wait(lock, [this] { return is_closed_ || !jobs_.empty(); });
    if (is_closed_) return;
    Job& job = *jobs_.front();
    jobs_.pop_front();
    lock.unlock();
    JsonProcess::Reply reply = serve(process, job);
    lock.lock();
    job.reply = std::move(reply);
    job.is_done = true;
    is_done_.notify_all();
  }
}

JsonProcess::Reply ProgramPool::serve(JsonProcess& process, const Job& job) const {
  if (job.message == nullptr || !process.is_running()) {
    try {
      process.start();
    } catch (const IoError& e) {
      return {ProcessFault::kCrashed, e.what(), {}};
    }
    JsonProcess::Reply reply = process.ask(hello_, kStartSeconds, job.cancel);
    if (job.message == nullptr || reply.fault != ProcessFault::kNone || !refusal_in(reply.value).empty()) return reply;
  }
  return process.ask(*job.message, timeout_s_, job.cancel);
}

}  // namespace noregret
