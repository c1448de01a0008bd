#include "nn/segments.h"

#include <algorithm>

#include "noregret/base/check.h"
#include "noregret/base/error.h"
#include "noregret/base/text.h"

namespace noregret {
namespace {

int64_t length_before(const std::vector<Segment>& segments, int64_t b, const KvCache* cache) {
  const Segment& segment = segments[b];
  if (cache != nullptr) {
    NOREGRET_CHECK(segment.kv_slot >= 0 && segment.kv_slot < cache->num_slots() && segment.prefix_segment < 0,
                   "segment ", b, " with a cache: slot ", segment.kv_slot, " of ", cache->num_slots(), ", prefix ",
                   segment.prefix_segment);
    const int64_t length = cache->length(segment.kv_slot);
    NOREGRET_CHECK(length + segment.length <= cache->max_length(), "slot ", segment.kv_slot, " holds ", length,
                   " tokens and gets ", segment.length, " more, its length is ", cache->max_length());
    return length;
  }
  NOREGRET_CHECK(segment.kv_slot < 0, "segment ", b, " has slot ", segment.kv_slot, " but there is no cache");
  if (segment.prefix_segment < 0) return 0;
  NOREGRET_CHECK(segment.prefix_segment < b && segments[segment.prefix_segment].prefix_segment < 0, "segment ", b,
                 ": its prefix ", segment.prefix_segment, " must come before it and have none of its own");
  return segments[segment.prefix_segment].length;
}

}  // namespace

std::vector<int64_t> lengths_before(const TokenBatch& batch, const HfConfig& config, const KvCache* cache) {
  int64_t limit = config.max_positions;
  if (config.rope.type == RopeOptions::Type::kDynamic && config.rope.original_max_positions > 0) {
    limit = std::min(limit, config.rope.original_max_positions);
  }
  std::vector<int64_t> before;
  int64_t row = 0;
  for (int64_t b = 0; b < static_cast<int64_t>(batch.segments.size()); ++b) {
    const Segment& segment = batch.segments[b];
    NOREGRET_CHECK(segment.begin == row && segment.length > 0, "segment ", b, " begins at row ", segment.begin,
                   ", want ", row, ", length ", segment.length);
    row += segment.length;
    before.push_back(length_before(batch.segments, b, cache));
    const int64_t end = before.back() + segment.length;
    if (end > limit) {
      throw DataError(cat("a sequence has ", end, " tokens, the model's context length is ", limit,
                          "; shorten the prompt or lower max_new_tokens"));
    }
  }
  NOREGRET_CHECK(row == batch.num_tokens() && row > 0, "segments cover ", row, " of ", batch.num_tokens(), " rows");
  return before;
}

}  // namespace noregret
