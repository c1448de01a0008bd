#include "noregret/nn/kv_cache.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>
#include <stdexcept>

#include "tests/nn/batch_support.h"
#include "tests/nn/engine_support.h"

namespace noregret {
namespace {

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

// Pages under the kernels, slabs under ATen.
class KvCacheTest : public testing::TestWithParam<Backend> {
 protected:
  KvCacheTest()
      : model_(CausalLm::create(tiny_config(), 0.3, 1, at::kCPU, GetParam())),
        adapter_(Adapter::create(model_.sites(), adapter_options(3, 20), 1, at::kCPU)) {
    fill_b(adapter_, 0.3f, 2);
  }

  Tensor whole(const std::vector<int64_t>& ids) const { return model_.forward(batch_of({ids}), {&adapter_}, nullptr); }

  const at::NoGradGuard no_grad_;
  CausalLm model_;
  Adapter adapter_;
};

TEST_P(KvCacheTest, PrefillEqualsTheForwardWithoutCache) {
  KvCache cache = model_.make_cache(1, 16);
  const std::vector<int64_t> ids = some_ids(9, 1);
  const Tensor prefilled = model_.forward(appended(cache, {ids}, {0}), {&adapter_}, &cache);
  EXPECT_LT(max_difference(prefilled, whole(ids)), kLogprobTolerance);
  EXPECT_EQ(cache.length(0), 9);
}

TEST_P(KvCacheTest, TokenByTokenEqualsPrefill) {
  KvCache cache = model_.make_cache(1, 16);
  const std::vector<int64_t> ids = some_ids(8, 1);
  const Tensor last = in_pieces(model_, {&adapter_}, cache, 0, ids, {3, 4, 5, 6, 7, 8});
  EXPECT_LT(max_difference(last, whole(ids).narrow(0, 7, 1)), kLogprobTolerance);
}

TEST_P(KvCacheTest, ContinuedPrefillEqualsOnePrefill) {
  KvCache cache = model_.make_cache(1, 16);
  const std::vector<int64_t> ids = some_ids(12, 1);
  const Tensor last = in_pieces(model_, {&adapter_}, cache, 0, ids, {5, 12});
  EXPECT_LT(max_difference(last, whole(ids).narrow(0, 5, 7)), kLogprobTolerance);
}

TEST_P(KvCacheTest, DecodeOfABatchEqualsEachAlone) {
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

TEST_P(KvCacheTest, SlotsInAnyOrderEqualEachAlone) {
  const std::vector<int64_t> first = some_ids(6, 1);
  const std::vector<int64_t> second = some_ids(9, 2);
  KvCache cache = model_.make_cache(5, 16);
  model_.forward(appended(cache, {slice(first, 0, 5), slice(second, 0, 6)}, {4, 1}), {&adapter_}, &cache);
  const Tensor last =
      model_.forward(appended(cache, {slice(second, 6, 9), slice(first, 5, 6)}, {1, 4}), {&adapter_}, &cache);
  EXPECT_LT(max_difference(last.narrow(0, 0, 3), whole(second).narrow(0, 6, 3)), kLogprobTolerance);
  EXPECT_LT(max_difference(last.narrow(0, 3, 1), whole(first).narrow(0, 5, 1)), kLogprobTolerance);
}

TEST_P(KvCacheTest, CopiedSlotContinuesLikeTheOriginal) {
  KvCache cache = model_.make_cache(3, 16);
  const std::vector<int64_t> prompt = some_ids(6, 1);
  model_.forward(appended(cache, {prompt}, {0}), {&adapter_}, &cache);
  cache.copy_slot(0, 2);
  EXPECT_EQ(cache.length(2), 6);
  const Tensor both = model_.forward(appended(cache, {{7}, {7}}, {0, 2}), {&adapter_}, &cache);
  EXPECT_LT(max_difference(both[0], both[1]), kLogprobTolerance);
}

TEST_P(KvCacheTest, ClearedSlotForgets) {
  KvCache cache = model_.make_cache(1, 16);
  model_.forward(appended(cache, {some_ids(10, 5)}, {0}), {&adapter_}, &cache);
  cache.clear(0);
  const std::vector<int64_t> ids = some_ids(4, 1);
  EXPECT_LT(max_difference(model_.forward(appended(cache, {ids}, {0}), {&adapter_}, &cache), whole(ids)),
            kLogprobTolerance);
}

TEST_P(KvCacheTest, OverfullSlotIsABug) {
  KvCache cache = model_.make_cache(1, 8);
  EXPECT_THROW(model_.forward(appended(cache, {some_ids(9, 1)}, {0}), {}, &cache), std::logic_error);
}

INSTANTIATE_TEST_SUITE_P(Backends, KvCacheTest, testing::Values(Backend::kKernels, Backend::kAten),
                         [](const auto& backend) { return backend.param == Backend::kAten ? "Slabs" : "Pages"; });

TEST(KvCache, ForwardWithGradientsIsABug) {
  const CausalLm model = tiny_model();
  Adapter adapter = Adapter::create(model.sites(), adapter_options(1, 32), 1, at::kCPU);
  adapter.set_trainable(true);
  KvCache cache = model.make_cache(1, 8);
  EXPECT_THROW(model.forward(appended(cache, {some_ids(3, 1)}, {0}), {&adapter}, &cache), std::logic_error);
}

KvCache paged_cache(int64_t num_slots, int64_t max_length) {
  return KvCache(tiny_config(), num_slots, max_length, KvCache::Layout::kPages, at::kCPU, at::kFloat);
}

// As a forward leaves a slot that it has appended to.
void append(KvCache& cache, int64_t slot, int64_t num_tokens) {
  cache.reserve(slot, cache.length(slot) + num_tokens);
  cache.advance(slot, num_tokens);
}

std::vector<int32_t> pages_of(KvCache& cache, int64_t slot) {
  const int32_t* table = cache.reserve(slot, cache.length(slot));
  return {table, table + (cache.length(slot) + 15) / 16};
}

TEST(KvCachePages, AreTakenBySixteenPositions) {
  KvCache cache = paged_cache(2, 64);
  EXPECT_EQ(cache.num_pages_in_use(), 0);
  append(cache, 0, 1);
  EXPECT_EQ(cache.num_pages_in_use(), 1);
  append(cache, 0, 15);
  EXPECT_EQ(cache.num_pages_in_use(), 1);
  append(cache, 0, 1);
  EXPECT_EQ(cache.num_pages_in_use(), 2);
  append(cache, 1, 33);
  EXPECT_EQ(cache.num_pages_in_use(), 5);
}

TEST(KvCachePages, FullOnesAreSharedByCopiesAndTheLastIsNot) {
  KvCache cache = paged_cache(4, 64);
  append(cache, 0, 37);
  for (const int64_t to : {1, 2, 3}) cache.copy_slot(0, to);
  EXPECT_EQ(cache.num_pages_in_use(), 2 + 4);
  const std::vector<int32_t> original = pages_of(cache, 0), copy = pages_of(cache, 2);
  ASSERT_EQ(copy.size(), 3u);
  EXPECT_EQ(copy[0], original[0]);
  EXPECT_EQ(copy[1], original[1]);
  EXPECT_NE(copy[2], original[2]);
}

TEST(KvCachePages, OfACopyThatEndsAtAPageAreAllShared) {
  KvCache cache = paged_cache(2, 64);
  append(cache, 0, 32);
  cache.copy_slot(0, 1);
  EXPECT_EQ(cache.num_pages_in_use(), 2);
  append(cache, 0, 1);
  append(cache, 1, 1);
  EXPECT_EQ(cache.num_pages_in_use(), 4);
  EXPECT_NE(pages_of(cache, 0)[2], pages_of(cache, 1)[2]);
}

TEST(KvCachePages, SharedOnesStayUntilTheLastOwnerIsCleared) {
  KvCache cache = paged_cache(3, 64);
  append(cache, 0, 32);
  cache.copy_slot(0, 1);
  cache.copy_slot(1, 2);
  cache.clear(0);
  cache.clear(2);
  EXPECT_EQ(cache.num_pages_in_use(), 2);
  EXPECT_EQ(cache.length(1), 32);
  cache.clear(1);
  EXPECT_EQ(cache.num_pages_in_use(), 0);
}

TEST(KvCachePages, MoveWithTheirSlot) {
  KvCache cache = paged_cache(2, 64);
  append(cache, 0, 20);
  append(cache, 1, 40);
  const std::vector<int32_t> pages = pages_of(cache, 0);
  cache.move_slot(0, 1);
  EXPECT_EQ(cache.length(0), 0);
  EXPECT_EQ(cache.length(1), 20);
  EXPECT_EQ(pages_of(cache, 1), pages);
  EXPECT_EQ(cache.num_pages_in_use(), 2);
}

TEST(KvCachePages, OfASlotCopiedOrMovedOntoItselfStay) {
  KvCache cache = paged_cache(2, 64);
  append(cache, 0, 20);
  const std::vector<int32_t> pages = pages_of(cache, 0);
  cache.copy_slot(0, 0);
  cache.move_slot(0, 0);
  EXPECT_EQ(cache.length(0), 20);
  EXPECT_EQ(pages_of(cache, 0), pages);
  EXPECT_EQ(cache.num_pages_in_use(), 2);
}

TEST(KvCachePages, ReservedAndNotFilledAreNotCopiedAndNotLost) {
  KvCache cache = paged_cache(2, 64);
  append(cache, 0, 17);
  cache.reserve(0, 64);
  EXPECT_EQ(cache.num_pages_in_use(), 4);
  cache.copy_slot(0, 1);
  EXPECT_EQ(cache.num_pages_in_use(), 5);
  cache.clear(0);
  cache.clear(1);
  EXPECT_EQ(cache.num_pages_in_use(), 0);
}

TEST(KvCachePages, BeyondTheSlotsLengthAreABug) {
  KvCache cache = paged_cache(2, 40);
  EXPECT_THROW(cache.reserve(0, 41), std::logic_error);
  append(cache, 0, 40);
  EXPECT_THROW(cache.advance(0, 1), std::logic_error);
}

TEST(KvCachePages, SufficeForSlotsThatAreFullAndShareNothing) {
  KvCache cache = paged_cache(5, 33);
  for (int64_t slot = 0; slot < 5; ++slot) append(cache, slot, 33);
  EXPECT_EQ(cache.num_pages_in_use(), 15);
}

// A table of page numbers for each slot; a page that a slot takes for itself has a number never used before.
class PlainPages {
 public:
  explicit PlainPages(int64_t num_slots) : tables_(num_slots), lengths_(num_slots) {}

  void append(int64_t slot, int64_t num_tokens) {
    lengths_[slot] += num_tokens;
    while (static_cast<int64_t>(tables_[slot].size()) * 16 < lengths_[slot]) tables_[slot].push_back(next_++);
  }
  void copy(int64_t from, int64_t to) {
    if (from == to) return;
    tables_[to] = tables_[from];
    lengths_[to] = lengths_[from];
    if (lengths_[to] % 16 != 0) tables_[to].back() = next_++;
  }
  void clear(int64_t slot) {
    tables_[slot].clear();
    lengths_[slot] = 0;
  }
  void move(int64_t from, int64_t to) {
    tables_[to] = tables_[from];
    lengths_[to] = lengths_[from];
    clear(from);
  }
  int64_t length(int64_t slot) const { return lengths_[slot]; }
  int64_t num_pages() const {
    std::set<int64_t> pages;
    for (const std::vector<int64_t>& table : tables_) pages.insert(table.begin(), table.end());
    return static_cast<int64_t>(pages.size());
  }
  // The cache's pages are named by these one to one.
  void expect_same(KvCache& cache) const {
    std::map<int64_t, int32_t> page_of;
    std::set<int32_t> taken;
    for (size_t slot = 0; slot < tables_.size(); ++slot) {
      ASSERT_EQ(cache.length(slot), lengths_[slot]);
      const std::vector<int32_t> pages = pages_of(cache, static_cast<int64_t>(slot));
      ASSERT_EQ(pages.size(), tables_[slot].size());
      for (size_t i = 0; i < pages.size(); ++i) {
        if (page_of.emplace(tables_[slot][i], pages[i]).second) {
          ASSERT_TRUE(taken.insert(pages[i]).second) << "page " << pages[i] << " is two";
        }
        ASSERT_EQ(page_of.at(tables_[slot][i]), pages[i]);
      }
    }
    ASSERT_EQ(cache.num_pages_in_use(), num_pages());
  }

 private:
  std::vector<std::vector<int64_t>> tables_;
  std::vector<int64_t> lengths_;
  int64_t next_ = 0;
};

TEST(KvCachePages, AreThoseOfAPlainModelAfterManyRandomOperations) {
  constexpr int64_t kSlots = 9, kLength = 70;
  KvCache cache = paged_cache(kSlots, kLength);
  PlainPages plain(kSlots);
  Rng rng(4);
  for (int step = 0; step < 3000; ++step) {
    const auto slot = static_cast<int64_t>(rng.below(kSlots)), other = static_cast<int64_t>(rng.below(kSlots));
    const uint64_t what = rng.below(8);
    if (what < 4) {
      const auto count = static_cast<int64_t>(rng.below(kLength - plain.length(slot) + 1));
      append(cache, slot, std::min<int64_t>(count, 20));
      plain.append(slot, std::min<int64_t>(count, 20));
    } else if (what < 6) {
      cache.copy_slot(slot, other);
      plain.copy(slot, other);
    } else if (what == 6) {
      cache.clear(slot);
      plain.clear(slot);
    } else if (slot != other) {
      cache.move_slot(slot, other);
      plain.move(slot, other);
    }
    plain.expect_same(cache);
    if (HasFatalFailure()) FAIL() << "after step " << step;
  }
  for (int64_t slot = 0; slot < kSlots; ++slot) cache.clear(slot);
  EXPECT_EQ(cache.num_pages_in_use(), 0);
}

}  // namespace
}  // namespace noregret
