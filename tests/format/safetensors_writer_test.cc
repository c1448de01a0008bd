#include "tests/format/safetensors_support.h"

namespace noregret {
namespace {

using testing::HasSubstr;

TEST(SafetensorsWriter, WritesTheBytesOfTheReference) {
  // tests/golden/format/make_goldens.py: the reference orders these the same way, wide elements first, then by name.
  const std::string golden = read_file(golden_dir() / "mixed.safetensors");
  const SafetensorsFile file = SafetensorsFile::open(golden_dir() / "mixed.safetensors");
  std::vector<std::string> data;
  for (const TensorInfo& info : file.tensors()) data.push_back(read_bytes(file, info.name));
  std::vector<TensorBytes> tensors;
  for (size_t i = data.size(); i-- > 0;) {  // the order given does not matter
    const TensorInfo& info = file.tensors()[i];
    tensors.push_back({info.name, info.dtype, info.shape, data[i]});
  }
  EXPECT_EQ(serialize_safetensors(tensors), golden);
}

TEST(SafetensorsWriter, WideElementsComeFirstThenNames) {
  const std::string eight(8, 'w');
  const std::string file = serialize_safetensors({{"b", DType::kU8, {1}, "x"},
                                                  {"a", DType::kU8, {1}, "y"},
                                                  {"z", DType::kI64, {1}, eight},
                                                  {"c", DType::kBF16, {1}, "hh"}});
  EXPECT_EQ(file.substr(file.size() - 12), eight + "hh" + "y" + "x");
}

TEST(SafetensorsWriter, HeaderIsPaddedToEightBytes) {
  for (const char* name : {"a", "ab", "abc", "abcd", "abcde", "abcdef", "abcdefg", "abcdefgh"}) {
    EXPECT_EQ(serialize_safetensors({{name, DType::kU8, {8}, "12345678"}}).size() % 8, 0u) << name;
  }
}

TEST(SafetensorsWriter, MetadataReadsBackBesideTheFormat) {
  const TempFolder folder;
  const fs::path path = folder.write("x.safetensors", serialize_safetensors({}, {{"step", "12"}, {"note", "\"q\"\n"}}));
  const SafetensorsFile file = SafetensorsFile::open(path);
  EXPECT_EQ(file.metadata(),
            (std::map<std::string, std::string>{{"format", "pt"}, {"step", "12"}, {"note", "\"q\"\n"}}));
}

TEST(SafetensorsWriter, OddNamesAndEmptyTensorsReadBack) {
  const TempFolder folder;
  const fs::path path = folder.write("x.safetensors", serialize_safetensors({{"\"\\\n\xC3\xA9", DType::kU8, {2}, "xy"},
                                                                             {"scalar", DType::kU8, {}, "s"},
                                                                             {"empty", DType::kF32, {3, 0}, ""}}));
  const SafetensorsFile file = SafetensorsFile::open(path);
  EXPECT_EQ(read_bytes(file, "\"\\\n\xC3\xA9"), "xy");
  EXPECT_EQ(read_bytes(file, "scalar"), "s");
  EXPECT_EQ(file.find("empty")->shape, (std::vector<int64_t>{3, 0}));
}

TEST(SafetensorsWriter, MistakesOfACallerAreBugs) {
  EXPECT_THROW(serialize_safetensors({{"a", DType::kF32, {2}, "1234"}}), std::logic_error);  // too few bytes
  EXPECT_THROW(serialize_safetensors({{"a", DType::kU8, {1}, "x"}, {"a", DType::kU8, {1}, "x"}}), std::logic_error);
  EXPECT_THROW(serialize_safetensors({{"__metadata__", DType::kU8, {1}, "x"}}), std::logic_error);
}

}  // namespace
}  // namespace noregret
