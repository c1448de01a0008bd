#include "noregret/reward/plugin.h"

#include <dlfcn.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <mutex>
#include <utility>

#include "noregret/base/error.h"
#include "noregret/base/file.h"
#include "noregret/base/output_log.h"
#include "noregret/base/text.h"
#include "reward/plugin_file.h"
#include "reward/raw_batch.h"

namespace noregret {
namespace {

constexpr size_t kFirstSize = sizeof(noregret_plugin);  // of version 1.0: a plugin has at least this much

[[noreturn]] void refuse(const std::filesystem::path& file, const std::string& why) {
  throw ConfigError(cat("reward plugin ", file.string(), ": ", why));
}

// Runs code of a plugin. A plugin without the SDK's guard may let an exception out: it must not pass through the host.
template <class Work>
std::string catch_all(Work&& work) {
  try {
    work();
    return "";
  } catch (const std::exception& e) {
    return "let an exception out: " + clean_line(e.what());
  } catch (...) {
    return "let an exception out that is no std::exception";
  }
}

const noregret_plugin* query(const std::filesystem::path& file) {
  // Never closed: results of a plugin's static objects and thread-local destructors may outlive the last use.
  void* library = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    const char* why = dlerror();
    refuse(file, cat("cannot be loaded: ", clean_line(why == nullptr ? "" : why)));
  }
  const auto function = reinterpret_cast<noregret_plugin_query_fn>(dlsym(library, NOREGRET_PLUGIN_QUERY));
  if (function == nullptr) refuse(file, cat("is no reward plugin: it does not export ", NOREGRET_PLUGIN_QUERY));
  const noregret_plugin* plugin = nullptr;
  const std::string thrown = catch_all([&] { plugin = function(NOREGRET_ABI_MAJOR); });
  if (!thrown.empty()) refuse(file, cat(NOREGRET_PLUGIN_QUERY, " ", thrown));
  if (plugin == nullptr) {
    refuse(file, cat("does not speak version ", NOREGRET_ABI_MAJOR,
                     " of the plugin interface; compile it with this host's abi.h"));
  }
  return plugin;
}

// A copy of the descriptor, checked.
noregret_plugin load_descriptor(const std::filesystem::path& file) {
  const noregret_plugin& plugin = *query(file);
  if (plugin.magic != NOREGRET_PLUGIN_MAGIC) refuse(file, "wrong magic number; compile it with noregret/reward/abi.h");
  if (plugin.major != NOREGRET_ABI_MAJOR) {
    refuse(file, cat("is for version ", plugin.major, ".", plugin.minor, " of the plugin interface, this host has ",
                     NOREGRET_ABI_MAJOR, ".", NOREGRET_ABI_MINOR, "; compile it with this host's abi.h"));
  }
  if (plugin.size < kFirstSize)
    refuse(file, cat("its descriptor has ", plugin.size, " bytes, want at least ", kFirstSize));
  const std::string_view name(plugin.name == nullptr ? "" : plugin.name,
                              plugin.name == nullptr ? 0 : strnlen(plugin.name, NOREGRET_NAME_CAPACITY + 1));
  if (!is_component_name(name)) {
    refuse(file, cat("its name is ", quoted(name), ", want 1 to ", NOREGRET_NAME_CAPACITY, " of A-Z a-z 0-9 _ . -"));
  }
  if (plugin.create == nullptr || plugin.score == nullptr || plugin.destroy == nullptr) {
    refuse(file, "create, score or destroy is null");
  }
  if (!std::isfinite(plugin.min_reward) || !std::isfinite(plugin.max_reward) || plugin.min_reward > plugin.max_reward) {
    refuse(file,
           cat("its rewards go from ", plugin.min_reward, " to ", plugin.max_reward, ", want finite and min <= max"));
  }
  return plugin;
}

}  // namespace

struct Plugin::Impl {
  noregret_plugin descriptor{};
  std::string name;
  std::string digest;
  void* self = nullptr;
  std::mutex turn;  // of a plugin that is not thread-safe

  Impl() = default;
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;
  ~Impl() {
    if (self != nullptr) catch_all([&] { descriptor.destroy(self); });
  }

  void create(const std::string& options_json) {
    char text[512];
    noregret_error error{sizeof error, 0, text, sizeof text, 0};
    const std::string thrown =
        catch_all([&] { self = descriptor.create(options_json.data(), options_json.size(), &error); });
    if (!thrown.empty()) throw ConfigError(cat("reward plugin ", name, ": create ", thrown));
    if (self != nullptr) return;
    const std::string why = clean_line({text, std::min(error.text_size, sizeof text)});
    throw ConfigError(cat("reward plugin ", name, ": ", why.empty() ? "refuses its options without saying why" : why));
  }
};

Plugin::Plugin(const std::string& name_or_path, const std::string& options_json,
               const std::filesystem::path& plugin_dir)
    : impl_(std::make_unique<Impl>()) {
  const std::filesystem::path file = find_plugin(name_or_path, plugin_dir);
  impl_->digest = sha256_file(file);
  impl_->descriptor = load_descriptor(file);
  impl_->name = impl_->descriptor.name;
  impl_->create(options_json);
}

Plugin::~Plugin() = default;
Plugin::Plugin(Plugin&&) noexcept = default;
Plugin& Plugin::operator=(Plugin&&) noexcept = default;

const std::string& Plugin::name() const { return impl_->name; }
double Plugin::min_reward() const { return impl_->descriptor.min_reward; }
double Plugin::max_reward() const { return impl_->descriptor.max_reward; }
const std::string& Plugin::digest() const { return impl_->digest; }
bool Plugin::is_deterministic() const { return (impl_->descriptor.flags & NOREGRET_DETERMINISTIC) != 0; }

std::vector<ComponentScore> Plugin::score(std::span<const ScoreItem> items, const CancelFlag* /*cancel*/) {
  return std::as_const(*this).score(items);  // a call into the library cannot be taken back
}

std::vector<ComponentScore> Plugin::score(std::span<const ScoreItem> items) const {
  if (items.empty()) return {};
  RawBatch batch(items);
  std::unique_lock turn(impl_->turn, std::defer_lock);
  if ((impl_->descriptor.flags & NOREGRET_THREAD_SAFE) == 0) turn.lock();
  const std::string thrown =
      catch_all([&] { impl_->descriptor.score(impl_->self, batch.items(), batch.size(), batch.results()); });
  std::vector<ComponentScore> scores;
  for (size_t i = 0; i < batch.size(); ++i) {
    if (thrown.empty()) {
      scores.push_back(batch.verdict(i, min_reward(), max_reward()));
    } else {
      scores.push_back(failed_score(FailureKind::kThrew, thrown));  // it may have written much before: of no use
    }
  }
  return scores;
}

}  // namespace noregret
