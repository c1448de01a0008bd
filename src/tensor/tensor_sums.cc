#include "noregret/tensor/tensor_sums.h"

#include <ATen/ops/stack.h>

#include "noregret/base/check.h"

namespace noregret {

void TensorSums::add(const std::string& name, const Tensor& sum, double count) {
  check_rank(name, sum, 0);
  items_.push_back({name, Kind::kMean, sum.detach(), count});
}

void TensorSums::add_max(const std::string& name, const Tensor& value) {
  check_rank(name, value, 0);
  items_.push_back({name, Kind::kMax, value.detach(), 0.0});
}

void TensorSums::merge(const TensorSums& other) {
  items_.insert(items_.end(), other.items_.begin(), other.items_.end());
}

MetricSums TensorSums::read() const {
  MetricSums sums;
  if (items_.empty()) return sums;
  std::vector<Tensor> values;
  for (const Item& item : items_) values.push_back(item.value.to(at::kDouble));
  const Tensor host = at::stack(values).cpu();
  const double* value = host.const_data_ptr<double>();
  for (const Item& item : items_) {
    if (item.kind == Kind::kMean) {
      sums.add(item.name, *value++, item.count);
    } else {
      sums.add_max(item.name, *value++);
    }
  }
  return sums;
}

}  // namespace noregret
