#include "nn/cuda_plan.h"

#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "nn/cuda_linear.h"
#include "noregret/nn/decode_engine.h"
#include "noregret/nn/ops.h"
#include "tests/nn/nn_support.h"

// What the CUDA engine plans on the host, with tensors on the CPU: nothing here needs a GPU.
namespace noregret {
namespace {

using testing::ElementsAre;
using testing::ElementsAreArray;

HfConfig small_config() {
  HfConfig config = tiny_config();
  config.hidden_size = 64;
  config.intermediate_size = 96;
  config.head_dim = 16;
  return config;
}

std::vector<int64_t> numbers(const Tensor& tensor) {
  const Tensor wide = tensor.to(at::kLong).contiguous().flatten();
  const auto* data = wide.const_data_ptr<int64_t>();
  return {data, data + wide.numel()};
}

// Two families: a prompt of 20 with completions of 3 and 5, a prompt of 16 with one of 2; and a sequence alone.
TokenBatch families() {
  TokenBatch batch;
  batch.segments = {{0, 20, -1, -1}, {20, 3, 0, -1}, {23, 5, 0, -1}, {28, 16, -1, -1}, {44, 2, 3, -1}, {46, 4, -1, -1}};
  batch.ids = at::zeros({50}, at::kLong);
  batch.positions = at::zeros({50}, at::kLong);
  return batch;
}

Tensor table() {
  const HfConfig config = small_config();
  return ops::rotary_table(config.rope, config.head_dim, config.max_positions, at::kCPU);
}

TEST(CudaPlan, FollowersOfAPrefixReadItsKeysTogether) {
  const CudaPlan plan = plan_on_cuda(families(), small_config(), nullptr, table(), false);
  EXPECT_FALSE(plan.reads_pages);
  EXPECT_THAT(numbers(plan.starts), ElementsAre(0, 20, 23, 28, 44, 46, 50));
  EXPECT_EQ(plan.longest, 20);
  // Runs: the first prompt, its completions, the second prompt, its completion, the sequence alone.
  EXPECT_THAT(numbers(plan.prefixes.query_starts), ElementsAre(0, 20, 28, 44, 46, 50));
  EXPECT_THAT(numbers(plan.prefixes.key_starts), ElementsAre(0, 0, 20, 20, 36, 36));
  std::vector<int64_t> rows;
  for (int64_t row = 0; row < 20; ++row) rows.push_back(row);
  for (int64_t row = 28; row < 44; ++row) rows.push_back(row);
  EXPECT_THAT(numbers(plan.prefixes.rows), ElementsAreArray(rows));
  EXPECT_EQ(plan.prefixes.longest_key, 20);
  EXPECT_EQ(plan.prefixes.longest_query, 20);
}

TEST(CudaPlan, ABatchWithoutPrefixesHasNoSecondAttention) {
  TokenBatch batch = families();
  for (Segment& segment : batch.segments) segment.prefix_segment = -1;
  EXPECT_FALSE(plan_on_cuda(batch, small_config(), nullptr, table(), false).prefixes.rows.defined());
}

TEST(CudaPlan, AnExactBatchReadsPagesThatFollowersShare) {
  const CudaPlan plan = plan_on_cuda(families(), small_config(), nullptr, table(), true);
  EXPECT_TRUE(plan.reads_pages);
  EXPECT_EQ(plan.max_length, 25);
  // Pages 0 and 1 are the first prompt's; each completion shares page 0 and goes on in a copy of page 1.
  EXPECT_THAT(numbers(plan.tables), ElementsAre(0, 1, 0, 2, 0, 3, 4, 0, 4, 5, 6, 0));
  ASSERT_EQ(plan.shared.size(), 2U);
  EXPECT_EQ(plan.shared[0].from, 1);
  EXPECT_EQ(plan.shared[0].to, 2);
  EXPECT_EQ(plan.shared[0].count, 4);
  EXPECT_EQ(plan.shared[1].segment, 2U);
  EXPECT_EQ(plan.keys.size(0), 7);
  EXPECT_EQ(numbers(plan.sequences)[19], 0);
  EXPECT_EQ(numbers(plan.sequences)[49], 5);
}

TEST(CudaPlan, APromptInAnEmptySlotIsReadAsItStandsAndLaterTokensFromPages) {
  KvCache::Memory memory;
  KvCache cache(small_config(), 3, 40, at::kCPU, memory);
  TokenBatch prompt;
  prompt.segments = {{0, 18, -1, 1}};
  prompt.ids = at::zeros({18}, at::kLong);
  prompt.positions = at::zeros({18}, at::kLong);
  EXPECT_FALSE(plan_on_cuda(prompt, small_config(), &cache, table(), false).reads_pages);
  cache.advance(1, 18);
  TokenBatch token = prompt;
  token.segments = {{0, 1, -1, 1}};
  token.ids = at::zeros({1}, at::kLong);
  token.positions = at::tensor({18}, at::kLong);
  const CudaPlan plan = plan_on_cuda(token, small_config(), &cache, table(), false);
  EXPECT_TRUE(plan.reads_pages);
  EXPECT_EQ(plan.max_length, 19);
  EXPECT_EQ(plan.tables.size(1), 2);
  EXPECT_EQ(cache.num_pages_in_use(), 2);
}

TEST(CudaCache, KeepsAPageForNobodyAndUsesItsMemoryAgain) {
  KvCache::Memory memory;
  const HfConfig config = small_config();
  {
    KvCache cache(config, 2, 32, at::kCPU, memory);
    std::set<int32_t> pages;
    for (const int64_t slot : {0, 1}) {
      const int32_t* of_slot = cache.reserve(slot, 32);
      pages.insert(of_slot, of_slot + 2);
    }
    EXPECT_EQ(pages.size(), 4U);
    EXPECT_EQ(pages.count(cache.spare_page()), 0U);
    EXPECT_EQ(memory.keys.size(1), 5);
    EXPECT_EQ(memory.keys.size(2), cuda_kv_shape(config).page_size());
  }
  const void* before = memory.keys.const_data_ptr();
  const KvCache smaller(config, 1, 32, at::kCPU, memory);
  EXPECT_EQ(memory.keys.const_data_ptr(), before);
  const KvCache larger(config, 3, 32, at::kCPU, memory);
  EXPECT_EQ(memory.keys.size(1), 7);
}

TEST(CudaKernels, SayWhichModelsTheyCanDo) {
  EXPECT_TRUE(cuda_kernels_can(small_config()));
  for (const int64_t head_dim : {48, 112, 256}) {
    HfConfig config = small_config();
    config.head_dim = head_dim;
    EXPECT_FALSE(cuda_kernels_can(config)) << head_dim;
  }
  HfConfig config = small_config();
  config.num_heads = 18;
  EXPECT_FALSE(cuda_kernels_can(config)) << "9 heads share a key";
  config = small_config();
  config.hidden_size = 72;
  EXPECT_FALSE(cuda_kernels_can(config)) << "rows of 72";
}

TEST(Fingerprint, IsOfTheAdaptersNumbersAlone) {
  const CausalLm model = tiny_model();
  Adapter adapter = Adapter::create(model.sites(), adapter_options(2, 4.0), 1, at::kCPU);
  const std::string before = fingerprint(adapter);
  EXPECT_EQ(fingerprint(adapter.clone()), before);
  const at::NoGradGuard no_grad;
  Tensor a = adapter.parameters()[0].second.flatten();  // a view
  const float first = a[0].item<float>(), second = a[1].item<float>();
  a[0] = std::nextafter(first, 2.0f);
  EXPECT_NE(fingerprint(adapter), before) << "one bit";
  a[0] = second;
  a[1] = first;
  EXPECT_NE(fingerprint(adapter), before) << "two numbers changed places";
  a[0] = first;
  a[1] = second;
  EXPECT_EQ(fingerprint(adapter), before);
  EXPECT_NE(fingerprint(Adapter::create(model.sites(), adapter_options(2, 8.0), 1, at::kCPU)), before) << "alpha";
}

TEST(DecodeBucket, IsTheNextSizeThatHasAGraph) {
  EXPECT_EQ(decode_bucket(1, false), 1);
  EXPECT_EQ(decode_bucket(3, false), 4);
  EXPECT_EQ(decode_bucket(17, false), 24);
  EXPECT_EQ(decode_bucket(512, false), 512);
  EXPECT_EQ(decode_bucket(513, false), 768);
  EXPECT_EQ(decode_bucket(1, true), 16);
  EXPECT_EQ(decode_bucket(17, true), 32);
  EXPECT_EQ(decode_bucket(512, true), 512);
  EXPECT_EQ(decode_bucket(513, true), 1024);
  for (int64_t rows = 1; rows <= 2000; ++rows) {
    EXPECT_GE(decode_bucket(rows, false), rows);
    EXPECT_GE(decode_bucket(rows, true), rows);
  }
}

}  // namespace
}  // namespace noregret
