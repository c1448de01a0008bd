#include <ATen/ops/arange.h>
#include <ATen/ops/tensor.h>

#include "noregret/base/text.h"
#include "noregret/run/experiment.h"
#include "noregret/tensor/device.h"
#include "noregret/train/learner.h"
#include "run/filter.h"
#include "run/preflight.h"
#include "run/verbs.h"

namespace noregret {
namespace {

constexpr int64_t kHeadChunkTokens = 256;

Json score_ids(const Policy& policy, const std::vector<int64_t>& ids, double temperature, const std::string& where) {
  Json logprobs = Json::array();
  const auto num_ids = static_cast<int64_t>(ids.size());
  if (num_ids > policy.model.config().max_positions) {
    throw DataError(cat(where, ": ", num_ids, " ids, the model's context is ", policy.model.config().max_positions,
                        "; cut the text"));
  }
  if (num_ids > 1) {
    const at::Device device = policy.model.device();
    const Tensor all = at::tensor(ids, at::kLong).to(device);
    TokenBatch batch;
    batch.ids = all.narrow(0, 0, num_ids - 1);  // the last id predicts nothing that is asked for
    batch.positions = at::arange(num_ids - 1, at::TensorOptions(at::kLong).device(device));
    batch.segments = {Segment{.begin = 0, .length = num_ids - 1}};
    const Tensor scored = score_tokens(policy.model, policy.stack(), batch, batch.positions,
                                       all.narrow(0, 1, num_ids - 1), temperature, kHeadChunkTokens)
                              .cpu()
                              .contiguous();
    if (!all_finite(scored)) {
      throw DataError(where + ": a log-prob is not finite; the weights or the adapter are damaged, take others");
    }
    for (int64_t i = 0; i < num_ids - 1; ++i) logprobs.push_back(json_float(scored.data_ptr<float>()[i]));
  }
  return Json{{"ids", ids}, {"logprobs", std::move(logprobs)}};
}

}  // namespace

ExitCode run_score(const ScoreArgs& args) {
  set_num_threads(static_cast<int>(args.threads));
  const Tokenizer tokenizer = Tokenizer::load(args.model_dir);
  const Policy policy = load_policy_from(args.model_dir, args.adapter, parse_device(args.device));
  print_warning(policy.warning);
  check_vocabulary(tokenizer, policy.model.config(), args.model_dir);
  return filter_lines(args.input, [&](const Json& line, const std::string& where) {
    if (line.contains("ids"))
      return score_ids(policy, ids_of(line, where, policy.model.config().vocab_size), args.temperature, where);
    return score_ids(policy, tokenizer.encode(json_string(line, "text", where)), args.temperature, where);
  });
}

}  // namespace noregret
