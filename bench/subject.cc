#include "bench/subject.h"

#include <ATen/core/grad_mode.h>
#include <sys/resource.h>

#include <algorithm>
#include <cmath>

#include "noregret/base/clock.h"
#include "noregret/base/error.h"
#include "noregret/base/file.h"
#include "noregret/base/text.h"
#include "noregret/tensor/cuda.h"
#include "noregret/tensor/device.h"

namespace noregret::bench {
namespace {

constexpr double kLearningRate = 1e-5;  // small: the work of a step does not depend on it

}  // namespace

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : 0.5 * (values[middle - 1] + values[middle]);
}

double rounded(double value) { return std::round(value * 1e6) / 1e6; }

Json all_rounded(const std::vector<double>& values) {
  Json list = Json::array();
  for (const double value : values) list.push_back(rounded(value));
  return list;
}

void add_peak_memory(Json& result, at::Device device) {
  const auto to_tenths = [](double mib) { return std::round(mib * 10.0) / 10.0; };
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  result["peak_rss_mib"] = to_tenths(static_cast<double>(usage.ru_maxrss) / 1024.0);
  if (device.is_cuda())
    result["peak_gpu_mib"] = to_tenths(static_cast<double>(peak_memory_bytes(device)) / (1024.0 * 1024.0));
}

Subject load_subject(const Common& common, bool starts_at_zero) {
  set_num_threads(static_cast<int>(common.threads));
  const at::Device device = parse_device(common.device);
  const Stopwatch watch;
  Subject subject{CausalLm::load(common.model_dir, device), std::nullopt, 0.0};
  if (common.exact && device.is_cuda()) {
    request_invariant_products();
    subject.model.set_exact(true);
  }
  synchronize(device);
  subject.load_s = watch.seconds();
  if (common.rank == 0) return subject;
  AdapterOptions options;
  options.rank = common.rank;
  options.targets = {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"};
  if (common.adapts_head) options.targets = {"all"};
  subject.adapter = Adapter::create(subject.model.sites(), options, common.seed, device);
  const at::NoGradGuard no_grad;
  for (const auto& [name, tensor] : subject.adapter->parameters()) {
    if (!starts_at_zero && name.find("lora_B") != std::string::npos) tensor.normal_(0.0, 1e-3);
  }
  return subject;
}

Json read_inputs(const Common& common) {
  if (common.inputs.empty()) return Json::object();
  return parse_json(read_file(common.inputs), common.inputs.string());
}

Rng random_stream(const Common& common, int64_t idx) {
  return Rng::stream(common.seed, Purpose::kTask, {static_cast<uint64_t>(idx)});
}

std::vector<std::vector<int64_t>> ids_of(const Common& common, const Json& inputs, int64_t vocab_size, int64_t count,
                                         int64_t length) {
  std::vector<std::vector<int64_t>> lists;
  if (inputs.contains("ids")) {
    lists = inputs["ids"].get<std::vector<std::vector<int64_t>>>();
  } else {
    for (int64_t i = 0; i < count; ++i) {
      Rng rng = random_stream(common, i);
      std::vector<int64_t>& ids = lists.emplace_back();
      while (static_cast<int64_t>(ids.size()) < length) ids.push_back(static_cast<int64_t>(rng.below(vocab_size)));
    }
  }
  const bool is_good = static_cast<int64_t>(lists.size()) == count &&
                       std::all_of(lists.begin(), lists.end(), [&](const std::vector<int64_t>& ids) {
                         return static_cast<int64_t>(ids.size()) == length;
                       });
  if (!is_good)
    throw DataError(cat(common.inputs.string(), ": want 'ids' to be ", count, " lists of ", length, " ids"));
  return lists;
}

double seconds_of(at::Device device, const std::function<void()>& work) {
  const Stopwatch watch;
  work();
  synchronize(device);
  return watch.seconds();
}

std::vector<double> timed(const Common& common, const std::function<void()>& work) {
  const at::Device device = parse_device(common.device);
  std::vector<double> seconds;
  for (int64_t i = 0; i < common.warmup + common.repeat; ++i) {
    const double taken = seconds_of(device, work);
    if (i >= common.warmup) seconds.push_back(taken);
  }
  return seconds;
}

Json describe(const char* workload, const Common& common, const Subject& subject) {
  return Json{
      {"script", workload},
      {"engine", "noregret"},
      {"model", common.model_dir.filename().string()},
      {"dtype", subject.model.config().dtype == "float32" ? "float32" : subject.model.config().dtype + " weights"},
      {"device", device_name(subject.model.device())},
      {"exact", common.exact || subject.model.device().is_cpu()},
      {"threads", common.threads},
      {"rank", common.rank},
      {"adapts_head", common.adapts_head},
      {"load_s", rounded(subject.load_s)}};
}

Learner::Setup learner_setup(const Subject& subject, const char* objective) {
  Learner::Setup setup;
  setup.model = &subject.model;
  setup.policy = subject.stack();
  setup.objective.name = objective;
  return setup;
}

Adam optimizer_for(Subject& subject) {
  if (!subject.adapter) throw UsageError("--rank is 0, want at least 1");
  subject.adapter->set_trainable(true);
  return Adam(subject.adapter->parameters(), OptimizerOptions{}, kLearningRate);
}

int64_t num_parameters(const Adam& optimizer) {
  int64_t count = 0;
  for (const auto& [name, tensor] : optimizer.parameters()) count += tensor.numel();
  return count;
}

LinearWeights count_linear_weights(const CausalLm& model) {
  LinearWeights count;
  for (const LinearSite& site : model.sites()) {
    int64_t& part = site.name == "lm_head" ? count.head : count.layers;
    part += site.in_features * site.out_features;
  }
  return count;
}

}  // namespace noregret::bench
