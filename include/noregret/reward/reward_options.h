#pragma once

#include <string>

#include "noregret/base/fields.h"

namespace noregret {

// One entry of the config's `rewards:` list.
struct RewardOptions {
  using HasFieldsTag = void;
  std::string plugin;
  std::string name;
  double weight = 1.0;
  Node options;

  template <class Visitor>
  void visit_fields(Visitor& v) {
    v("plugin", plugin, "bare name of a plugin beside the program, or the path of a shared library");
    v("name", name, "component name in metrics; empty = the plugin's own");
    v("weight", weight, Range{-1e6, 1e6}, "factor in the weighted sum; 0 = a metric only");
    v("options", options, "the plugin's own options");
  }
};

}  // namespace noregret
