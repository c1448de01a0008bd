#pragma once

#include <cstdint>
#include <vector>

namespace noregret {

// Probability that at least one of k completions drawn without replacement from n, c of them right, is right:
// 1 - C(n-c, k) / C(n, k) (unbiased; arXiv:2107.03374, section 2.1). 1 <= k <= n.
double pass_at_k(int64_t n, int64_t c, int64_t k);

struct Interval {
  double mean = 0.0;
  double low = 0.0;   // 2.5 % quantile
  double high = 0.0;  // 97.5 % quantile
};

// Mean with a 95 % percentile bootstrap interval: 2,000 resamples of the values with replacement, a pure function of
// the seed. `values` is not empty.
Interval bootstrap_mean(const std::vector<double>& values, uint64_t seed);

// bootstrap_mean(); where every value is 0 or 1, Wilson's score interval instead (doi 10.1080/01621459.1927.10502953),
// because none of 100 right does not mean that none ever will be.
Interval mean_interval(const std::vector<double>& values, uint64_t seed);

}  // namespace noregret
