#include "tests/format/safetensors_support.h"

namespace noregret {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr const char* kIndex = "model.safetensors.index.json";

// A file of one-byte tensors.
std::string shard(const std::vector<std::string>& names) {
  std::vector<TensorBytes> tensors;
  for (const std::string& name : names) tensors.push_back({name, DType::kU8, {1}, "x"});
  return serialize_safetensors(tensors);
}

std::string open_error(const TempFolder& folder) {
  return error_of([&] { SafetensorsFolder::open(folder.path()); });
}

std::string index_error(const std::string& weight_map) {
  const TempFolder folder;
  folder.write("s1.safetensors", shard({"a"}));
  folder.write(kIndex, "{\"weight_map\":" + weight_map + "}");
  return open_error(folder);
}

TEST(SafetensorsFolder, SingleFileNeedsNoIndex) {
  const TempFolder folder;
  folder.write("model.safetensors", shard({"b", "a"}));
  const SafetensorsFolder weights = SafetensorsFolder::open(folder.path());
  EXPECT_THAT(weights.names(), ElementsAre("a", "b"));
  EXPECT_EQ(weights.find("b")->info->name, "b");
  EXPECT_FALSE(weights.find("c").has_value());
}

TEST(SafetensorsFolder, ShardsOfAnIndexAreOneModel) {
  const TempFolder folder;
  folder.write("s1.safetensors", shard({"a", "c"}));
  folder.write("s2.safetensors", shard({"b"}));
  folder.write(
      kIndex,
      R"({"metadata":{"total_size":3},"weight_map":{"a":"s1.safetensors","b":"s2.safetensors","c":"s1.safetensors"}})");
  const SafetensorsFolder weights = SafetensorsFolder::open(folder.path());
  EXPECT_THAT(weights.names(), ElementsAre("a", "b", "c"));
  EXPECT_EQ(weights.find("b")->file->path().filename(), "s2.safetensors");
  EXPECT_EQ(read_bytes(*weights.find("c")->file, "c"), "x");
}

TEST(SafetensorsFolder, MovedFolderKeepsItsFiles) {
  const TempFolder folder;
  folder.write("model.safetensors", shard({"a"}));
  SafetensorsFolder first = SafetensorsFolder::open(folder.path());
  const SafetensorsFolder second = std::move(first);
  EXPECT_EQ(read_bytes(*second.find("a")->file, "a"), "x");
}

TEST(SafetensorsFolder, ListedTensorMissingFromItsShard) {
  const TempFolder folder;
  folder.write("s1.safetensors", shard({"a"}));
  folder.write(kIndex, R"({"weight_map":{"a":"s1.safetensors","b":"s1.safetensors"}})");
  EXPECT_THAT(open_error(folder), AllOf(HasSubstr("'b'"), HasSubstr("s1.safetensors"), HasSubstr("does not hold")));
}

TEST(SafetensorsFolder, TensorOfAShardThatIsNotListed) {
  const TempFolder folder;
  folder.write("s1.safetensors", shard({"a", "stowaway"}));
  folder.write(kIndex, R"({"weight_map":{"a":"s1.safetensors"}})");
  EXPECT_THAT(open_error(folder), AllOf(HasSubstr("'stowaway'"), HasSubstr("does not list")));
}

TEST(SafetensorsFolder, TensorInTwoShards) {
  const TempFolder folder;
  folder.write("s1.safetensors", shard({"a"}));
  folder.write("s2.safetensors", shard({"a", "b"}));
  folder.write(kIndex, R"({"weight_map":{"a":"s1.safetensors","b":"s2.safetensors"}})");
  EXPECT_THAT(open_error(folder), AllOf(HasSubstr("s2.safetensors"), HasSubstr("'a'"), HasSubstr("lists in s1")));
}

TEST(SafetensorsFolder, MissingShardIsNamed) {
  EXPECT_THAT(index_error(R"({"a":"s1.safetensors","b":"s2.safetensors"})"), HasSubstr("s2.safetensors: no such file"));
}

TEST(SafetensorsFolder, ShardPathsLeaveTheFolderNever) {
  for (const char* path :
       {"../s1.safetensors", "/etc/passwd", "sub/s1.safetensors", "..", ".", "", "a\\b", "s1\\u0000"}) {
    EXPECT_THAT(index_error(std::string(R"({"a":")") + path + "\"}"), HasSubstr(kIndex)) << path;
  }
  EXPECT_THAT(index_error(R"({"a":"../s1.safetensors"})"), HasSubstr("'../s1.safetensors', want a plain file name"));
}

TEST(SafetensorsFolder, ShardThatIsALinkIsRefused) {
  const TempFolder folder;
  fs::create_directories(folder.path() / "model");
  fs::create_symlink(folder.write("elsewhere", shard({"a"})), folder.path() / "model/s1.safetensors");
  write_file_atomic(folder.path() / "model" / kIndex, R"({"weight_map":{"a":"s1.safetensors"}})");
  EXPECT_THAT(error_of([&] { SafetensorsFolder::open(folder.path() / "model"); }), HasSubstr("is a link"));
}

TEST(SafetensorsFolder, IndexMustMapNamesToStrings) {
  EXPECT_THAT(index_error("[]"), HasSubstr("weight_map is no object"));
  EXPECT_THAT(index_error(R"({"a":1})"), HasSubstr("'a' is no string"));
  EXPECT_THAT(index_error(R"({"a":"s1.safetensors","a":"s1.safetensors"})"), HasSubstr("twice"));
}

TEST(SafetensorsFolder, EmptyFolderSaysWhatItWants) {
  const TempFolder folder;
  EXPECT_THAT(open_error(folder), AllOf(HasSubstr("neither model.safetensors nor"), HasSubstr("name the folder")));
}

}  // namespace
}  // namespace noregret
