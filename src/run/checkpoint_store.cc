#include "run/checkpoint_store.h"

#include <algorithm>
#include <cstdio>

#include "noregret/base/error.h"
#include "noregret/base/json.h"
#include "noregret/base/text.h"

namespace noregret {
namespace {

constexpr size_t kSha256Digits = 64;

struct Latest {
  std::string name;
  std::string manifest_sha256;
};

// Throws DataError: "no such file", or another content than write_latest() writes.
Latest read_latest(const fs::path& run) {
  const fs::path file = run / "LATEST";
  const std::string line = read_file(file, 4096);
  const size_t space = line.find(' ');
  if (space != std::string::npos && line.size() == space + 1 + kSha256Digits + 1 && line.back() == '\n') {
    Latest latest{line.substr(0, space), line.substr(space + 1, kSha256Digits)};
    const bool is_hex = latest.manifest_sha256.find_first_not_of("0123456789abcdef") == std::string::npos;
    if (is_hex && step_of(latest.name) >= 0 && !is_replaced(latest.name)) return latest;
  }
  throw DataError(file.string() + ": damaged, want the name of a checkpoint and the SHA-256 of its MANIFEST.json");
}

// The checkpoint whose manifest LATEST contradicts, or "". What is wrong with LATEST is told in `damage`.
std::string contradicted(const fs::path& run, size_t num_checkpoints, std::vector<std::string>& damage) {
  const fs::path file = run / "LATEST";
  // A process that is killed right after its first checkpoint has not written it yet.
  if (num_checkpoints <= 1 && !fs::exists(file)) return "";
  try {
    const Latest latest = read_latest(run);
    const fs::path checkpoint = run / "checkpoints" / latest.name;
    if (fs::exists(checkpoint.string() + kReplaced) && !fs::exists(checkpoint)) return "";  // about to be replaced
    if (!fs::exists(checkpoint)) throw DataError(cat(file.string(), ": names ", latest.name, ", which is not there"));
    const fs::path manifest = checkpoint / "MANIFEST.json";
    if (!fs::exists(manifest) || sha256_file(manifest) == latest.manifest_sha256) return "";
    return latest.name;
  } catch (const DataError& e) {
    damage.push_back(cat(e.what(), "; looking at the checkpoints themselves"));
    return "";
  }
}

// None where the run was not evaluated at that step.
std::optional<double> score_of(const fs::path& checkpoint) {
  try {
    const Json state = parse_json(read_file(checkpoint / "state.json"), checkpoint.string());
    if (state.contains("score") && state["score"].is_number()) return state["score"].get<double>();
  } catch (const DataError&) {  // damaged: it has no score, and keep_last decides
  }
  return std::nullopt;
}

// Moves the checkpoint of a step that is saved again out of the way, and back unless the new one has come.
class SetAside {
 public:
  explicit SetAside(const fs::path& checkpoint) : checkpoint_(checkpoint), aside_(checkpoint.string() + kReplaced) {
    if (!fs::exists(checkpoint_)) return;
    std::error_code error;
    fs::remove_all(aside_, error);
    if (!error) fs::rename(checkpoint_, aside_, error);
    if (error) throw IoError(cat(checkpoint_.string(), ": cannot move it aside for a new one: ", error.message()));
  }
  ~SetAside() {
    std::error_code error;
    if (!fs::exists(checkpoint_, error) && fs::exists(aside_, error)) fs::rename(aside_, checkpoint_, error);
  }
  SetAside(const SetAside&) = delete;
  SetAside& operator=(const SetAside&) = delete;

 private:
  fs::path checkpoint_;
  fs::path aside_;
};

std::vector<std::string> best_checkpoints(const fs::path& run, const std::vector<std::string>& names, int64_t count) {
  std::vector<std::pair<double, std::string>> scored;
  for (const std::string& name : names) {
    const std::optional<double> score =
        is_replaced(name) || count == 0 ? std::nullopt : score_of(run / "checkpoints" / name);
    if (score) scored.emplace_back(*score, name);
  }
  // Of equals the newest: `names` begins with it.
  std::stable_sort(scored.begin(), scored.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
  std::vector<std::string> best;
  for (size_t i = 0; i < scored.size() && static_cast<int64_t>(i) < count; ++i) best.push_back(scored[i].second);
  return best;
}

}  // namespace

std::string step_name(int64_t step) {
  char name[32];
  std::snprintf(name, sizeof name, "step_%06lld", static_cast<long long>(step));
  return name;
}

bool is_replaced(const std::string& name) {
  return name.size() > 4 && name.compare(name.size() - 4, 4, kReplaced) == 0;
}

int64_t step_of(const std::string& name) {
  const std::string digits =
      name.rfind("step_", 0) == 0 ? name.substr(5, name.size() - 5 - (is_replaced(name) ? 4 : 0)) : "";
  const bool is_step =
      digits.size() >= 6 && digits.size() <= 18 && digits.find_first_not_of("0123456789") == std::string::npos;
  return is_step ? std::stoll(digits) : -1;
}

std::vector<std::string> checkpoint_names(const fs::path& run) {
  std::vector<std::string> names;
  if (!fs::is_directory(run / "checkpoints")) return names;
  for (const fs::directory_entry& entry : fs::directory_iterator(run / "checkpoints")) {
    const std::string name = entry.path().filename().string();
    if (step_of(name) >= 0 && entry.is_directory()) names.push_back(name);
  }
  std::sort(names.begin(), names.end(), [](const std::string& a, const std::string& b) {
    return std::pair(step_of(a), is_replaced(b)) > std::pair(step_of(b), is_replaced(a));
  });
  return names;
}

FoundCheckpoint find_checkpoint(const fs::path& run, int64_t before_step) {
  FoundCheckpoint found;
  std::vector<std::string> names = checkpoint_names(run);
  if (names.empty()) return found;
  const std::string doubtful = contradicted(run, names.size(), found.damage);
  names.erase(
      std::remove_if(names.begin(), names.end(), [&](const std::string& name) { return step_of(name) >= before_step; }),
      names.end());
  found.num_checkpoints = names.size();
  std::optional<fs::path> last_resort;
  for (const std::string& name : names) {
    const fs::path dir = run / "checkpoints" / name;
    try {
      verify_dir(dir);
      if (name == doubtful) {
        last_resort = dir;
        throw DataError(
            cat((dir / "MANIFEST.json").string(), ": its SHA-256 is not the one in LATEST; one of the two is damaged"));
      }
      found.path = dir;
      return found;
    } catch (const DataError& e) {
      if (found.newest_damage.empty()) found.newest_damage = e.what();
      found.damage.push_back(cat(e.what(), "; going back to an older checkpoint"));
    }
  }
  if (last_resort)
    found.damage.push_back(last_resort->string() + ": there is no older one, its files are as they should be");
  found.path = last_resort;
  return found;
}

void check_any_whole(const fs::path& run, const FoundCheckpoint& found) {
  if (found.path || found.num_checkpoints == 0) return;
  throw DataError(cat(run.string(), ": none of its ", found.num_checkpoints,
                      " checkpoints is whole; the newest: ", found.newest_damage));
}

std::string damage_text(const FoundCheckpoint& found) {
  if (found.damage.empty() || !found.path) return "";
  return cat(join(found.damage, "; "), "; taking ", found.path->string());
}

fs::path write_checkpoint(const fs::path& run, int64_t step, const std::vector<NamedBytes>& files,
                          const Retention& retention) {
  const std::string name = step_name(step);
  const fs::path dir = run / "checkpoints" / name;
  const SetAside aside(dir);
  DirWriter writer(dir);
  for (const NamedBytes& file : files) writer.write(file.name, file.bytes);
  write_latest(run, name, writer.commit());
  prune_checkpoints(run, retention, name);
  return dir;
}

void write_latest(const fs::path& run, const std::string& name, const std::string& manifest_sha256) {
  write_file_atomic(run / "LATEST", cat(name, " ", manifest_sha256, "\n"));
}

void mend_latest(const fs::path& run, const FoundCheckpoint& found) {
  if (!found.path || !found.newest_damage.empty()) return;
  const std::string name = found.path->filename().string();
  if (is_replaced(name)) return;
  const std::string manifest_sha256 = sha256_file(*found.path / "MANIFEST.json");
  try {
    const Latest latest = read_latest(run);
    if (latest.name == name && latest.manifest_sha256 == manifest_sha256) return;
  } catch (const DataError&) {  // told by find_checkpoint()
  }
  write_latest(run, name, manifest_sha256);
}

void prune_checkpoints(const fs::path& run, const Retention& retention, const std::string& latest) {
  const std::vector<std::string> names = checkpoint_names(run);
  const std::vector<std::string> best = best_checkpoints(run, names, retention.keep_best);
  int64_t num_kept = 0;
  for (const std::string& name : names) {
    if (!is_replaced(name)) {
      if (step_of(name) > step_of(latest)) continue;  // damaged, or LATEST would name it: its step will come again
      const bool is_recent = num_kept++ < retention.keep_last;
      const bool is_milestone = retention.keep_every > 0 && step_of(name) % retention.keep_every == 0;
      const bool is_best = std::find(best.begin(), best.end(), name) != best.end();
      if (name == latest || is_recent || is_milestone || is_best) continue;
    }
    std::error_code error;
    fs::remove_all(run / "checkpoints" / name, error);
  }
}

}  // namespace noregret
