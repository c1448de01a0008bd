#include <zlib.h>

#include <algorithm>

#include "noregret/base/check.h"
#include "noregret/base/error.h"
#include "noregret/base/file.h"
#include "noregret/base/text.h"

namespace noregret {
namespace {

constexpr std::string_view kGzipMagic = "\x1f\x8b";

bool is_gzip(std::string_view bytes) { return bytes.substr(0, kGzipMagic.size()) == kGzipMagic; }

// Inflates one gzip member after another. The output is bounded: a small file can claim terabytes.
class Gunzip {
 public:
  Gunzip(std::string_view packed, std::string where, uint64_t max_bytes)
      : packed_(packed), where_(std::move(where)), max_bytes_(max_bytes) {
    constexpr int kWindowAndGzip = 15 + 16;  // the largest window; 16 asks for the gzip header
    NOREGRET_CHECK(inflateInit2(&stream_, kWindowAndGzip) == Z_OK);
  }
  ~Gunzip() { inflateEnd(&stream_); }
  Gunzip(const Gunzip&) = delete;
  Gunzip& operator=(const Gunzip&) = delete;

  std::string run() {
    while (!packed_.empty()) {
      if (!is_gzip(packed_)) throw DataError(where_ + ": bytes follow the gzip data; fetch or pack the file again");
      inflate_member();
    }
    return std::move(text_);
  }

 private:
  void inflate_member() {
    NOREGRET_CHECK(inflateReset(&stream_) == Z_OK);
    int status = Z_OK;
    while (status != Z_STREAM_END) {
      const size_t offered = std::min(packed_.size(), kMaxInput);
      stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(packed_.data()));
      stream_.avail_in = static_cast<uInt>(offered);
      stream_.next_out = reinterpret_cast<Bytef*>(chunk_.data());
      stream_.avail_out = static_cast<uInt>(chunk_.size());
      status = inflate(&stream_, Z_NO_FLUSH);
      packed_.remove_prefix(offered - stream_.avail_in);
      const size_t count = chunk_.size() - stream_.avail_out;
      if (count > max_bytes_ - text_.size()) {
        throw DataError(cat(where_, ": larger than ", max_bytes_, " bytes when unpacked"));
      }
      text_.append(chunk_, 0, count);
      if (status == Z_OK || status == Z_STREAM_END) continue;
      if (status == Z_BUF_ERROR) throw DataError(where_ + ": the gzip data are cut off; fetch or pack the file again");
      if (status == Z_MEM_ERROR) throw std::bad_alloc();
      throw DataError(cat(where_, ": the gzip data are damaged: ",
                          stream_.msg != nullptr ? stream_.msg : "no reason given", "; fetch or pack the file again"));
    }
  }

  static constexpr size_t kMaxInput = size_t{1} << 30;  // zlib counts in 32 bits

  std::string_view packed_;
  std::string where_;
  uint64_t max_bytes_;
  std::string text_;
  std::string chunk_ = std::string(size_t{1} << 16, '\0');
  z_stream stream_{};
};

}  // namespace

std::string read_text_file(const fs::path& path, uint64_t max_bytes) {
  std::string bytes = read_file(path, max_bytes);
  if (!is_gzip(bytes)) return bytes;
  return Gunzip(bytes, path.string(), max_bytes).run();
}

}  // namespace noregret
