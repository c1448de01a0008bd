#include "noregret/config/run_config.h"
#include "noregret/config/yaml.h"
#include "tests/fuzz/fuzz.h"

namespace noregret::fuzz {

// What is read prints as YAML that reads to the same tree; a config too.
bool yaml(std::string_view input) {
  const Parts parts = split_at_nul(input);
  const std::string assignment(split_at_nul(parts.second).first);  // an argument of a program holds no NUL
  Node root;
  if (!goes_through([&] { root = parse_yaml(parts.first, "x.yaml"); })) return false;
  if (!assignment.empty() && !goes_through([&] { apply_set(root, assignment); })) return false;
  const Json tree = root.to_json();
  const std::string again = to_yaml(tree);
  NOREGRET_CHECK(parse_yaml(again, "again.yaml").to_json() == tree, again);
  return goes_through([&] {
    const Json config = write_fields(read_run_config(root));
    const Json resolved = write_fields(read_run_config(parse_yaml(to_yaml(config), "resolved.yaml")));
    NOREGRET_CHECK(differing_keys(config, resolved).empty(), join(differing_keys(config, resolved), ", "));
  });
}

}  // namespace noregret::fuzz
