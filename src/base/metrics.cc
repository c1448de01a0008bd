#include "noregret/base/metrics.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "noregret/base/check.h"

namespace noregret {
namespace {

template <class Items>
auto find_name(Items& items, const std::string& name) {
  return std::find_if(items.begin(), items.end(), [&](const auto& item) { return item.first == name; });
}

}  // namespace

void Metrics::set(const std::string& name, double value) {
  const auto found = find_name(items_, name);
  if (found == items_.end()) {
    items_.emplace_back(name, value);
  } else {
    found->second = value;
  }
}

void Metrics::merge(const Metrics& other) {
  for (const auto& [name, value] : other.items()) set(name, value);
}

bool Metrics::has(const std::string& name) const { return find_name(items_, name) != items_.end(); }

double Metrics::get(const std::string& name) const {
  const auto found = find_name(items_, name);
  NOREGRET_CHECK(found != items_.end(), "no metric ", quoted(name));
  return found->second;
}

MetricSums::Item& MetricSums::find(const std::string& name, Kind kind, double start) {
  for (Item& item : items_) {
    if (item.name != name) continue;
    NOREGRET_CHECK(item.kind == kind, "metric ", quoted(name), " is added up in two ways");
    return item;
  }
  return items_.emplace_back(Item{name, kind, start, 0.0});
}

void MetricSums::add(const std::string& name, double sum, double count) {
  Item& item = find(name, Kind::kMean, 0.0);
  item.value += sum;
  item.count += count;
}

void MetricSums::add_total(const std::string& name, double value) { find(name, Kind::kTotal, 0.0).value += value; }

void MetricSums::add_max(const std::string& name, double value) {
  Item& item = find(name, Kind::kMax, -std::numeric_limits<double>::infinity());
  if (value > item.value || std::isnan(value)) item.value = value;  // a NaN stays: nothing is greater
}

void MetricSums::merge(const MetricSums& other) {
  for (const Item& item : std::vector<Item>(other.items_)) {  // a copy: `other` may be this object
    if (item.kind == Kind::kMean) add(item.name, item.value, item.count);
    if (item.kind == Kind::kTotal) add_total(item.name, item.value);
    if (item.kind == Kind::kMax) add_max(item.name, item.value);
  }
}

Metrics MetricSums::finish() const {
  Metrics metrics;
  for (const Item& item : items_) {
    if (item.kind != Kind::kMean) {
      metrics.set(item.name, item.value);
    } else if (item.count != 0.0) {
      metrics.set(item.name, item.value / item.count);
    }
  }
  return metrics;
}

}  // namespace noregret
