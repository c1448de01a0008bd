#include "noregret/nn/kv_cache.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>

#include "tests/nn/nn_support.h"

namespace noregret {
namespace {

// A batch of runs, each appended to its slot.
TokenBatch appended(const KvCache& cache, const std::vector<std::vector<int64_t>>& runs,
                    const std::vector<int64_t>& slots) {
  TokenBatch batch = batch_of(runs);
  for (size_t i = 0; i < runs.size(); ++i) {
    Segment& segment = batch.segments[i];
    segment.kv_slot = slots[i];
    batch.positions.narrow(0, segment.begin, segment.length).add_(cache.length(slots[i]));
  }
  return batch;
}

std::vector<int64_t> slice(const std::vector<int64_t>& ids, size_t begin, size_t end) {
  return {ids.begin() + begin, ids.begin() + end};
}

// Hidden states of one sequence that goes through the cache in the given pieces.
Tensor in_pieces(const CausalLm& model, const AdapterStack& stack, KvCache& cache, int64_t slot,
                 const std::vector<int64_t>& ids, const std::vector<size_t>& ends) {
  Tensor last;
  size_t begin = 0;
  for (const size_t end : ends) {
    last = model.forward(appended(cache, {slice(ids, begin, end)}, {slot}), stack, &cache);
    begin = end;
  }
  return last;
}

class KvCacheTest : public testing::Test {
 protected:
  KvCacheTest() : model_(tiny_model()), adapter_(Adapter::create(model_.sites(), adapter_options(3, 20), 1, at::kCPU)) {
    fill_b(adapter_, 0.3f, 2);
  }

  Tensor whole(const std::vector<int64_t>& ids) const { return model_.forward(batch_of({ids}), {&adapter_}, nullptr); }

  const at::NoGradGuard no_grad_;
  CausalLm model_;
  Adapter adapter_;
};

TEST_F(KvCacheTest, PrefillEqualsTheForwardWithoutCache) {
  KvCache cache = model_.make_cache(1, 16);
  const std::vector<int64_t> ids = some_ids(9, 1);
  const Tensor prefilled = model_.forward(appended(cache, {ids}, {0}), {&adapter_}, &cache);
  EXPECT_LT(max_difference(prefilled, whole(ids)), kLogprobTolerance);
  EXPECT_EQ(cache.length(0), 9);
}

TEST_F(KvCacheTest, TokenByTokenEqualsPrefill) {
  KvCache cache = model_.make_cache(1, 16);
  const std::vector<int64_t> ids = some_ids(8, 1);
  const Tensor last = in_pieces(model_, {&adapter_}, cache, 0, ids, {3, 4, 5, 6, 7, 8});
  EXPECT_LT(max_difference(last, whole(ids).narrow(0, 7, 1)), kLogprobTolerance);
}

TEST_F(KvCacheTest, ContinuedPrefillEqualsOnePrefill) {
  KvCache cache = model_.make_cache(1, 16);
  const std::vector<int64_t> ids = some_ids(12, 1);
  const Tensor last = in_pieces(model_, {&adapter_}, cache, 0, ids, {5, 12});
  EXPECT_LT(max_difference(last, whole(ids).narrow(0, 5, 7)), kLogprobTolerance);
}

TEST_F(KvCacheTest, DecodeOfABatchEqualsEachAlone) {
  const std::vector<std::vector<int64_t>> all = {some_ids(4, 1), some_ids(11, 2), some_ids(7, 3)};
  KvCache cache = model_.make_cache(3, 16);
  std::vector<std::vector<int64_t>> prompts;
  std::vector<std::vector<int64_t>> last;
  for (const std::vector<int64_t>& ids : all) {
    prompts.push_back(slice(ids, 0, ids.size() - 1));
    last.push_back({ids.back()});
  }
  model_.forward(appended(cache, prompts, {0, 1, 2}), {&adapter_}, &cache);
  const Tensor decoded = model_.forward(appended(cache, last, {0, 1, 2}), {&adapter_}, &cache);
  for (int64_t i = 0; i < 3; ++i) {
    const Tensor want = whole(all[i]);
    EXPECT_LT(max_difference(decoded.narrow(0, i, 1), want.narrow(0, want.size(0) - 1, 1)), kLogprobTolerance);
  }
}

TEST_F(KvCacheTest, SlotsInAnyOrderEqualEachAlone) {
  const std::vector<int64_t> first = some_ids(6, 1);
  const std::vector<int64_t> second = some_ids(9, 2);
  KvCache cache = model_.make_cache(5, 16);
  model_.forward(appended(cache, {slice(first, 0, 5), slice(second, 0, 6)}, {4, 1}), {&adapter_}, &cache);
  const Tensor last =
      model_.forward(appended(cache, {slice(second, 6, 9), slice(first, 5, 6)}, {1, 4}), {&adapter_}, &cache);
  EXPECT_LT(max_difference(last.narrow(0, 0, 3), whole(second).narrow(0, 6, 3)), kLogprobTolerance);
  EXPECT_LT(max_difference(last.narrow(0, 3, 1), whole(first).narrow(0, 5, 1)), kLogprobTolerance);
}

TEST_F(KvCacheTest, CopiedSlotContinuesLikeTheOriginal) {
  KvCache cache = model_.make_cache(3, 16);
  const std::vector<int64_t> prompt = some_ids(6, 1);
  model_.forward(appended(cache, {prompt}, {0}), {&adapter_}, &cache);
  cache.copy_slot(0, 2);
  EXPECT_EQ(cache.length(2), 6);
  const Tensor both = model_.forward(appended(cache, {{7}, {7}}, {0, 2}), {&adapter_}, &cache);
  EXPECT_LT(max_difference(both[0], both[1]), kLogprobTolerance);
}

TEST_F(KvCacheTest, ClearedSlotForgets) {
  KvCache cache = model_.make_cache(1, 16);
  model_.forward(appended(cache, {some_ids(10, 5)}, {0}), {&adapter_}, &cache);
  cache.clear(0);
  const std::vector<int64_t> ids = some_ids(4, 1);
  EXPECT_LT(max_difference(model_.forward(appended(cache, {ids}, {0}), {&adapter_}, &cache), whole(ids)),
            kLogprobTolerance);
}

TEST_F(KvCacheTest, OverfullSlotIsABug) {
  KvCache cache = model_.make_cache(1, 8);
  EXPECT_THROW(model_.forward(appended(cache, {some_ids(9, 1)}, {0}), {}, &cache), std::logic_error);
}

TEST(KvCache, ForwardWithGradientsIsABug) {
  const CausalLm model = tiny_model();
  Adapter adapter = Adapter::create(model.sites(), adapter_options(1, 32), 1, at::kCPU);
  adapter.set_trainable(true);
  KvCache cache = model.make_cache(1, 8);
  EXPECT_THROW(model.forward(appended(cache, {some_ids(3, 1)}, {0}), {&adapter}, &cache), std::logic_error);
}

}  // namespace
}  // namespace noregret
