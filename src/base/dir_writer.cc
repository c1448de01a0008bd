#include <algorithm>
#include <cstdio>

#include "base/posix_file.h"
#include "noregret/base/check.h"
#include "noregret/base/error.h"
#include "noregret/base/json.h"
#include "noregret/base/text.h"

namespace noregret {
namespace {

constexpr const char* kManifest = "MANIFEST.json";
constexpr uint64_t kMaxManifestBytes = 1 << 24;

bool is_plain_name(const std::string& name) {
  return !name.empty() && name != "." && name != ".." && name.find('/') == std::string::npos &&
         name.find('\0') == std::string::npos;
}

// "runs/a/" has no last name; "runs/a" has.
fs::path without_trailing_slash(const fs::path& path) { return path.has_filename() ? path : path.parent_path(); }

bool is_there(const fs::path& path) {
  std::error_code error;
  return fs::exists(fs::symlink_status(path, error));
}

void verify_file(const fs::path& path, const Json& entry, const std::string& where) {
  std::error_code error;
  if (fs::is_symlink(fs::symlink_status(path, error))) throw DataError(path.string() + ": is a link, want a file");
  const uint64_t bytes = open_input(path).bytes;
  const int64_t want_bytes = json_int(entry, "bytes", where);
  if (static_cast<int64_t>(bytes) != want_bytes) {
    throw DataError(cat(path.string(), ": ", bytes, " bytes, ", kManifest, " says ", want_bytes,
                        "; the file was cut off or changed"));
  }
  if (sha256_file(path) != json_string(entry, "sha256", where)) {
    throw DataError(cat(path.string(), ": its SHA-256 is not the one in ", kManifest, "; the file is damaged"));
  }
}

}  // namespace

DirWriter::DirWriter(const fs::path& final_path) : final_path_(without_trailing_slash(final_path)) {
  if (is_there(final_path_)) throw IoError(final_path_.string() + ": exists already; remove it or name another folder");
  staging_ = folder_of(final_path_) / (".tmp-" + final_path_.filename().string());
  std::error_code error;
  fs::remove_all(staging_, error);  // what a killed process left
  if (!error) fs::create_directories(staging_, error);
  if (error) throw IoError(cat(staging_.string(), ": cannot make the folder: ", error.message()));
}

DirWriter::~DirWriter() {
  std::error_code error;
  if (!is_committed_) fs::remove_all(staging_, error);
}

void DirWriter::write(const std::string& name, std::string_view bytes) {
  const auto refuse = [&](const char* why) {
    throw IoError(cat(final_path_.string(), ": file name ", quoted(name), why));
  };
  if (!is_plain_name(name)) refuse(" has a folder in it or is empty, want a plain name");
  if (name == kManifest) refuse(" is the folder's own");
  for (const Entry& entry : entries_) {
    if (entry.name == name) refuse(" is written twice");
  }
  write_synced_file(staging_ / name, bytes);
  entries_.push_back(Entry{name, bytes.size(), sha256_hex(bytes)});
}

std::string DirWriter::commit(bool with_manifest) {
  NOREGRET_CHECK(!is_committed_, "commit() of ", final_path_.string(), " twice");
  std::string manifest;
  if (with_manifest) {
    Json files = Json::object();
    for (const Entry& entry : entries_) files[entry.name] = {{"bytes", entry.bytes}, {"sha256", entry.sha256}};
    manifest = Json{{"files", files}}.dump(2) + "\n";
    write_synced_file(staging_ / kManifest, manifest);
  }
  sync_folder(staging_);
  // rename(2) would replace an empty folder without a word.
  if (is_there(final_path_)) throw IoError(final_path_.string() + ": another process made it in the meantime");
  rename_path(staging_, final_path_);
  is_committed_ = true;
  sync_folder(folder_of(final_path_));
  return with_manifest ? sha256_hex(manifest) : "";
}

void verify_dir(const fs::path& dir) {
  const fs::path path = dir / kManifest;
  const std::string where = path.string();
  const Json manifest = parse_json(read_file(path, kMaxManifestBytes), where);
  const Json& files = json_at(manifest, "files", where);
  if (!files.is_object()) throw DataError(where + ": key 'files' is no object, want the bytes and sha256 of each file");
  for (const auto& [name, entry] : files.items()) {
    if (!is_plain_name(name)) throw DataError(cat(where, ": file name ", quoted(name), " is not a plain name"));
    verify_file(dir / name, entry, cat(where, ": ", quoted(name)));
  }
}

}  // namespace noregret
