#include "sandbox.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <stdexcept>

#include "noregret/base/descriptor.h"
#include "noregret/base/error.h"
#include "noregret/base/text.h"
#include "syscall_filter.h"

namespace {

namespace fs = std::filesystem;
using noregret::cat;
using noregret::Descriptor;
using noregret::ProgramResult;

constexpr const char* kBwrap = "/usr/bin/bwrap";
constexpr const char* kSetpriv = "/usr/bin/setpriv";
constexpr const char* kPrlimit = "/usr/bin/prlimit";
constexpr int kFirstExtra = 3;  // descriptors beyond stdin, stdout, stderr begin here
constexpr int64_t kMaxFileBytes = int64_t{64} << 20;
constexpr int kMaxProcesses = 64;
constexpr double kProbeSeconds = 20.0;

// A file in memory, read from its begin.
Descriptor memory_file(const std::string& text) {
  Descriptor file(memfd_create("file", MFD_CLOEXEC));
  size_t done = 0;
  while (file.get() >= 0 && done < text.size()) {
    const ssize_t count = write(file.get(), text.data() + done, text.size() - done);
    if (count < 0 && errno != EINTR) break;
    if (count > 0) done += static_cast<size_t>(count);
  }
  if (file.get() < 0 || done < text.size() || lseek(file.get(), 0, SEEK_SET) != 0) {
    throw noregret::IoError(cat("cannot make a file in memory: ", noregret::errno_text(errno)));
  }
  return file;
}

std::vector<std::string> limit_command(const SandboxLimits& limits) {
  return {kPrlimit,
          cat("--as=", limits.memory_mb << 20),
          cat("--cpu=", static_cast<int64_t>(std::ceil(limits.timeout_s)) + 1),
          cat("--fsize=", kMaxFileBytes),
          "--nofile=64",
          cat("--nproc=", kMaxProcesses),
          "--core=0"};
}

std::vector<std::string> bwrap_options() {
  const std::string size = cat(kMaxFileBytes);
  return {"--unshare-user",
          "--unshare-ipc",
          "--unshare-pid",
          "--unshare-net",
          "--unshare-uts",
          "--unshare-cgroup-try",
          "--disable-userns",
          "--die-with-parent",
          "--new-session",
          "--cap-drop",
          "ALL",
          "--hostname",
          "sandbox",
          "--clearenv",
          "--setenv",
          "PATH",
          "/usr/bin:/bin",
          "--setenv",
          "HOME",
          "/work",
          "--setenv",
          "LANG",
          "C.UTF-8",
          "--ro-bind",
          "/usr",
          "/usr",
          "--symlink",
          "usr/bin",
          "/bin",
          "--symlink",
          "usr/sbin",
          "/sbin",
          "--symlink",
          "usr/lib",
          "/lib",
          "--symlink",
          "usr/lib64",
          "/lib64",
          "--proc",
          "/proc",
          "--dev",
          "/dev",
          "--size",
          size,
          "--tmpfs",
          "/dev/shm",
          "--remount-ro",
          "/dev",
          "--size",
          size,
          "--tmpfs",
          "/tmp",
          "--size",
          size,
          "--tmpfs",
          "/work"};
}

void append(std::vector<std::string>& to, const std::vector<std::string>& from) {
  to.insert(to.end(), from.begin(), from.end());
}

// "{NAME}" becomes the file's path.
void fill_in(std::vector<std::string>& command, const std::vector<SandboxFile>& files, const fs::path& folder) {
  for (std::string& word : command) {
    for (const SandboxFile& file : files) {
      if (word == "{" + file.name + "}") word = (folder / file.name).string();
    }
  }
}

// A temporary folder that goes with the run.
class Folder {
 public:
  Folder() {
    std::string path = (fs::temp_directory_path() / "noregret-code-XXXXXX").string();
    if (mkdtemp(path.data()) == nullptr) throw noregret::IoError(cat(path, ": ", noregret::errno_text(errno)));
    path_ = path;
  }
  ~Folder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

// What bubblewrap alone can write tells whether the program ran: what the program printed tells nothing.
bool has_run(const Descriptor& status) {
  std::string text(4096, '\0');
  const ssize_t count = read(status.get(), text.data(), text.size());
  text.resize(count < 0 ? 0 : static_cast<size_t>(count));
  return text.find("\"exit-code\"") != std::string::npos;
}

std::string first_line(const ProgramResult& result) {
  return result.err.empty() ? result.end.text() : result.err.substr(0, std::min<size_t>(200, result.err.find('\n')));
}

// Root's processes are not counted against a limit, so root becomes nobody first.
std::vector<std::vector<std::string>> launchers() {
  const std::vector<std::string> plain = {kBwrap};
  if (geteuid() != 0) return {plain};
  return {{kSetpriv, "--reuid=65534", "--regid=65534", "--clear-groups", kBwrap}, plain};
}

}  // namespace

Sandbox::Sandbox(bool is_isolated) {
  if (!is_isolated) return;
  filter_ = syscall_filter();
  std::string why = fs::exists(kBwrap) ? "" : cat(kBwrap, " is not there; install bubblewrap");
  if (filter_.empty()) why = "no filter of system calls for this processor";
  if (why.empty()) {
    const SandboxLimits limits{.timeout_s = kProbeSeconds};
    for (const std::vector<std::string>& launcher : launchers()) {
      try {
        const ProgramResult result = run_isolated(launcher, {"/usr/bin/echo", "ready"}, {}, "", limits);
        why = first_line(result);
        if (result.out != "ready\n") continue;
        launcher_ = launcher;
        return;
      } catch (const std::exception& e) {
        why = e.what();
      }
    }
  }
  throw std::runtime_error(cat("no sandbox for programs of the model: ", why,
                               "; allow user namespaces, or say sandbox: none where nothing else is on the machine"));
}

ProgramResult Sandbox::run(const std::vector<std::string>& command, const std::vector<SandboxFile>& files,
                           const std::string& input, const SandboxLimits& limits) const {
  return launcher_.empty() ? run_plain(command, files, input, limits)
                           : run_isolated(launcher_, command, files, input, limits);
}

ProgramResult Sandbox::run_isolated(const std::vector<std::string>& launcher, std::vector<std::string> command,
                                    const std::vector<SandboxFile>& files, const std::string& input,
                                    const SandboxLimits& limits) const {
  noregret::ProgramOptions options;
  options.program = launcher.front();
  options.args.assign(launcher.begin() + 1, launcher.end());
  append(options.args, bwrap_options());
  std::vector<Descriptor> open_files;
  open_files.push_back(memory_file(filter_));
  append(options.args, {"--seccomp", cat(kFirstExtra)});
  for (const SandboxFile& file : files) {
    append(options.args,
           {"--ro-bind-data", cat(kFirstExtra + static_cast<int>(open_files.size())), "/work/" + file.name});
    open_files.push_back(memory_file(file.text));
  }
  for (const Descriptor& file : open_files) options.extra_descriptors.push_back(file.get());
  noregret::DescriptorPair status = noregret::make_pipe();
  append(options.args, {"--json-status-fd", cat(kFirstExtra + static_cast<int>(open_files.size()))});
  options.extra_descriptors.push_back(status.second.get());
  append(options.args, {"--remount-ro", "/", "--chdir", "/work"});
  append(options.args, limit_command(limits));
  fill_in(command, files, "/work");
  append(options.args, command);
  options.input = input;
  options.timeout_s = limits.timeout_s;
  const ProgramResult result = run_program(options);
  status.second.reset();
  const bool is_cut = result.is_timed_out || result.is_output_too_long;
  if (!is_cut && !has_run(status.first)) {
    throw std::runtime_error(cat("the sandbox did not start: ", first_line(result)));
  }
  return result;
}

ProgramResult Sandbox::run_plain(std::vector<std::string> command, const std::vector<SandboxFile>& files,
                                 const std::string& input, const SandboxLimits& limits) const {
  const Folder folder;
  for (const SandboxFile& file : files) std::ofstream(folder.path() / file.name, std::ios::binary) << file.text;
  fill_in(command, files, folder.path());
  std::vector<std::string> words = limit_command(limits);
  append(words, command);
  noregret::ProgramOptions options;
  options.program = words.front();
  options.args.assign(words.begin() + 1, words.end());
  options.environment = {"PATH=/usr/bin:/bin", "LANG=C.UTF-8", cat("HOME=", folder.path().string())};
  options.input = input;
  options.timeout_s = limits.timeout_s;
  return run_program(options);
}
