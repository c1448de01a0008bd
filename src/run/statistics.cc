#include "noregret/run/statistics.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "noregret/base/check.h"
#include "noregret/base/rng.h"

namespace noregret {

double pass_at_k(int64_t n, int64_t c, int64_t k) {
  NOREGRET_CHECK(k >= 1 && k <= n && c >= 0 && c <= n, "n ", n, ", c ", c, ", k ", k);
  if (n - c < k) return 1.0;
  double miss = 1.0;  // C(n-c, k) / C(n, k) as a product of k ratios: no factorial overflows
  for (int64_t i = n - c + 1; i <= n; ++i) miss *= 1.0 - static_cast<double>(k) / static_cast<double>(i);
  return 1.0 - miss;
}

Interval bootstrap_mean(const std::vector<double>& values, uint64_t seed) {
  NOREGRET_CHECK(!values.empty());
  constexpr int kResamples = 2000;
  const auto count = static_cast<double>(values.size());
  Rng rng = Rng::stream(seed, Purpose::kEval, {values.size()});
  std::vector<double> means(kResamples);
  for (double& mean : means) {
    double sum = 0.0;
    for (size_t i = 0; i < values.size(); ++i) sum += values[rng.below(values.size())];
    mean = sum / count;
  }
  std::sort(means.begin(), means.end());
  const double mean = std::accumulate(values.begin(), values.end(), 0.0) / count;
  return Interval{mean, means[static_cast<size_t>(0.025 * kResamples)],
                  means[static_cast<size_t>(0.975 * kResamples) - 1]};
}

Interval mean_interval(const std::vector<double>& values, uint64_t seed) {
  const bool is_binary = std::all_of(values.begin(), values.end(), [](double v) { return v == 0.0 || v == 1.0; });
  if (!is_binary || values.empty()) return bootstrap_mean(values, seed);
  constexpr double z = 1.959963984540054;  // 97.5 % quantile of N(0, 1)
  const auto n = static_cast<double>(values.size());
  const double p = std::accumulate(values.begin(), values.end(), 0.0) / n;
  const double center = (p + z * z / (2.0 * n)) / (1.0 + z * z / n);
  const double half = z / (1.0 + z * z / n) * std::sqrt(p * (1.0 - p) / n + z * z / (4.0 * n * n));
  return Interval{p, std::max(0.0, center - half), std::min(1.0, center + half)};
}

}  // namespace noregret
