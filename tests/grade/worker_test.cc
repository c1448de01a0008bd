#include <signal.h>
#include <sys/wait.h>

#include <chrono>
#include <fstream>
#include <thread>

#include "noregret/base/error.h"
#include "tests/grade/grading.h"

namespace noregret {
namespace {

namespace fs = std::filesystem;

double seconds_of(const std::function<void()>& work) {
  const auto begin = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

std::vector<pid_t> children() {
  std::vector<pid_t> pids;
  for (const fs::directory_entry& task : fs::directory_iterator("/proc/self/task")) {
    std::ifstream file(task.path() / "children");
    for (pid_t pid = 0; file >> pid;) pids.push_back(pid);
  }
  return pids;
}

size_t num_descriptors() {
  size_t count = 0;
  for ([[maybe_unused]] const auto& entry : fs::directory_iterator("/proc/self/fd")) ++count;
  return count;
}

// A program that stands in for the worker.
fs::path script(const std::string& name, const std::string& body) {
  const fs::path path = fs::path(testing::TempDir()) / name;
  std::ofstream(path) << "#!/bin/sh\n" << body << "\n";
  fs::permissions(path, fs::perms::owner_all);
  return path;
}

TEST(GradeWorker, PowerTowersAndTheirKinAreAnsweredInTime) {
  const Grader strict(GradeOptions{}, worker_path());
  for (const char* text :
       {"10^{10^{10}}", "9^{9^{9^9}}", "(1+x)^{100000}", "99999999999999999999!", "(10^6)!", "(((9^9)^9)^9)^9",
        "\\dfrac{5^{(5^{(5^{(5^5)})}-4)}-5}{16}", "2^{2^{2^{2^{2^2}}}}", "\\binom{10^9}{5\\cdot 10^8}",
        "(a+b+c+d+1)^{64}", "\\sqrt{\\sqrt{2}+\\sqrt{3}+\\sqrt{5}+\\sqrt{7}+\\sqrt{11}}", "\\tan(9^{9^9})",
        "0.1^{10^{10^{10}}}"}) {
    for (const char* gold : {"7", "\\sqrt{3}+1", "x+1"}) {
      Grade grade;
      // two deadlines of 200 ms, and starting a worker anew on a machine under load
      EXPECT_LT(seconds_of([&] { grade = strict.grade(gold, text); }), 3.0) << text;
      EXPECT_NE(grade.verdict, Verdict::kEqual) << gold << " | " << text;
    }
  }
}

TEST(GradeWorker, DeadlineEndsWhatTakesTooLong) {
  const Grader hasty(GradeOptions{.deadline_ms = 1}, worker_path());
  // a proof that takes Calcium seconds
  const std::string sum = "\\sqrt2+\\sqrt3+\\sqrt5+\\sqrt7+\\sqrt{11}+\\sqrt{13}+\\sqrt{17}";
  const Grade grade = hasty.grade(sum, "\\sqrt{(" + sum + ")^2}");
  EXPECT_EQ(grade.verdict, Verdict::kTimeout);
  EXPECT_EQ(hasty.grade("5", "5.0").verdict, Verdict::kEqual);
}

TEST(GradeWorker, TimeoutMayCountAsWrong) {
  const Grader hasty(GradeOptions{.timeout_is_wrong = true, .deadline_ms = 1}, worker_path());
  const std::string sum = "\\sqrt2+\\sqrt3+\\sqrt5+\\sqrt7+\\sqrt{11}+\\sqrt{13}+\\sqrt{17}";
  EXPECT_EQ(hasty.grade(sum, "\\sqrt{(" + sum + ")^2}").verdict, Verdict::kUnknown);
}

TEST(GradeWorker, KilledOneIsReplaced) {
  const Grader one(GradeOptions{.deadline_ms = 5000}, worker_path(), 1);
  const std::vector<pid_t> before = children();
  EXPECT_EQ(one.grade("\\sqrt{8}", "2\\sqrt2").verdict, Verdict::kEqual);
  for (const pid_t pid : children()) {
    if (std::find(before.begin(), before.end(), pid) == before.end()) kill(pid, SIGKILL);
  }
  EXPECT_EQ(one.grade("\\sqrt{8}", "2\\sqrt2").verdict, Verdict::kEqual);
}

TEST(GradeWorker, ProgramThatIsNoWorkerIsAnError) {
  const Grader wrong(GradeOptions{}, "/bin/true");
  EXPECT_THROW(wrong.grade("\\sqrt{8}", "2\\sqrt2"), IoError);
  const Grader absent(GradeOptions{}, "/nowhere/at/all");
  EXPECT_THROW(absent.grade("\\sqrt{8}", "2\\sqrt2"), IoError);
  EXPECT_EQ(absent.grade("5", "5.0").verdict, Verdict::kEqual);  // needs none
}

TEST(GradeWorker, NoProcessAndNoDescriptorIsLeft) {
  const size_t processes = children().size();
  const size_t descriptors = num_descriptors();
  for (int i = 0; i < 20; ++i) {
    const Grader hasty(GradeOptions{.deadline_ms = 1}, worker_path());
    (void)hasty.grade("\\sqrt{8}+\\sqrt{18}", "5\\sqrt2");
  }
  EXPECT_EQ(children().size(), processes);
  EXPECT_EQ(num_descriptors(), descriptors);
}

TEST(GradeWorker, ThreadsShareThem) {
  const Grader shared(GradeOptions{.deadline_ms = 10000}, worker_path(), 2);
  std::vector<std::thread> threads;
  std::vector<int> num_equal(4, 0);
  for (int& count : num_equal) {
    threads.emplace_back([&] {
      for (int i = 2; i < 52; ++i) {
        const std::string n = std::to_string(i);
        count += shared.grade("\\sqrt{" + n + "}", n + "^{1/2}").verdict == Verdict::kEqual ? 1 : 0;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(num_equal, testing::Each(50));
}

TEST(GradeWorker, IsFoundBesideTheProgram) { EXPECT_EQ(find_grade_worker(), fs::canonical(worker_path())); }

TEST(GradeWorker, StartedByHandSaysWhoseItIs) {
  const fs::path error = fs::path(testing::TempDir()) / "worker_error.txt";
  const fs::path wrapper = script("by_hand.sh", worker_path().string() + " < /dev/null 2> " + error.string());
  const pid_t pid = fork();
  if (pid == 0) {
    execl(wrapper.c_str(), wrapper.c_str(), nullptr);
    _exit(1);
  }
  int status = 0;
  waitpid(pid, &status, 0);
  EXPECT_EQ(WEXITSTATUS(status), 64);
  std::ifstream file(error);
  std::string line;
  std::getline(file, line);
  EXPECT_THAT(line, testing::HasSubstr("started by the grader"));
}

}  // namespace
}  // namespace noregret
