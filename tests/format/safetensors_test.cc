#include <sys/stat.h>

#include "tests/format/safetensors_support.h"

namespace noregret {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

SafetensorsFile opened(const TempFolder& folder, const std::string& header, const std::string& data) {
  return SafetensorsFile::open(folder.write("x.safetensors", raw_safetensors(header, data)));
}

// ---- good files

TEST(Safetensors, ReadsWhatTheReferenceWrote) {
  const SafetensorsFile file = SafetensorsFile::open(golden_dir() / "mixed.safetensors");
  EXPECT_EQ(file.metadata().at("format"), "pt");
  EXPECT_THAT(file.tensors(), SizeIs(6));
  EXPECT_EQ(file.find("b.wide")->dtype, DType::kI64);
  EXPECT_THAT(file.find("a.float")->shape, ElementsAre(2, 3));
  EXPECT_THAT(file.find("c.scalar")->shape, IsEmpty());
  EXPECT_THAT(file.find("b.empty")->shape, ElementsAre(0, 4));
  EXPECT_EQ(read_bytes(file, "b.wide"), little_endian(0, 8) + little_endian(1, 8) + little_endian(2, 8));
  EXPECT_EQ(read_bytes(file, "c.scalar"), little_endian(0xBFC00000, 4));    // -1.5
  EXPECT_EQ(read_bytes(file, "a.half"), little_endian(0x3F00C0003F80, 6));  // 1, -2, 0.5
  EXPECT_EQ(read_bytes(file, "a.bytes"), std::string("\0\xff", 2));
  EXPECT_EQ(file.find("absent"), nullptr);
}

TEST(Safetensors, TensorsComeInTheOrderOfTheirBytes) {
  const TempFolder folder;
  const SafetensorsFile file =
      opened(folder, "{\"z\":" + entry("U8", "[1]", 0, 1) + ",\"a\":" + entry("U8", "[2]", 1, 3) + "}", "xyz");
  ASSERT_THAT(file.tensors(), SizeIs(2));
  EXPECT_EQ(file.tensors()[0].name, "z");
  EXPECT_EQ(read_bytes(file, "a"), "yz");
}

TEST(Safetensors, FileWithoutTensorsIsGood) {
  const TempFolder folder;
  EXPECT_THAT(opened(folder, "{}", "").tensors(), IsEmpty());
}

TEST(Safetensors, SpacesMayPadTheHeader) {
  const TempFolder folder;
  EXPECT_EQ(read_bytes(opened(folder, "{\"a\":" + entry("U8", "[1]", 0, 1) + "}   ", "x"), "a"), "x");
}

TEST(Safetensors, EmptyTensorsMayShareAnOffset) {
  const TempFolder folder;
  const SafetensorsFile file =
      opened(folder,
             "{\"a\":" + entry("F32", "[0]", 4, 4) + ",\"b\":" + entry("F32", "[1]", 0, 4) +
                 ",\"c\":" + entry("F32", "[0,7]", 0, 0) + ",\"d\":" + entry("U8", "[1]", 4, 5) + "}",
             "12345");
  EXPECT_EQ(read_bytes(file, "a"), "");
  EXPECT_EQ(read_bytes(file, "b"), "1234");
  EXPECT_EQ(read_bytes(file, "d"), "5");
}

TEST(Safetensors, EveryDtypeIsRead) {
  const TempFolder folder;
  for (const DType dtype : {DType::kF64, DType::kF32, DType::kF16, DType::kBF16, DType::kI64, DType::kI32, DType::kI16,
                            DType::kI8, DType::kU8, DType::kBool}) {
    const size_t size = dtype_size(dtype);
    const std::string header = "{\"a\":" + entry(std::string(dtype_name(dtype)), "[]", 0, size) + "}";
    EXPECT_EQ(opened(folder, header, std::string(size, 'x')).find("a")->dtype, dtype);
  }
}

TEST(Safetensors, ShrunkFileIsAnErrorWhenRead) {
  const TempFolder folder;
  const SafetensorsFile file = opened(folder, "{\"a\":" + entry("U8", "[4]", 0, 4) + "}", "1234");
  fs::resize_file(file.path(), fs::file_size(file.path()) - 1);
  EXPECT_THAT(error_of([&] { read_bytes(file, "a"); }), HasSubstr("cut off"));
}

TEST(Safetensors, MovedFileStillFindsAndReads) {
  const TempFolder folder;
  SafetensorsFile first = opened(folder, "{\"a\":" + entry("U8", "[1]", 0, 1) + "}", "x");
  const SafetensorsFile second = std::move(first);
  EXPECT_EQ(read_bytes(second, "a"), "x");
}

// ---- bad files, beside those of safetensors_malicious_test.cc

TEST(SafetensorsRules, HeaderAboveTheLimitIsRefusedInALargeFileToo) {
  const TempFolder folder;
  const fs::path path = folder.write("x.safetensors", little_endian(100'000'001, 8));
  fs::resize_file(path, 200'000'000);  // sparse
  EXPECT_THAT(error_of([&] { SafetensorsFile::open(path); }), HasSubstr("at most 100000000"));
}

TEST(SafetensorsRules, EveryTruncationOfAGoodFileIsRefused) {
  const std::string good = read_file(golden_dir() / "mixed.safetensors");
  const TempFolder folder;
  for (size_t size = 0; size < good.size(); ++size) {
    const fs::path path = folder.write("x.safetensors", good.substr(0, size));
    EXPECT_THROW(SafetensorsFile::open(path), DataError) << size << " bytes";
  }
}

// ---- what may be opened

TEST(SafetensorsRules, FifoIsRefusedWithoutWaiting) {
  const TempFolder folder;
  const fs::path path = folder.path() / "model.safetensors";
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  EXPECT_THAT(error_of([&] { SafetensorsFile::open(path); }), HasSubstr("model.safetensors"));
}

TEST(SafetensorsRules, LinkOutOfTheFolderIsRefused) {
  const TempFolder folder;
  fs::create_directories(folder.path() / "model");
  fs::create_symlink(folder.write("elsewhere", raw_safetensors("{}", "")), folder.path() / "model/x.safetensors");
  EXPECT_THAT(error_of([&] { SafetensorsFile::open(folder.path() / "model/x.safetensors"); }),
              AllOf(HasSubstr("is a link"), HasSubstr("copy the file")));
}

TEST(SafetensorsRules, LinkIntoTheBlobsOfAHuggingFaceCacheIsFollowed) {
  const TempFolder folder;
  const fs::path snapshot = folder.path() / "snapshots/rev";
  fs::create_directories(snapshot);
  fs::create_directories(folder.path() / "blobs");
  write_file_atomic(folder.path() / "blobs/abc", raw_safetensors("{}", ""));
  fs::create_symlink("../../blobs/abc", snapshot / "model.safetensors");
  EXPECT_THAT(SafetensorsFile::open(snapshot / "model.safetensors").tensors(), IsEmpty());
}

}  // namespace
}  // namespace noregret
