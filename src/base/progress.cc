#include "noregret/base/progress.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "noregret/base/text.h"

namespace noregret {
namespace {

constexpr double kMaxSeconds = 3.6e9;  // a million hours: more is no estimate, and fits no integer

template <class... Args>
std::string formatted(const char* format, Args... args) {
  char buffer[64];
  std::snprintf(buffer, sizeof buffer, format, args...);
  return buffer;
}

}  // namespace

std::string duration_text(double seconds) {
  if (std::isnan(seconds)) return "unknown";
  seconds = std::clamp(seconds, 0.0, kMaxSeconds);
  if (std::llround(seconds * 10) < 600) return formatted("%.1fs", seconds);
  const long long total = std::llround(seconds);
  if (total < 3600) return formatted("%lldm %02llds", total / 60, total % 60);
  return formatted("%lldh %02lldm %02llds", total / 3600, total / 60 % 60, total % 60);
}

std::string Eta::update(double done, double total) {
  const double now = since_.seconds();
  if (!has_start_) {
    has_start_ = true;
    start_done_ = done;
    start_seconds_ = now;
    return "";
  }
  if (!(done > start_done_)) return "";
  const double each = (now - start_seconds_) / (done - start_done_);
  const std::string each_text = each < 59.95 ? formatted("%.3gs", each) : duration_text(each);
  return cat(each_text, " each, ", duration_text(each * (total - done)), " left");
}

}  // namespace noregret
