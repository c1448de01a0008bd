#pragma once

#include <cstdint>
#include <vector>

#include "noregret/tensor/token_batch.h"

namespace noregret {

// Pages of 16 positions for the keys of one batch without a cache: segments share the full pages of their prefix.
struct BatchPages {
  std::vector<int32_t> tables;  // one after the other
  std::vector<size_t> first;    // by segment: where its table begins
  struct SharedPage {  // a segment that goes on in the middle of its prefix's last page begins with a copy of it
    int32_t from, to;
    int64_t count;
    size_t segment;
  };
  std::vector<SharedPage> shared;  // in the order of segments
  int32_t num_pages = 0;
};

// before: how many tokens precede each segment (lengths_before).
BatchPages lay_out_pages(const std::vector<Segment>& segments, const std::vector<int64_t>& before);

}  // namespace noregret
