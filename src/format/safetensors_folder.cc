#include <algorithm>
#include <set>

#include "noregret/base/error.h"
#include "noregret/base/file.h"
#include "noregret/base/json.h"
#include "noregret/base/text.h"
#include "noregret/format/safetensors.h"

namespace noregret {
namespace {

constexpr const char* kSingleFile = "model.safetensors";
constexpr const char* kIndexFile = "model.safetensors.index.json";
constexpr uint64_t kMaxIndexBytes = 100'000'000;

// One path component of harmless characters.
bool is_plain_name(const std::string& name) {
  const auto is_plain = [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '.' || c == '_' ||
           c == '-';
  };
  return !name.empty() && name != "." && name != ".." && std::all_of(name.begin(), name.end(), is_plain);
}

// Tensor name -> file name.
std::map<std::string, std::string> read_weight_map(const fs::path& path) {
  const std::string where = path.string();
  const Json index = parse_json(read_file(path, kMaxIndexBytes), where);
  const Json& weight_map = json_at(index, "weight_map", where);
  if (!weight_map.is_object()) throw DataError(cat(where, ": weight_map is no object, want file names by tensor"));
  std::map<std::string, std::string> file_of;
  for (const auto& [tensor, file] : weight_map.items()) {
    if (!file.is_string() || !is_plain_name(file.get<std::string>())) {
      throw DataError(cat(where, ": weight_map: the file of ", quoted(tensor), " is ",
                          file.is_string() ? quoted(file.get<std::string>()) : "no string",
                          ", want a plain file name inside the folder, of letters, digits, '.', '_' and '-'"));
    }
    file_of[tensor] = file.get<std::string>();
  }
  return file_of;
}

void check_shards(const std::map<std::string, std::string>& file_of, const std::vector<SafetensorsFile>& files,
                  const std::string& where) {
  std::map<std::string, const SafetensorsFile*> by_name;
  for (const SafetensorsFile& file : files) {
    const std::string name = file.path().filename().string();
    by_name[name] = &file;
    for (const TensorInfo& info : file.tensors()) {
      const auto listed = file_of.find(info.name);
      if (listed != file_of.end() && listed->second == name) continue;
      throw DataError(cat(file.path().string(), ": holds tensor ", quoted(info.name), ", which ", kIndexFile,
                          listed == file_of.end() ? " does not list" : cat(" lists in ", listed->second),
                          "; the shards are not of one model, fetch them again"));
    }
  }
  for (const auto& [tensor, name] : file_of) {
    if (by_name.at(name)->find(tensor) != nullptr) continue;
    throw DataError(
        cat(where, ": lists tensor ", quoted(tensor), " in ", name, ", which does not hold it; fetch them again"));
  }
}

}  // namespace

SafetensorsFolder SafetensorsFolder::open(const std::filesystem::path& dir) {
  SafetensorsFolder folder;
  std::error_code error;
  if (fs::exists(fs::symlink_status(dir / kSingleFile, error))) {
    folder.files_.push_back(SafetensorsFile::open(dir / kSingleFile));
    return folder;
  }
  const fs::path index = dir / kIndexFile;
  if (!fs::exists(index, error)) {
    throw DataError(cat(dir.string(), ": holds neither ", kSingleFile, " nor ", kIndexFile,
                        "; name the folder of a model, or convert its weights to safetensors"));
  }
  const std::map<std::string, std::string> file_of = read_weight_map(index);
  std::set<std::string> names;
  for (const auto& [tensor, name] : file_of) names.insert(name);
  for (const std::string& name : names) folder.files_.push_back(SafetensorsFile::open(dir / name));
  check_shards(file_of, folder.files_, index.string());
  return folder;
}

std::optional<SafetensorsFolder::Entry> SafetensorsFolder::find(std::string_view name) const {
  for (const SafetensorsFile& file : files_) {
    if (const TensorInfo* info = file.find(name)) return Entry{&file, info};
  }
  return std::nullopt;
}

std::vector<std::string> SafetensorsFolder::names() const {
  std::vector<std::string> names;
  for (const SafetensorsFile& file : files_) {
    for (const TensorInfo& info : file.tensors()) names.push_back(info.name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace noregret
