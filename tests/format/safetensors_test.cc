#include <sys/stat.h>

#include "tests/format/safetensors_support.h"

namespace noregret {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

std::string open_error(const std::string& bytes) {
  const TempFolder folder;
  const fs::path path = folder.write("x.safetensors", bytes);
  const std::string message = error_of([&] { SafetensorsFile::open(path); });
  EXPECT_THAT(message, HasSubstr("x.safetensors"));
  return message;
}

std::string header_error(const std::string& header, const std::string& data) {
  return open_error(raw_safetensors(header, data));
}

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

// ---- rule 1: the length

TEST(SafetensorsRules, FileShorterThanItsLengthPrefix) {
  EXPECT_THAT(open_error("1234567"), HasSubstr("7 bytes"));
  EXPECT_THAT(open_error(""), HasSubstr("0 bytes"));
}

TEST(SafetensorsRules, HeaderLongerThanTheFile) {
  EXPECT_THAT(open_error(little_endian(3, 8) + "{}"), AllOf(HasSubstr("3 bytes long"), HasSubstr("at most 2")));
}

TEST(SafetensorsRules, HeaderLengthThatWouldOverflowASum) {
  EXPECT_THAT(open_error(little_endian(UINT64_MAX, 8) + "{}"), HasSubstr("18446744073709551615 bytes long"));
  EXPECT_THAT(open_error(little_endian(UINT64_MAX - 7, 8) + "{}"), HasSubstr("at most 2"));
}

TEST(SafetensorsRules, HeaderAboveTheLimitIsRefusedInALargeFileToo) {
  const TempFolder folder;
  const fs::path path = folder.write("x.safetensors", little_endian(100'000'001, 8));
  fs::resize_file(path, 200'000'000);  // sparse
  EXPECT_THAT(error_of([&] { SafetensorsFile::open(path); }), HasSubstr("at most 100000000"));
}

// ---- rule 2: the header's text

TEST(SafetensorsRules, HeaderMustBeginWithABrace) {
  EXPECT_THAT(header_error(" {}", ""), HasSubstr("does not begin with '{'"));
  EXPECT_THAT(header_error("[]", ""), HasSubstr("does not begin with '{'"));
  EXPECT_THAT(header_error("", ""), HasSubstr("does not begin with '{'"));
}

TEST(SafetensorsRules, OnlySpacesMayPad) {
  EXPECT_THAT(header_error("{}\n", ""), HasSubstr("padded by spaces"));
  EXPECT_THAT(header_error("{}\t ", ""), HasSubstr("padded by spaces"));
  EXPECT_THAT(header_error(std::string("{}\0", 3), ""), HasSubstr("padded by spaces"));
}

TEST(SafetensorsRules, HeaderMustBeOneJsonObject) {
  EXPECT_THAT(header_error("{\"a\":}", ""), HasSubstr("not JSON"));
  EXPECT_THAT(header_error("{}{}", ""), HasSubstr("not JSON"));
  EXPECT_THAT(header_error("{\"\xff\":1}", ""), HasSubstr("UTF-8"));
}

// ---- rule 3: names

TEST(SafetensorsRules, DuplicateName) {
  const std::string one = "\"a\":" + entry("U8", "[1]", 0, 1);
  EXPECT_THAT(header_error("{" + one + "," + one + "}", "x"), AllOf(HasSubstr("'a'"), HasSubstr("twice")));
}

// ---- rule 4: metadata

TEST(SafetensorsRules, MetadataHoldsStringsOnly) {
  EXPECT_THAT(header_error(R"({"__metadata__":{"format":1}})", ""),
              AllOf(HasSubstr("'format'"), HasSubstr("no string")));
  EXPECT_THAT(header_error(R"({"__metadata__":[]})", ""), HasSubstr("no object"));
}

// ---- rule 5: offsets

TEST(SafetensorsRules, FirstTensorMustBeginAtZero) {
  EXPECT_THAT(header_error("{\"a\":" + entry("U8", "[1]", 1, 2) + "}", "xy"),
              AllOf(HasSubstr("'a'"), HasSubstr("hole")));
}

TEST(SafetensorsRules, HoleBetweenTensors) {
  EXPECT_THAT(header_error("{\"a\":" + entry("U8", "[1]", 0, 1) + ",\"b\":" + entry("U8", "[1]", 2, 3) + "}", "xyz"),
              AllOf(HasSubstr("'b' begins at byte 2"), HasSubstr("want 1"), HasSubstr("hole")));
}

TEST(SafetensorsRules, OverlappingTensors) {
  EXPECT_THAT(header_error("{\"a\":" + entry("U8", "[2]", 0, 2) + ",\"b\":" + entry("U8", "[2]", 1, 3) + "}", "xyz"),
              AllOf(HasSubstr("'b' begins at byte 1"), HasSubstr("overlaps")));
  EXPECT_THAT(header_error("{\"a\":" + entry("U8", "[2]", 0, 2) + ",\"b\":" + entry("U8", "[2]", 0, 2) + "}", "xy"),
              HasSubstr("overlaps"));
}

TEST(SafetensorsRules, EmptyTensorInsideAnotherOne) {
  EXPECT_THAT(header_error("{\"a\":" + entry("U8", "[2]", 0, 2) + ",\"b\":" + entry("U8", "[0]", 1, 1) + "}", "xy"),
              HasSubstr("overlaps"));
}

TEST(SafetensorsRules, EndBeforeBegin) {
  EXPECT_THAT(header_error("{\"a\":" + entry("U8", "[1]", 1, 0) + "}", "x"), HasSubstr("before it begins"));
}

TEST(SafetensorsRules, EndBeyondTheFile) {
  EXPECT_THAT(header_error("{\"a\":" + entry("U8", "[2]", 0, 2) + "}", "x"),
              AllOf(HasSubstr("'a'"), HasSubstr("holds 1")));
}

TEST(SafetensorsRules, OffsetsMustBeTwoNaturalNumbers) {
  for (const char* offsets : {"[0]", "[0,1,1]", "[-1,0]", "[0,1.0]", "[\"0\",1]", "0", "[0,18446744073709551616]"}) {
    EXPECT_THAT(header_error(std::string(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":)") + offsets + "}}", "x"),
                HasSubstr("'a'"))
        << offsets;
  }
}

// ---- rule 6: sizes

TEST(SafetensorsRules, ShapeAndDataMustAgree) {
  EXPECT_THAT(header_error("{\"a\":" + entry("F32", "[2]", 0, 4) + "}", "1234"),
              AllOf(HasSubstr("4 bytes of data"), HasSubstr("want 8")));
  EXPECT_THAT(header_error("{\"a\":" + entry("U8", "[0]", 0, 1) + "}", "x"), HasSubstr("want 0"));
}

TEST(SafetensorsRules, ShapeWhoseSizeWrapsToTheRightOne) {
  // 2^32 * 2^32 elements are 0 modulo 2^64.
  EXPECT_THAT(header_error("{\"a\":" + entry("U8", "[4294967296,4294967296]", 0, 0) + "}", ""), HasSubstr("overflows"));
  EXPECT_THAT(header_error("{\"a\":" + entry("F64", "[2305843009213693952]", 0, 0) + "}", ""), HasSubstr("overflows"));
  EXPECT_THAT(header_error("{\"a\":" + entry("U8", "[18446744073709551615]", 0, 0) + "}", ""), HasSubstr("too large"));
}

TEST(SafetensorsRules, ZeroDoesNotHideAnOverflow) {
  EXPECT_THAT(header_error("{\"a\":" + entry("U8", "[0,4294967296,4294967296]", 0, 0) + "}", ""),
              HasSubstr("overflows"));
}

TEST(SafetensorsRules, ShapeMustHoldNaturalNumbers) {
  for (const char* shape : {"[-1]", "[1.0]", "[\"1\"]", "1", "null", "[[1]]"}) {
    EXPECT_THAT(header_error("{\"a\":" + entry("U8", shape, 0, 1) + "}", "x"), HasSubstr("'a'")) << shape;
  }
}

TEST(SafetensorsRules, AbsurdRank) {
  std::string shape = "[1";
  for (int i = 0; i < 64; ++i) shape += ",1";
  EXPECT_THAT(header_error("{\"a\":" + entry("U8", shape + "]", 0, 1) + "}", "x"), HasSubstr("65 dimensions"));
}

TEST(SafetensorsRules, UnknownDtypeIsNamed) {
  EXPECT_THAT(header_error("{\"a\":" + entry("F8_E4M3", "[1]", 0, 1) + "}", "x"),
              AllOf(HasSubstr("'a'"), HasSubstr("'F8_E4M3'"), HasSubstr("F64 F32")));
}

TEST(SafetensorsRules, EntryMustHoldTheThreeKeysAndNoOther) {
  EXPECT_THAT(header_error(R"({"a":{"dtype":"U8","shape":[1]}})", "x"), HasSubstr("data_offsets"));
  EXPECT_THAT(header_error(R"({"a":{"shape":[1],"data_offsets":[0,1]}})", "x"), HasSubstr("dtype"));
  EXPECT_THAT(header_error(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"strides":[1]}})", "x"),
              HasSubstr("'strides'"));
  EXPECT_THAT(header_error(R"({"a":[1]})", "x"), HasSubstr("no object"));
}

// ---- rule 7: the end

TEST(SafetensorsRules, BytesAfterTheLastTensor) {
  EXPECT_THAT(header_error("{\"a\":" + entry("U8", "[1]", 0, 1) + "}", "xyz"),
              HasSubstr("2 bytes after the last tensor"));
  EXPECT_THAT(header_error("{}", "x"), HasSubstr("1 bytes after the last tensor"));
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
