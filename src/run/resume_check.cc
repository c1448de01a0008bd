#include "run/resume_check.h"

#include <algorithm>
#include <optional>

#include "noregret/base/text.h"
#include "noregret/config/run_config.h"

namespace noregret {
namespace {

constexpr size_t kMaxValue = 60;  // bytes of a value in a line

// Keys that change no result.
bool may_always_differ(const std::string& key) {
  for (const char* free : {"train.steps", "train.save_every", "train.keep_", "train.stall_s", "log.", "eval."}) {
    if (key.rfind(free, 0) == 0) return true;
  }
  return false;
}

// Why a key may differ without being allowed, if it may.
std::optional<std::string> harmless(const std::string& key) {
  if (key == "threads") return "sums may round otherwise";
  if (key == "rollout.max_batch") return "speed and memory alone change, and on CUDA how sums round";
  if (key == "optimizer.lr") return "the new value counts from here";
  return std::nullopt;
}

// "optimizer.lr", "rewards[1].weight" -> the value there, as text.
std::string value_at(const Json& root, const std::string& key) {
  std::string pointer = key.empty() ? "" : "/";
  for (const char c : key) {
    if (c == '.' || c == '[') {
      pointer += '/';
    } else if (c != ']') {
      pointer += c == '~' ? std::string("~0") : std::string(1, c);
    }
  }
  const Json::json_pointer path(pointer);
  if (!root.contains(path)) return "absent";
  std::string text = dump_json(root.at(path));
  if (text.size() > kMaxValue) text.replace(kMaxValue, std::string::npos, "...");
  return text;
}

class Comparison {
 public:
  explicit Comparison(const std::vector<std::string>& allowed) : allowed_(allowed) {}

  // `root` is what the keys are looked up in, `prefix` stands before them.
  void add(const Json& before, const Json& now, const std::string& prefix, const std::string& key) {
    const std::string name = key.empty() || prefix.empty() ? prefix + key : cat(prefix, ".", key);
    const std::string change = cat(name, " was ", value_at(before, key), ", is ", value_at(now, key));
    const bool is_allowed = std::find(allowed_.begin(), allowed_.end(), name) != allowed_.end();
    if (const std::optional<std::string> why = harmless(name)) {
      result.told.push_back(cat(change, "; ", *why));
    } else if (is_allowed) {
      result.told.push_back(cat(change, " (--allow ", name, ")"));
    } else if (!may_always_differ(name)) {
      result.refused.push_back(name);
    }
  }

  ResumeDifferences result;

 private:
  const std::vector<std::string>& allowed_;
};

}  // namespace

ResumeDifferences compare_manifests(const Json& before, const Json& now, const std::vector<std::string>& allowed,
                                    const std::string& where) {
  Comparison comparison(allowed);
  const Json& config = json_at(before, "config", where);
  for (const std::string& key : differing_keys(config, now["config"])) comparison.add(config, now["config"], "", key);
  for (const auto& [key, value] : now.items()) {
    if (key.rfind("sha256", 0) != 0) continue;
    const Json earlier = before.contains(key) ? before[key] : Json();
    for (const std::string& name : differing_keys(earlier, value)) comparison.add(earlier, value, key, name);
  }
  for (const char* key : {"noregret", "build", "device", "cpu"}) {
    if (!before.contains(key) || !now.contains(key) || before[key] == now[key]) continue;
    comparison.result.told.push_back(
        cat(key, " was ", value_at(before, key), ", is ", value_at(now, key), "; sums may round otherwise"));
  }
  return std::move(comparison.result);
}

}  // namespace noregret
