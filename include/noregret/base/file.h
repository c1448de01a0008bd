#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace noregret {

namespace fs = std::filesystem;

// The whole file. Throws DataError: "<path>: no such file", "is a folder, want a file", "larger than <max_bytes>".
std::string read_file(const fs::path& path, uint64_t max_bytes = uint64_t{1} << 40);

// The same, and gunzips when the content begins with the gzip magic.
std::string read_text_file(const fs::path& path, uint64_t max_bytes = uint64_t{1} << 32);

// Writes aside, syncs, renames, syncs the folder: a reader sees the old file or the new one. Throws IoError.
void write_file_atomic(const fs::path& path, std::string_view bytes);

// Lower-case hex SHA-256 (FIPS 180-4).
std::string sha256_hex(std::string_view bytes);
std::string sha256_file(const fs::path& path);

// Append-only text file; write() appends and flushes whole lines. Throws IoError.
class AppendFile {
 public:
  explicit AppendFile(const fs::path& path);
  ~AppendFile();
  AppendFile(const AppendFile&) = delete;
  AppendFile& operator=(const AppendFile&) = delete;
  void write(std::string_view bytes);
  void sync();            // what was written outlives a power cut
  uint64_t size() const;  // bytes

 private:
  fs::path path_;
  int fd_;
};

// A folder that appears complete or not at all: files are written to a hidden sibling `.tmp-<name>`, each synced;
// commit() writes MANIFEST.json ({"files": {name: {"bytes", "sha256"}}}), syncs, and renames the folder into place.
// Without commit() the destructor removes the sibling. Throws IoError; LockedError never.
class DirWriter {
 public:
  explicit DirWriter(const fs::path& final_path);  // throws IoError if final_path exists
  ~DirWriter();
  DirWriter(const DirWriter&) = delete;
  DirWriter& operator=(const DirWriter&) = delete;

  void write(const std::string& name, std::string_view bytes);
  const fs::path& staging() const { return staging_; }
  // With `with_manifest` false the folder is a plain export (a model folder) and has no MANIFEST.json.
  // Returns the SHA-256 of MANIFEST.json, or "".
  std::string commit(bool with_manifest = true);

 private:
  struct Entry {
    std::string name;
    uint64_t bytes;
    std::string sha256;
  };
  fs::path final_path_;
  fs::path staging_;
  std::vector<Entry> entries_;
  bool is_committed_ = false;
};

// Checks every file of a folder written by DirWriter against its MANIFEST.json (size, SHA-256). Throws DataError naming
// the file.
void verify_dir(const fs::path& dir);

// Holds a lock file while it lives; a second process gets a LockedError that names the holder's pid.
class FileLock {
 public:
  explicit FileLock(const fs::path& path);
  ~FileLock();
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;

 private:
  int fd_;
};

}  // namespace noregret
