#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace noregret {

// Named numbers of one step, in the order in which they were set. A name is "area/name".
class Metrics {
 public:
  void set(const std::string& name, double value);  // replaces
  void merge(const Metrics& other);                 // sets each of other's
  bool has(const std::string& name) const;
  double get(const std::string& name) const;  // throws std::logic_error when absent
  const std::vector<std::pair<std::string, double>>& items() const { return items_; }

 private:
  std::vector<std::pair<std::string, double>> items_;
};

// Adds up numbers over microbatches. mean = sum / count; a mean with count 0 is left out.
class MetricSums {
 public:
  void add(const std::string& name, double sum, double count);  // a mean
  void add_total(const std::string& name, double value);        // a plain sum
  void add_max(const std::string& name, double value);
  void merge(const MetricSums& other);
  Metrics finish() const;

 private:
  enum class Kind { kMean, kTotal, kMax };
  struct Item {
    std::string name;
    Kind kind;
    double value;
    double count;
  };
  Item& find(const std::string& name, Kind kind, double start);
  std::vector<Item> items_;
};

// Receives the numbers of a step.
class MetricsSink {
 public:
  virtual ~MetricsSink() = default;
  virtual void log(int64_t step, const Metrics& metrics) = 0;
};

}  // namespace noregret
