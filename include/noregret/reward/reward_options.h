#pragma once

#include <string>
#include <vector>

#include "noregret/base/fields.h"

namespace noregret {

// One entry of the config's `rewards:` list.
struct RewardOptions {
  using HasFieldsTag = void;
  std::string plugin;
  std::vector<std::string> command;
  std::string name;
  double weight = 1.0;
  Node options;
  std::string isolation = "process";
  double timeout_s = 10.0;
  int64_t workers = 0;
  int64_t memory_mb = 2048;
  int64_t batch = 8;
  std::vector<double> range = {0.0, 1.0};

  template <class Visitor>
  void visit_fields(Visitor& v) {
    v("plugin", plugin,
      "bare name of a plugin beside the program, path of a shared library or of a Python file, or an http:// address");
    v("command", command, "in place of `plugin`: a program that speaks JSON lines, and its arguments");
    v("name", name, "component name in metrics; empty = the plugin's own");
    v("weight", weight, Range{-1e6, 1e6}, "factor in the weighted sum; 0 = a metric only");
    v("options", options, "the plugin's own options");
    v("isolation", isolation, OneOf{"process", "none"},
      "a shared library runs in worker processes, or in this one, where its crash is ours");
    v("timeout_s", timeout_s, Range{0.001, 86400}, "seconds for one completion, from the start of its work");
    v("workers", workers, Range{0, 64}, "processes, 0 = one a core, at most 8; or requests in flight, 0 = 8");
    v("memory_mb", memory_mb, Range{0, 1 << 24}, "address space of a worker; 0 = no limit");
    v("batch", batch, Range{1, 1024}, "completions a request; http only");
    v("range", range, "lowest and highest reward of an http service; others tell their own");
  }

  bool is_http() const { return plugin.rfind("http://", 0) == 0 || plugin.rfind("https://", 0) == 0; }
  bool is_python() const { return plugin.size() > 3 && plugin.compare(plugin.size() - 3, 3, ".py") == 0; }
  bool is_library() const { return command.empty() && !is_http() && !is_python(); }

  // What no single field can tell: the reason why they do not go together, or "".
  std::string why_invalid() const {
    if (plugin.empty() && command.empty()) return "a reward has no plugin; name one, as in {plugin: exact_match}";
    if (!plugin.empty() && !command.empty()) return "plugin and command are both there; want one of them";
    if (!command.empty() && command.front().empty()) return "command begins with an empty text, want a program";
    if (isolation == "none" && !is_library()) return "isolation: none is for shared libraries; leave it out";
    if (range.size() != 2 || !(range[0] <= range[1]) || !(range[1] - range[0] < 1e12)) {
      return "range wants two numbers, the lowest and the highest reward, as in [0, 1]";
    }
    return "";
  }
};

}  // namespace noregret
