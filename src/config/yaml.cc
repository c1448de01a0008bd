#include "noregret/config/yaml.h"

#include <yaml-cpp/emitter.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <sstream>
#include <unordered_set>

#include "noregret/base/error.h"
#include "noregret/base/file.h"
#include "noregret/base/text.h"

namespace noregret {
namespace {

constexpr size_t kMaxBytes = 1 << 20;
constexpr size_t kMaxDepth = 32;
constexpr size_t kMaxKeyBytes = 255;  // yaml-cpp reads 1024 characters of a key, and prints a byte as up to 4

// Where the first of Unicode's noncharacters begins (section 23.7: U+FDD0 to U+FDEF, the last two of each plane), or
// npos. yaml-cpp prints them as U+FFFD, so a printed config would not be the one that was read.
size_t find_noncharacter(std::string_view text) {
  for (size_t at = 0; at + 2 < text.size(); ++at) {
    const auto byte = [&](size_t i) { return at + i < text.size() ? static_cast<unsigned char>(text[at + i]) : 0; };
    const bool is_arabic = byte(0) == 0xef && byte(1) == 0xb7 && byte(2) >= 0x90 && byte(2) <= 0xaf;
    const bool is_last_of_first_plane = byte(0) == 0xef && byte(1) == 0xbf && byte(2) >= 0xbe;
    const bool is_last_of_plane = byte(0) >= 0xf0 && (byte(1) & 0xf) == 0xf && byte(2) == 0xbf && byte(3) >= 0xbe;
    if (is_arabic || is_last_of_first_plane || is_last_of_plane) return at;
  }
  return std::string_view::npos;
}

constexpr const char* kNoncharacter = "a code point that is no character, such as U+FFFF; remove it";

// Builds the tree straight from the parser's events: yaml-cpp's own nodes keep only the first of two duplicate keys.
// What is in a map is located where its key is: a value may begin lines below, and an empty one is nowhere.
class TreeBuilder : public YAML::EventHandler {
 public:
  TreeBuilder(const std::string& text, const std::string& file) : text_(text), file_(file) {}

  Node take_root() { return std::move(root_); }

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (++num_documents_ > 1)
      fail(mark, "a second document, or text after the end of the first; a config is one document");
  }
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    refuse_anchor(mark, anchor);
    // The parser lets a key go without its colon, and places the value that is not there on the key.
    if (!open_.empty() && open_.back().has_key && open_.back().key_pos == mark.pos) {
      fail(mark, cat("no ':' after key ", quoted(open_.back().key)));
    }
    add(make(Node::Kind::kNull, mark), mark);
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    fail(mark, "aliases (*name) are not allowed; write the value out");
  }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    refuse_anchor(mark, anchor);
    // "!" stands for quoted, as the parser says it, or is a tag in the text.
    const bool is_tagged = tag != "?" && (tag != "!" || text_.compare(static_cast<size_t>(mark.pos), 1, "!") == 0);
    if (is_tagged) refuse_tag(mark, tag);
    if (value.find('\0') != std::string::npos) fail(mark, "a NUL character");
    if (find_noncharacter(value) != std::string::npos) fail(mark, kNoncharacter);
    // yaml-cpp reads \N and \_ as single bytes beyond ASCII.
    if (!is_valid_utf8(value)) fail(mark, "an escape that is no UTF-8; write the character, or \\u and its number");
    refuse_open_quote(mark);
    Node node = make(Node::Kind::kScalar, mark);
    node.scalar = value;
    node.is_quoted = tag == "!";
    add(std::move(node), mark);
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    begin(Node::Kind::kList, mark, tag, anchor);
  }
  void OnSequenceEnd() override { end(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    begin(Node::Kind::kMap, mark, tag, anchor);
  }
  void OnMapEnd() override { end(); }

 private:
  struct Open {
    Node node;
    std::unordered_set<std::string> keys = {};  // of a map: a search in the list would take quadratic time
    std::string key = "";
    Location key_location = {};
    int key_pos = 0;  // in the text
    bool has_key = false;
  };

  [[noreturn]] void fail(const YAML::Mark& mark, const std::string& what) const {
    throw ConfigError(cat(location(mark).str(), ": ", what));
  }
  Location location(const YAML::Mark& mark) const { return Location{file_, mark.line + 1, mark.column + 1}; }

  Node make(Node::Kind kind, const YAML::Mark& mark) const {
    Node node;
    node.kind = kind;
    node.location = location(mark);
    return node;
  }
  void refuse_anchor(const YAML::Mark& mark, YAML::anchor_t anchor) const {
    if (anchor != 0) fail(mark, "anchors (&name) are not allowed; write the value out");
  }

  [[noreturn]] void refuse_tag(const YAML::Mark& mark, const std::string& tag) const {
    fail(mark, cat("tags (", quoted(tag), ") are not allowed; quotes make a text of a value"));
  }

  // A quote without its other one takes all that follows for its text, and the parser says nothing where a line end is
  // last.
  void refuse_open_quote(const YAML::Mark& mark) const {
    const auto begin = static_cast<size_t>(mark.pos);
    const char quote = begin < text_.size() ? text_[begin] : ' ';
    if (quote != '\'' && quote != '"') return;
    for (size_t at = begin + 1; at < text_.size(); ++at) {
      const bool is_pair = quote == '"' ? text_[at] == '\\' : text_.compare(at, 2, "''") == 0;
      if (is_pair) {
        ++at;
      } else if (text_[at] == quote) {
        return;
      }
    }
    fail(mark, "a quote that is not closed");
  }

  void begin(Node::Kind kind, const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor) {
    refuse_anchor(mark, anchor);
    if (tag != "?") refuse_tag(mark, tag);
    if (open_.size() >= kMaxDepth) fail(mark, cat("nested deeper than ", kMaxDepth, " levels"));
    if (!open_.empty() && open_.back().node.kind == Node::Kind::kMap && !open_.back().has_key) {
      fail(mark, "a key must be plain text");
    }
    open_.push_back(Open{.node = make(kind, mark)});
  }

  void end() {
    Node node = std::move(open_.back().node);
    const YAML::Mark mark = YAML::Mark::null_mark();
    open_.pop_back();
    add(std::move(node), mark);
  }

  void add(Node node, const YAML::Mark& mark) {
    if (open_.empty()) {
      root_ = std::move(node);
      return;
    }
    Open& parent = open_.back();
    if (parent.node.kind == Node::Kind::kList) {
      parent.node.list.push_back(std::move(node));
    } else if (parent.has_key) {
      node.location = parent.key_location;
      parent.node.map.emplace_back(std::move(parent.key), std::move(node));
      parent.has_key = false;
    } else {
      if (node.kind != Node::Kind::kScalar || node.scalar.empty()) fail(mark, "a key must be plain text");
      if (node.scalar.size() > kMaxKeyBytes) fail(mark, cat("a key is longer than ", kMaxKeyBytes, " bytes"));
      if (!parent.keys.insert(node.scalar).second) fail(mark, cat("key ", quoted(node.scalar), " is there twice"));
      parent.key = std::move(node.scalar);
      parent.key_location = std::move(node.location);
      parent.key_pos = mark.pos;
      parent.has_key = true;
    }
  }

  const std::string& text_;
  std::string file_;
  Node root_;
  std::vector<Open> open_;
  int num_documents_ = 0;
};

// One step of a dotted path: "rewards[0]" is the key "rewards" and the index 0.
struct PathStep {
  std::string key;
  std::vector<size_t> indices;
};

PathStep parse_step(const std::string& text, const std::string& where) {
  PathStep step;
  const size_t bracket = text.find('[');
  step.key = text.substr(0, bracket);
  size_t at = bracket;
  while (at != std::string::npos && at < text.size()) {
    const size_t close = text.find(']', at);
    const std::string digits = close == std::string::npos ? "" : text.substr(at + 1, close - at - 1);
    if (text[at] != '[' || digits.empty() || digits.size() > 6 ||
        digits.find_first_not_of("0123456789") != std::string::npos) {
      throw ConfigError(cat(where, ": want a path such as a.b=value or rewards[0].weight=value"));
    }
    step.indices.push_back(std::stoul(digits));
    at = close + 1;
  }
  if (step.key.size() > kMaxKeyBytes) throw ConfigError(cat(where, ": a key is longer than ", kMaxKeyBytes, " bytes"));
  if (step.key.empty()) throw ConfigError(cat(where, ": want a path such as a.b=value or rewards[0].weight=value"));
  return step;
}

Node& child_of(Node& parent, const PathStep& step, const std::string& where) {
  if (parent.kind == Node::Kind::kNull) parent.kind = Node::Kind::kMap;
  if (parent.kind == Node::Kind::kScalar &&
      parent.scalar == "none") {  // adapter=none in the file, adapter.rank=1 on the command line
    parent = Node{.kind = Node::Kind::kMap, .location = parent.location};
  }
  if (parent.kind != Node::Kind::kMap) throw ConfigError(cat(where, ": ", quoted(step.key), " is not inside a map"));
  Node* node = nullptr;
  for (auto& [key, value] : parent.map) {
    if (key == step.key) node = &value;
  }
  if (node == nullptr) {
    parent.map.emplace_back(step.key, Node{.location = Location{where, 0, 0}});
    node = &parent.map.back().value;
  }
  for (const size_t index : step.indices) {
    if (node->kind != Node::Kind::kList || index >= node->list.size()) {
      throw ConfigError(cat(where, ": ", quoted(step.key), " has no element ", index));
    }
    node = &node->list[index];
  }
  return *node;
}

void relocate(Node& node, const Location& location) {
  node.location = location;
  for (Node& item : node.list) relocate(item, location);
  for (Node::Entry& entry : node.map) relocate(entry.value, location);
}

// Lists and maps inside each other.
size_t depth_of(const Node& node) {
  if (node.kind != Node::Kind::kList && node.kind != Node::Kind::kMap) return 0;
  size_t depth = 0;
  for (const Node& item : node.list) depth = std::max(depth, depth_of(item));
  for (const Node::Entry& entry : node.map) depth = std::max(depth, depth_of(entry.value));
  return depth + 1;
}

// Plain where it is one word that reads as text, "none" among them; else in quotes, which no text escapes.
void emit_text(YAML::Emitter& out, const std::string& text) {
  constexpr const char* kLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
  const bool is_word = text.find_first_of(cat(kLetters, "/")) == 0 &&
                       text.find_first_not_of(cat(kLetters, "0123456789_-./")) == std::string::npos;
  const bool is_plain = is_word && Node{.kind = Node::Kind::kScalar, .scalar = text}.to_json().is_string();
  if (!is_plain) out << YAML::DoubleQuoted;
  out << text;
}

void emit(YAML::Emitter& out, const Json& value) {
  if (value.is_object()) {
    out << YAML::BeginMap;
    for (const auto& [key, item] : value.items()) {
      out << YAML::Key;
      emit_text(out, key);
      out << YAML::Value;
      emit(out, item);
    }
    out << YAML::EndMap;
  } else if (value.is_array()) {
    out << YAML::BeginSeq;
    for (const Json& item : value) emit(out, item);
    out << YAML::EndSeq;
  } else if (value.is_string()) {
    emit_text(out, value.get<std::string>());
  } else if (value.is_null()) {
    out << YAML::Null;
  } else {
    out << dump_json(value);
  }
}

// The parser takes U+0004 for the end of the text, and what follows it for nothing.
void refuse_control_characters(std::string_view text, const std::string& file) {
  const auto is_control = [](char c) {
    return static_cast<unsigned char>(c) < 0x20 && c != '\t' && c != '\n' && c != '\r';
  };
  const auto found = std::find_if(text.begin(), text.end(), is_control);
  if (found == text.end()) return;
  const std::string_view before = text.substr(0, static_cast<size_t>(found - text.begin()));
  const auto line = static_cast<int>(std::count(before.begin(), before.end(), '\n')) + 1;
  const auto column = static_cast<int>(before.size() - (before.rfind('\n') + 1)) + 1;  // npos + 1 is 0
  throw ConfigError(cat(Location{file, line, column}.str(), ": a control character ",
                        quoted(std::string_view(&*found, 1)), "; remove it"));
}

}  // namespace

Node parse_yaml(std::string_view text, const std::string& file) {
  if (text.size() > kMaxBytes) throw ConfigError(cat(file, ": ", text.size(), " bytes, want at most ", kMaxBytes));
  if (!is_valid_utf8(text)) throw ConfigError(cat(file, ": not UTF-8"));
  if (text.substr(0, 3) == "\xef\xbb\xbf") text.remove_prefix(3);  // a byte order mark
  refuse_control_characters(text, file);
  const std::string copy(text);
  std::istringstream stream(copy);
  TreeBuilder builder(copy, file);
  try {
    YAML::Parser parser(stream);
    // Twice, never in a loop: a second document must be seen, and some texts yield documents for ever.
    if (parser.HandleNextDocument(builder)) parser.HandleNextDocument(builder);
  } catch (const YAML::Exception& e) {
    throw ConfigError(cat(file, ":", e.mark.line + 1, ":", e.mark.column + 1, ": ", e.msg));
  }
  Node root = builder.take_root();
  if (root.location.file.empty()) root.location.file = file;
  return root;
}

Node load_yaml(const std::filesystem::path& path) {
  std::string text;
  try {
    text = read_file(path, kMaxBytes);
  } catch (const DataError& e) {
    throw ConfigError(e.what());
  }
  return parse_yaml(text, path.string());
}

void apply_set(Node& root, const std::string& assignment) {
  const std::string text = quoted(assignment);  // one line, whatever it holds
  const std::string where = cat("--set ", text.substr(1, text.size() - 2));
  const size_t equals = assignment.find('=');
  if (equals == std::string::npos || equals == 0)
    throw ConfigError(cat(where, ": want key=value, as in optimizer.lr=1e-4"));
  if (!is_valid_utf8(assignment)) throw ConfigError(cat(where, ": not UTF-8"));
  if (find_noncharacter(assignment) != std::string::npos) throw ConfigError(cat(where, ": ", kNoncharacter));
  Node value = parse_yaml(assignment.substr(equals + 1), where);
  relocate(value, Location{where, 0, 0});
  Node* node = &root;
  const std::string path = assignment.substr(0, equals);
  for (size_t begin = 0; begin <= path.size();) {
    const size_t end = std::min(path.find('.', begin), path.size());
    node = &child_of(*node, parse_step(path.substr(begin, end - begin), where), where);
    begin = end + 1;
  }
  *node = std::move(value);
  if (depth_of(root) > kMaxDepth) throw ConfigError(cat(where, ": nested deeper than ", kMaxDepth, " levels"));
}

std::string to_yaml(const Json& value) {
  YAML::Emitter out;
  out.SetDoublePrecision(17);
  emit(out, value);
  return std::string(out.c_str()) + "\n";
}

}  // namespace noregret
