#include "noregret/format/safetensors.h"
#include "tests/fuzz/fuzz.h"

namespace noregret::fuzz {
namespace {

// Every byte of the file is the header's or one tensor's, and what is written again reads the same.
void check_file(const SafetensorsFile& file, const Folder& folder) {
  std::vector<std::string> bytes;
  std::vector<TensorBytes> tensors;
  bytes.reserve(file.tensors().size());
  for (const TensorInfo& info : file.tensors()) {
    bytes.emplace_back(info.num_bytes, '\0');
    file.read(info, std::as_writable_bytes(std::span(bytes.back())));
    tensors.push_back({info.name, info.dtype, info.shape, bytes.back()});
  }
  const SafetensorsFile again =
      SafetensorsFile::open(folder.write("again.safetensors", serialize_safetensors(tensors, file.metadata())));
  NOREGRET_CHECK(again.tensors().size() == tensors.size());
  for (const TensorBytes& tensor : tensors) {
    const TensorInfo* info = again.find(tensor.name);
    NOREGRET_CHECK(info != nullptr, quoted(tensor.name));
    NOREGRET_CHECK(info->dtype == tensor.dtype && info->shape == tensor.shape, quoted(tensor.name));
    std::string read(info->num_bytes, '\0');
    again.read(*info, std::as_writable_bytes(std::span(read)));
    NOREGRET_CHECK(read == tensor.bytes, quoted(tensor.name));
  }
}

}  // namespace

bool safetensors(std::string_view input) {
  static const Folder folder;
  std::string bytes(input);
  if (input.starts_with('{')) {
    const auto [header, data] = split_at_nul(input);
    bytes.clear();
    for (int shift = 0; shift < 64; shift += 8) bytes += static_cast<char>(header.size() >> shift & 0xff);
    bytes.append(header).append(data);
  }
  const fs::path path = folder.write("x.safetensors", bytes);
  return goes_through([&] { check_file(SafetensorsFile::open(path), folder); });
}

}  // namespace noregret::fuzz
