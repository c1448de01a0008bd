#include "noregret/rollout/canary.h"

#include <gtest/gtest.h>

#include "tests/rollout/tiny_model.h"

namespace noregret {
namespace {

TEST(Canary, IsSeenThroughTheAdapterThatIsSampledFrom) {
  const CausalLm model = tiny_model();
  Adapter adapter = Adapter::create(model.sites(), AdapterOptions{}, 3, at::kCPU);
  const std::string before = adapter.digest();
  EXPECT_TRUE(sampler_follows(model, {&adapter}, adapter, {1, 2, 3}));
  EXPECT_EQ(adapter.digest(), before);
}

TEST(Canary, IsNotSeenThroughAnotherAdapter) {
  const CausalLm model = tiny_model();
  Adapter adapter = Adapter::create(model.sites(), AdapterOptions{}, 3, at::kCPU);
  const Adapter stale = adapter.clone();
  EXPECT_FALSE(sampler_follows(model, {&stale}, adapter, {1, 2, 3}));
  EXPECT_FALSE(sampler_follows(model, {}, adapter, {1, 2, 3}));
}

}  // namespace
}  // namespace noregret
