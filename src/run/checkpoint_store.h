#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "noregret/base/file.h"
#include "noregret/run/run_dir.h"

namespace noregret {

// checkpoints/ and LATEST of a run: names, what is whole, what is kept.

constexpr const char* kReplaced = ".old";  // a checkpoint that waits for the new one of its step to be whole

std::string step_name(int64_t step);
// The step in the name of a complete checkpoint: "step_" and digits, perhaps with kReplaced; else -1.
int64_t step_of(const std::string& name);
bool is_replaced(const std::string& name);
std::vector<std::string> checkpoint_names(const fs::path& run);  // newest first; none without the folder

// The newest checkpoint all of whose files match their hashes, and a line for each thing that does not. LATEST holds
// the hash of its checkpoint's MANIFEST.json: where the two disagree, one is damaged, and that checkpoint is taken only
// when there is no other.
struct FoundCheckpoint {
  std::optional<fs::path> path;
  std::vector<std::string> damage;
  std::string newest_damage;  // what is wrong with the newest checkpoint that is not whole
  size_t num_checkpoints = 0;
};
// Only of steps before `before_step`.
FoundCheckpoint find_checkpoint(const fs::path& run, int64_t before_step = std::numeric_limits<int64_t>::max());
// Throws DataError where there are checkpoints and none is whole.
void check_any_whole(const fs::path& run, const FoundCheckpoint& found);
// One line: what is damaged, and what is taken instead. "" where nothing is.
std::string damage_text(const FoundCheckpoint& found);

// Makes LATEST name the newest checkpoint where that was taken and LATEST names another, or is damaged: a process that
// is killed between the two leaves it so, and a run that is done saves no more. Throws IoError.
void mend_latest(const fs::path& run, const FoundCheckpoint& found);

// checkpoints/step_NNNNNN, then LATEST, then the pruning. Returns the folder. Throws IoError; then the checkpoints are
// as before, and where LATEST alone could not be written there is the new one too.
fs::path write_checkpoint(const fs::path& run, int64_t step, const std::vector<NamedBytes>& files,
                          const Retention& retention);

// Throws IoError.
void write_latest(const fs::path& run, const std::string& name, const std::string& manifest_sha256);

// Removes what the retention does not keep; never `latest`. What cannot be removed stays: it harms nobody.
void prune_checkpoints(const fs::path& run, const Retention& retention, const std::string& latest);

}  // namespace noregret
