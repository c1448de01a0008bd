#include <openssl/evp.h>

#include <memory>

#include "base/posix_file.h"
#include "noregret/base/check.h"
#include "noregret/base/file.h"

namespace noregret {
namespace {

class Sha256 {
 public:
  Sha256() : context_(EVP_MD_CTX_new(), EVP_MD_CTX_free) {
    const bool is_ready = context_ != nullptr && EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr) == 1;
    NOREGRET_CHECK(is_ready, "SHA-256 is not available in the installed OpenSSL");
  }

  void add(std::string_view bytes) {
    NOREGRET_CHECK(EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()) == 1);
  }

  std::string hex() {
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int size = 0;
    NOREGRET_CHECK(EVP_DigestFinal_ex(context_.get(), digest, &size) == 1);
    std::string text;
    for (unsigned int i = 0; i < size; ++i) {
      text += "0123456789abcdef"[digest[i] >> 4];
      text += "0123456789abcdef"[digest[i] & 15];
    }
    return text;
  }

 private:
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context_;
};

}  // namespace

std::string sha256_hex(std::string_view bytes) {
  Sha256 hash;
  hash.add(bytes);
  return hash.hex();
}

std::string sha256_file(const fs::path& path) {
  const OpenInput input = open_input(path);
  std::string chunk(size_t{1} << 20, '\0');
  Sha256 hash;
  while (const size_t count = read_some(input.file, chunk.data(), chunk.size(), path)) {
    hash.add(std::string_view(chunk).substr(0, count));
  }
  return hash.hex();
}

}  // namespace noregret
