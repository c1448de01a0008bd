#include "reward/worker_loop.h"

#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <optional>
#include <string_view>
#include <utility>

#include "noregret/base/error.h"
#include "noregret/reward/plugin.h"
#include "reward/message.h"

namespace noregret {
namespace {

// The next request; nothing when the other side has closed.
std::optional<Json> next_request(int channel, std::string& inbox) {
  std::array<char, 65536> buffer;
  size_t line_end = 0;
  while ((line_end = inbox.find('\n')) == std::string::npos) {
    const ssize_t count = recv(channel, buffer.data(), buffer.size(), 0);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return std::nullopt;
    inbox.append(buffer.data(), static_cast<size_t>(count));
  }
  Json request = parse_json(std::string_view(inbox).substr(0, line_end), "the request");
  inbox.erase(0, line_end + 1);
  return request;
}

bool answer(int channel, const Json& request, Json reply) {
  reply["nonce"] = json_at(request, "nonce", "the request");
  const std::string line = dump_json(reply) + "\n";
  for (size_t sent = 0; sent < line.size();) {
    const ssize_t count = send(channel, line.data() + sent, line.size() - sent, MSG_NOSIGNAL);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return false;
    sent += static_cast<size_t>(count);
  }
  return true;
}

}  // namespace

int run_worker_loop(int channel, const std::string& plugin_file) {
  std::string inbox;
  const std::optional<Json> hello = next_request(channel, inbox);
  if (!hello) return 0;
  std::optional<Plugin> plugin;
  try {
    plugin.emplace(plugin_file, dump_json(json_at(*hello, "options", "the request")), "");
  } catch (const ConfigError& e) {
    answer(channel, *hello, Json{{"error", e.what()}});
    return 0;
  }
  const ScorerInfo info{plugin->name(), plugin->min_reward(), plugin->max_reward(), plugin->is_deterministic()};
  if (!answer(channel, *hello, info_message(info))) return 0;
  while (const std::optional<Json> request = next_request(channel, inbox)) {
    const std::vector<ScoreItem> items = read_items(*request);
    if (!answer(channel, *request, results_message(items, std::as_const(*plugin).score(items)))) break;
  }
  return 0;
}

}  // namespace noregret
