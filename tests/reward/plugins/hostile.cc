#include <dlfcn.h>
#include <fcntl.h>
#include <unistd.h>

#include <cmath>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "tests/reward/plugins/descriptor.h"

// Does to its process what the first item's completion says. Only ever to be loaded by a worker.
namespace {

volatile int sink = 0;
volatile uintptr_t nowhere = 8;

int overflow(int depth) {
  if (sink < 0) return 0;
  volatile char frame[1 << 12];
  frame[0] = static_cast<char>(depth);
  return overflow(depth + 1) + frame[0];
}

void loop() {
  while (true) sink = 1;
}

void ignore_term() {
  for (int number = 1; number < NSIG; ++number) std::signal(number, SIG_IGN);
  loop();
}

void allocate() {
  std::vector<char*> blocks;
  for (size_t size = 0; size < (size_t{10} << 30); size += size_t{64} << 20) {
    char* block = new char[size_t{64} << 20];
    for (size_t i = 0; i < (size_t{64} << 20); i += 4096) block[i] = 1;
    blocks.push_back(block);
  }
}

void fork_bomb() {
  while (true) (void)!fork();
}

// Descendants that leave the process group, and outlive their parents.
void daemon_bomb() {
  for (int i = 0; i < 5; ++i) {
    if (fork() == 0) {
      setsid();
      if (fork() == 0) loop();
      _exit(0);
    }
  }
}

void print_gigabyte() {
  const std::string megabyte(size_t{1} << 20, 'x');
  for (int i = 0; i < 1024; ++i) {
    for (size_t done = 0; done < megabyte.size();) {
      const ssize_t count = write(STDOUT_FILENO, megabyte.data() + done, megabyte.size() - done);
      if (count <= 0) return;
      done += static_cast<size_t>(count);
    }
  }
}

void write_channel(const char* text) { (void)!write(3, text, std::strlen(text)); }

void flood_channel() {
  const std::string block(size_t{1} << 20, 'x');
  while (write(3, block.data(), block.size()) > 0) {
  }
}

void unload() {
  Dl_info info;
  dladdr(reinterpret_cast<void*>(&unload), &info);
  void* library = dlopen(info.dli_fname, RTLD_NOW | RTLD_NOLOAD);
  for (int i = 0; i < 3; ++i) dlclose(library);
}

const std::map<std::string, std::function<void()>>& faults() {
  static const std::map<std::string, std::function<void()>> table = {
      {"throw std", [] { throw std::runtime_error("out of luck"); }},
      {"throw int", [] { throw 7; }},
      {"exit", [] { std::exit(0); }},
      {"abort", [] { std::abort(); }},
      {"segv", [] { *reinterpret_cast<volatile int*>(nowhere) = 1; }},
      {"stack overflow", [] { sink = overflow(0); }},
      {"loop", loop},
      {"ignored sigterm", ignore_term},
      {"10 GB", allocate},
      {"fork bomb", fork_bomb},
      {"daemons", daemon_bomb},
      {"closed descriptors", [] { close_range(0, ~0u, 0); }},
      {"1 GB of output", print_gigabyte},
      {"garbage on the channel", [] { write_channel("{]\n"); }},
      {"forged result", [] { write_channel("{\"results\":[{\"id\":\"item\",\"reward\":1.0}]}\n"); }},
      {"flood on the channel", flood_channel},
      {"unload", unload},
      {"kill 9", [] { kill(getpid(), SIGKILL); }},
      {"chatter", [] { write_channel(""), (void)!write(STDERR_FILENO, "hello from the judge\n", 21); }},
      {"sleep", [] { usleep(50000); }},
  };
  return table;
}

void hostile_score(void* self, const noregret_item* items, size_t num_items, noregret_result* results) {
  const std::string completion(items->completion, items->completion_size);
  const auto fault = faults().find(completion);
  if (fault != faults().end()) fault->second();
  score(self, items, num_items, results);
  if (completion == "nan") results->reward = std::nan("");
  if (completion == "too high") results->reward = 1.5;
  if (completion == "no verdict") results->status = NOREGRET_UNSET;
}

}  // namespace

EXPORT_WITH(plugin.score = hostile_score; plugin.name = "hostile")
