#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace noregret::bench {

// y = x W^T in f32 by LibTorch, in every way that it has on a CPU: MKL's sgemm, MKL with a packed weight, oneDNN with a
// reordered weight. Several weights of one shape, so that none stays in a cache between two calls.
class LibraryGemm {
 public:
  // `weights`: copies of [out, in]; `num_rows`: of x, which packing may look at
  LibraryGemm(const std::vector<float>& weight, int64_t out, int64_t in, int64_t num_copies, int64_t num_rows,
              int num_threads);

  struct Way {
    std::string name;
    std::function<void(int64_t copy)> run;
  };
  const std::vector<Way>& ways() const { return ways_; }

 private:
  std::vector<Way> ways_;
};

}  // namespace noregret::bench
