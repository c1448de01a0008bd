#include <cmath>
#include <cstring>
#include <limits>
#include <string_view>

#include "tests/reward/plugins/descriptor.h"

// Breaks the contract of results in the way that the completion names.
namespace {

void put_part(noregret_result& result, const char* name, double value) {
  noregret_part& part = *noregret_part_at(result.parts, result.num_parts++);
  part.name_size = static_cast<uint32_t>(std::strlen(name));
  std::memcpy(part.name, name, part.name_size);
  part.value = value;
}

void put_error(noregret_result& result, std::string_view text) {
  result.status = NOREGRET_FAILED;
  std::memcpy(result.error, text.data(), text.size());
  result.error_size = text.size();
}

void break_part(std::string_view fault, noregret_result& result) {
  if (fault == "nan part") put_part(result, "x", std::nan(""));
  if (fault == "unnamed part") put_part(result, "", 1.0);
  if (fault == "part with a slash") put_part(result, "a/b", 1.0);
  if (fault == "two equal parts") put_part(result, "x", 1.0), put_part(result, "x", 2.0);
  if (fault == "part name size") put_part(result, "x", 1.0), result.parts->name_size = 1000000;
  if (fault == "17 parts") result.num_parts = 17;
  if (fault == "endless parts") result.num_parts = std::numeric_limits<size_t>::max();
  if (fault == "good parts") put_part(result, "a.b-c_1", 1.5), put_part(result, "y", -2.0);
}

void break_error(std::string_view fault, noregret_result& result) {
  if (fault == "fails") put_error(result, "the judge is ill");
  if (fault == "fails without a text") put_error(result, "");
  if (fault == "fails in two lines") put_error(result, "one\ntwo\x01");
  if (fault == "fails in latin-1") put_error(result, "caf\xE9!");
  if (fault == "fails cut in a character") put_error(result, "caf\xC3");
  if (fault == "fails in French") put_error(result, "caf\xC3\xA9");
  if (fault == "endless error") put_error(result, "x"), result.error_size = std::numeric_limits<size_t>::max();
  if (fault == "fails with a reward") put_error(result, "no"), result.reward = 1.0;
}

void break_reward(std::string_view fault, noregret_result& result) {
  if (fault == "unset") result.status = NOREGRET_UNSET;
  if (fault == "status 77") result.status = 77;
  if (fault == "nan") result.reward = std::nan("");
  if (fault == "inf") result.reward = std::numeric_limits<double>::infinity();
  if (fault == "too high") result.reward = 1.5;
  if (fault == "too low") result.reward = -0.5;
}

// The host's own fields, which a plugin leaves as they are.
void break_host_fields(std::string_view fault, noregret_result& result) {
  if (fault != "host fields") return;
  put_part(result, "x", 1.0);
  result.parts = nullptr;
  result.error = nullptr;
  result.parts_capacity = result.error_capacity = 0;
}

void faulty_score(void*, const noregret_item* items, size_t num_items, noregret_result* results) {
  for (size_t i = 0; i < num_items; ++i) {
    const noregret_item& item = *noregret_item_at(items, i);
    noregret_result& result = *noregret_result_at(results, i);
    const std::string_view fault(item.completion, item.completion_size);
    if (fault == "rest left") return;
    result.status = NOREGRET_OK;
    result.reward = 0.5;
    break_reward(fault, result);
    break_part(fault, result);
    break_error(fault, result);
    break_host_fields(fault, result);
  }
}

}  // namespace

EXPORT_WITH(plugin.score = faulty_score; plugin.name = "faults"; plugin.flags = NOREGRET_THREAD_SAFE)
