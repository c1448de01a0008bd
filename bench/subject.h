#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "bench/workload.h"
#include "noregret/base/rng.h"
#include "noregret/nn/causal_lm.h"
#include "noregret/train/learner.h"

// What the workloads have in common.
namespace noregret::bench {

double median(std::vector<double> values);
double rounded(double value);  // to 6 digits after the point
Json all_rounded(const std::vector<double>& values);
// Sets "peak_rss_mib", of this process since its start, loading included, and on CUDA "peak_gpu_mib", of tensors.
void add_peak_memory(Json& result, at::Device device);

// The model and, with a rank, an adapter.
struct Subject {
  CausalLm model;
  std::optional<Adapter> adapter;
  double load_s = 0.0;

  AdapterStack stack() const { return adapter ? AdapterStack{&*adapter} : AdapterStack{}; }
};
// On the device that `common` names; sets the number of threads first. `starts_at_zero`: B = 0, as before the first
// step; else as after some steps.
Subject load_subject(const Common& common, bool starts_at_zero);

Json read_inputs(const Common& common);  // {} where there are none
// `count` lists of `length` ids: "ids" of the inputs, or random ones. Throws DataError where they are not like that.
std::vector<std::vector<int64_t>> ids_of(const Common& common, const Json& inputs, int64_t vocab_size, int64_t count,
                                         int64_t length);
Rng random_stream(const Common& common, int64_t idx);

// Seconds until the device has done the work.
double seconds_of(at::Device device, const std::function<void()>& work);
// Of each call after `warmup` ones.
std::vector<double> timed(const Common& common, const std::function<void()>& work);

// The first keys of a result.
Json describe(const char* workload, const Common& common, const Subject& subject);

// Training the subject's adapter. The optimizer makes it trainable; throws UsageError where there is none.
Adam optimizer_for(Subject& subject);
Learner::Setup learner_setup(const Subject& subject, const char* objective);
int64_t num_parameters(const Adam& optimizer);

// Weights that a token's forward multiplies by: of all linear layers but the head, and of the head.
struct LinearWeights {
  int64_t layers = 0;
  int64_t head = 0;
};
LinearWeights count_linear_weights(const CausalLm& model);

}  // namespace noregret::bench
