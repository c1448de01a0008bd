#pragma once

#include <string>
#include <string_view>

#include "noregret/base/descriptor.h"
#include "noregret/base/file.h"

namespace noregret {

// A regular file, opened for reading, and its size. Throws DataError; never waits (a FIFO is refused).
struct OpenInput {
  Descriptor file;
  uint64_t bytes;
};
OpenInput open_input(const fs::path& path);

// Up to `size` bytes; fewer only at the end of the file. Throws DataError.
size_t read_some(const Descriptor& file, char* out, size_t size, const fs::path& path);

// Opens for writing with these open(2) flags. Throws IoError.
Descriptor open_output(const fs::path& path, int flags);

// Writes all of it. Throws IoError.
void write_all(int fd, std::string_view bytes, const fs::path& path);

// fsync(2). Throws IoError.
void sync_descriptor(int fd, const fs::path& path);

// Makes a new file, writes all of it and syncs. Throws IoError.
void write_synced_file(const fs::path& path, std::string_view bytes);

// Makes renames in the folder durable. Throws IoError.
void sync_folder(const fs::path& dir);

// rename(2). Throws IoError.
void rename_path(const fs::path& from, const fs::path& to);

// The folder that holds `path`; "." for a bare name.
fs::path folder_of(const fs::path& path);

// Throws IoError "<path>: <what>: <reason of errno>".
[[noreturn]] void throw_io_error(const fs::path& path, std::string_view what, int error);

}  // namespace noregret
