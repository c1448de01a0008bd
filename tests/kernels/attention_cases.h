#pragma once

#include "noregret/kernels/attention.h"
#include "tests/kernels/kernel_cases.h"

namespace noregret::kernels {

// Rows of queries, keys and values, and of what the loss's gradient of the results may be.
struct Rows {
  Rows(const KvShape& shape, int64_t num_rows, uint64_t seed)
      : q(random_values(num_rows * shape.num_heads * shape.head_dim, seed, -2.0f, 2.0f)),
        k(random_values(num_rows * shape.num_kv_heads * shape.head_dim, seed + 1, -2.0f, 2.0f)),
        v(random_values(num_rows * shape.num_kv_heads * shape.head_dim, seed + 2)),
        grad_y(random_values(num_rows * shape.num_heads * shape.head_dim, seed + 3)) {}
  std::vector<float> q, k, v, grad_y;
};

// The rows whose keys each row sees, itself among them.
using Visible = std::vector<std::vector<int64_t>>;

inline Visible causal(int64_t num_rows) {
  Visible visible(static_cast<size_t>(num_rows));
  for (int64_t r = 0; r < num_rows; ++r) {
    for (int64_t j = 0; j <= r; ++j) visible[r].push_back(j);
  }
  return visible;
}

inline std::vector<double> in_f64(std::span<const float> values) { return {values.begin(), values.end()}; }

// softmax(q k^T / sqrt(head_dim)) v in f64, head by head, and its gradients by the product rule; all as the header
// says.
class ReferenceAttention {
 public:
  ReferenceAttention(const KvShape& shape, Visible visible) : shape_(shape), visible_(std::move(visible)) {}

  std::vector<double> forward(const std::vector<double>& q, const std::vector<double>& k,
                              const std::vector<double>& v) const {
    std::vector<double> y(q.size(), 0.0);
    for_each_query([&](int64_t at, const std::vector<int64_t>& keys) {
      const std::vector<double> p = weights(q, k, at, keys);
      for (size_t j = 0; j < keys.size(); ++j) {
        for (int64_t e = 0; e < shape_.head_dim; ++e) y[at + e] += p[j] * v[keys[j] + e];
      }
    });
    return y;
  }

  struct Gradients {
    std::vector<double> q, k, v;
  };
  Gradients backward(const std::vector<double>& q, const std::vector<double>& k, const std::vector<double>& v,
                     const std::vector<double>& grad_y) const {
    Gradients grad{std::vector<double>(q.size()), std::vector<double>(k.size()), std::vector<double>(v.size())};
    for_each_query([&](int64_t at, const std::vector<int64_t>& keys) {
      const std::vector<double> p = weights(q, k, at, keys);
      std::vector<double> grad_p(keys.size(), 0.0);
      double mean = 0;
      for (size_t j = 0; j < keys.size(); ++j) {
        for (int64_t e = 0; e < shape_.head_dim; ++e) {
          grad_p[j] += grad_y[at + e] * v[keys[j] + e];
          grad.v[keys[j] + e] += p[j] * grad_y[at + e];
        }
        mean += p[j] * grad_p[j];
      }
      for (size_t j = 0; j < keys.size(); ++j) {
        const double grad_score = p[j] * (grad_p[j] - mean) / std::sqrt(static_cast<double>(shape_.head_dim));
        for (int64_t e = 0; e < shape_.head_dim; ++e) {
          grad.q[at + e] += grad_score * k[keys[j] + e];
          grad.k[keys[j] + e] += grad_score * q[at + e];
        }
      }
    });
    return grad;
  }

 private:
  // visit(where the query is in q, where the keys that it sees are in k and v)
  template <class Visit>
  void for_each_query(const Visit& visit) const {
    for (size_t row = 0; row < visible_.size(); ++row) {
      for (int64_t head = 0; head < shape_.num_heads; ++head) {
        std::vector<int64_t> keys;
        for (const int64_t other : visible_[row])
          keys.push_back((other * shape_.num_kv_heads + head / shape_.group()) * shape_.head_dim);
        visit((static_cast<int64_t>(row) * shape_.num_heads + head) * shape_.head_dim, keys);
      }
    }
  }

  std::vector<double> weights(const std::vector<double>& q, const std::vector<double>& k, int64_t at,
                              const std::vector<int64_t>& keys) const {
    std::vector<double> p(keys.size(), 0.0);
    double most = -std::numeric_limits<double>::infinity(), sum = 0;
    for (size_t j = 0; j < keys.size(); ++j) {
      for (int64_t e = 0; e < shape_.head_dim; ++e) p[j] += q[at + e] * k[keys[j] + e];
      p[j] /= std::sqrt(static_cast<double>(shape_.head_dim));
      most = std::max(most, p[j]);
    }
    for (double& weight : p) sum += weight = std::exp(weight - most);
    for (double& weight : p) weight /= sum;
    return p;
  }

  KvShape shape_;
  Visible visible_;
};

}  // namespace noregret::kernels
