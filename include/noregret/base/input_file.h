#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>

namespace noregret {

// A regular file that is read in parts. Move-only; reading is thread-safe.
class InputFile {
 public:
  // Throws DataError: "<path>: no such file", "is a folder, want a file", "is no regular file" (a pipe would wait).
  explicit InputFile(const std::filesystem::path& path);
  ~InputFile();
  InputFile(InputFile&& other) noexcept;
  InputFile& operator=(InputFile&& other) noexcept;
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;

  const std::filesystem::path& path() const { return path_; }
  uint64_t size() const { return size_; }  // bytes, at the time it was opened
  // Fills `out` with the bytes from `offset` on. Throws DataError when the file ends before that.
  void read_at(uint64_t offset, std::span<std::byte> out) const;

 private:
  std::filesystem::path path_;
  int fd_ = -1;
  uint64_t size_ = 0;
};

}  // namespace noregret
