#include "noregret/config/run_config.h"

#include "noregret/base/text.h"
#include "noregret/config/yaml.h"

namespace noregret {

template Json write_fields(RunConfig);

namespace {

namespace fs = std::filesystem;

bool is_path_key(const std::string& key) {
  return key == "path" || key == "init_from" || (key.size() > 5 && key.compare(key.size() - 5, 5, "_path") == 0);
}

// A plugin's bare name is no path, nor is an address; of a command's words those are that say so.
bool is_reward_path(const std::string& key, const std::string& text) {
  if (key == "command") return text.starts_with("./") || text.starts_with("../");
  if (key != "plugin" || text.find("://") != std::string::npos) return false;
  return text.find('/') != std::string::npos || text.ends_with(".py");
}

fs::path base_of(const Location& location) {
  const bool is_command_line = location.line == 0;
  return is_command_line ? fs::current_path() : fs::absolute(location.file).parent_path();
}

void make_paths_absolute(Node& node, const std::string& key) {
  if (node.kind == Node::Kind::kScalar && !node.scalar.empty()) {
    if (is_path_key(key) || is_reward_path(key, node.scalar)) {
      node.scalar = (base_of(node.location) / node.scalar).lexically_normal().string();
      node.is_quoted = true;  // a path is text, whatever it looks like
    }
  }
  for (Node& item : node.list) make_paths_absolute(item, key);
  for (auto& [child_key, child] : node.map) make_paths_absolute(child, child_key);
}

// "<location>: " of the key that a check is about: its own place, else its map's, else the file's.
std::string place(const Node& root, const std::vector<std::string>& keys) {
  const Node* node = &root;
  for (const std::string& key : keys) {
    const Node* child = node->find(key);
    if (child == nullptr) break;
    node = child;
  }
  return cat(node->location.str(), ": ");
}

void check_rewards(const RunConfig& config, const Node& root) {
  const Node* list = root.find("rewards");
  for (size_t i = 0; i < config.rewards.size(); ++i) {
    const std::string wrong = config.rewards[i].why_invalid();
    if (wrong.empty()) continue;
    const bool has_place = list != nullptr && i < list->list.size() && !list->list[i].location.file.empty();
    throw ConfigError(
        cat(has_place ? list->list[i].location.str() + ": " : place(root, {"rewards"}), "rewards[", i, "]: ", wrong));
  }
}

void check_rl(const RunConfig& config, const Node& root) {
  if (config.task.kind != Node::Kind::kMap) {
    throw ConfigError(place(root, {"task"}) + "mode: rl needs a task; add task: {name: gsm8k, path: ...}");
  }
  if (config.rewards.empty()) {
    throw ConfigError(place(root, {"rewards"}) + "mode: rl needs rewards; add rewards: [{plugin: gsm8k_answer}]");
  }
  if (config.objective.name == "cross_entropy") {
    throw ConfigError(
        place(root, {"objective", "name"}) +
        "objective.name is cross_entropy, want is or ppo in mode: rl; cross_entropy is what mode: sft minimizes");
  }
  if (config.train.updates_per_batch > 1 && config.objective.name == "is") {
    throw ConfigError(
        place(root, {"train", "updates_per_batch"}) +
        "train.updates_per_batch > 1 wants objective.name: ppo; the unclipped ratio is for one update a batch");
  }
}

void check_sft(const RunConfig& config, const Node& root) {
  if (config.data.path.empty() && config.task.kind != Node::Kind::kMap) {
    throw ConfigError(place(root, {"data"}) + "mode: sft needs data.path, or a task with demonstrations");
  }
  const Node* objective = root.find("objective");
  if (objective != nullptr && objective->find("name") != nullptr && config.objective.name != "cross_entropy") {
    throw ConfigError(place(root, {"objective", "name"}) + "objective.name is " + config.objective.name +
                      ", want cross_entropy in mode: sft; leave the key out");
  }
}

void check_lr(const RunConfig& config, const Node& root) {
  const std::string& lr = config.optimizer.lr;
  const Json value = Node{.kind = Node::Kind::kScalar, .scalar = lr}.to_json();
  const bool is_positive = value.is_number() && value.get<double>() > 0;
  if (lr == "auto" || is_positive) return;
  throw ConfigError(place(root, {"optimizer", "lr"}) +
                    cat("optimizer.lr is ", quoted(lr), ", want auto or a number above 0"));
}

}  // namespace

RunConfig read_run_config(const Node& root) {
  RunConfig config = read_fields<RunConfig>(root, "");
  if (config.model.path.empty())
    throw ConfigError(place(root, {"model"}) + "model.path is missing; name a Hugging Face model folder");
  check_lr(config, root);
  check_rewards(config, root);
  if (config.optimizer.betas.size() != 2) {
    throw ConfigError(place(root, {"optimizer", "betas"}) +
                      cat("optimizer.betas has ", config.optimizer.betas.size(), " values, want 2"));
  }
  for (const double beta : config.optimizer.betas) {
    if (beta >= 1.0) throw ConfigError(place(root, {"optimizer", "betas"}) + "optimizer.betas must be below 1");
  }
  if (config.adapter && config.model.init == "random") {
    throw ConfigError(place(root, {"model", "init"}) +
                      "model.init: random wants adapter: none; an adapter on random weights learns nothing");
  }
  if (!config.adapter && config.objective.kl_coef > 0) {
    throw ConfigError(place(root, {"objective", "kl_coef"}) +
                      "objective.kl_coef > 0 wants an adapter: with adapter: none there is no second copy of the "
                      "weights to compare with");
  }
  if (config.mode == "rl") {
    check_rl(config, root);
  } else {
    check_sft(config, root);
    config.objective.name = "cross_entropy";
  }
  return config;
}

RunConfig load_run_config(const std::filesystem::path& path, const std::vector<std::string>& assignments) {
  Node root = load_yaml(path);
  for (const std::string& assignment : assignments) apply_set(root, assignment);
  make_paths_absolute(root, "");
  return read_run_config(root);
}

std::vector<std::string> differing_keys(const Json& a, const Json& b) {
  std::vector<std::string> keys;
  const auto walk = [&keys](const auto& self, const Json& left, const Json& right, const std::string& path) -> void {
    if (left.is_object() && right.is_object()) {
      const std::string prefix = path.empty() ? "" : path + ".";
      for (const auto& [key, value] : left.items())
        self(self, value, right.contains(key) ? right[key] : Json(), prefix + key);
      for (const auto& [key, value] : right.items()) {
        if (!left.contains(key)) keys.push_back(prefix + key);
      }
    } else if (left.is_array() && right.is_array() && left.size() == right.size()) {
      for (size_t i = 0; i < left.size(); ++i) self(self, left[i], right[i], cat(path, "[", i, "]"));
    } else if (left != right) {
      keys.push_back(path);
    }
  };
  walk(walk, a, b, "");
  return keys;
}

}  // namespace noregret
