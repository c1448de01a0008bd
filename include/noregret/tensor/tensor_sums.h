#pragma once

#include <string>
#include <vector>

#include "noregret/base/metrics.h"
#include "noregret/tensor/tensor.h"

namespace noregret {

// MetricSums of scalars that are still on their way: on a device, read() waits for them once, with one copy, where
// adding them up one by one would wait for each.
class TensorSums {
 public:
  void add(const std::string& name, const Tensor& sum, double count);  // a mean
  void add_max(const std::string& name, const Tensor& value);
  void merge(const TensorSums& other);
  MetricSums read() const;  // added in their order, in f64

 private:
  enum class Kind { kMean, kMax };
  struct Item {
    std::string name;
    Kind kind;
    Tensor value;  // scalar
    double count;
  };
  std::vector<Item> items_;
};

}  // namespace noregret
