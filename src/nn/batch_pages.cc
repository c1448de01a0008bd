#include "nn/batch_pages.h"

#include "noregret/kernels/attention.h"

namespace noregret {

using kernels::kPageSize;

BatchPages lay_out_pages(const std::vector<Segment>& segments, const std::vector<int64_t>& before) {
  BatchPages pages;
  for (size_t i = 0; i < segments.size(); ++i) {
    const int64_t num_shared = before[i] / kPageSize;
    const int64_t rest = before[i] % kPageSize;
    pages.first.push_back(pages.tables.size());
    const size_t prefix = num_shared + rest > 0 ? pages.first[static_cast<size_t>(segments[i].prefix_segment)] : 0;
    for (int64_t page = 0; page < num_shared; ++page) pages.tables.push_back(pages.tables[prefix + page]);
    if (rest > 0) pages.shared.push_back({pages.tables[prefix + num_shared], pages.num_pages, rest, i});
    for (int64_t page = num_shared; page * kPageSize < before[i] + segments[i].length; ++page)
      pages.tables.push_back(pages.num_pages++);
  }
  return pages;
}

}  // namespace noregret
