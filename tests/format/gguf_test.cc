#include "noregret/format/gguf.h"

#include <cmath>

#include "format/float_bits.h"
#include "format/gguf_types.h"
#include "noregret/base/json.h"
#include "tests/format/gguf_builder.h"

namespace noregret {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const std::string kOneFloat(4, '\0');

GgufFile opened(const TempFolder& folder, const GgufBuilder& builder) {
  return GgufFile::open(folder.write("x.gguf", builder.bytes()));
}

std::string bytes_error(const std::string& bytes) {
  const TempFolder folder;
  const fs::path path = folder.write("x.gguf", bytes);
  const std::string message = error_of([&] { GgufFile::open(path); });
  EXPECT_THAT(message, HasSubstr("x.gguf"));
  return message;
}

std::string open_error(const GgufBuilder& builder) { return bytes_error(builder.bytes()); }

std::string tensor_error(const GgufBuilder::Tensor& tensor, const std::string& data = kOneFloat) {
  GgufBuilder builder;
  builder.tensors.push_back(tensor);
  builder.data = data;
  return open_error(builder);
}

// ---- dequantization

TEST(GgufTypes, EveryTypeGivesWhatTheReferenceDequantizes) {
  // tests/golden/format/make_goldens.py; the values are exact in f32.
  const GgufFile file = GgufFile::open(golden_dir() / "six_types.gguf");
  const Json golden = parse_json(read_file(golden_dir() / "six_types.json"), "six_types.json");
  ASSERT_EQ(golden.size(), 6u);
  for (const auto& [name, values] : golden.items()) {
    const GgufTensor* tensor = file.find(name);
    ASSERT_NE(tensor, nullptr) << name;
    EXPECT_EQ(file.read_f32(*tensor), values.get<std::vector<float>>()) << name;
  }
  EXPECT_THAT(file.find("q4_1")->shape, ElementsAre(1, 64));
}

TEST(GgufTypes, NibblesAreLowHalvesFirst) {
  // d = 1, bytes 0x10, 0x32, ...: elements 0.. are the low nibbles, elements 16.. the high ones.
  std::string block = little_endian(0x3C00, 2);
  for (int i = 0; i < 16; ++i) block.push_back(i == 0 ? '\x9F' : '\x80');
  const std::vector<float> values = dequantize(2, std::as_bytes(std::span(block)));
  ASSERT_EQ(values.size(), 32u);
  EXPECT_EQ(values[0], 7.0f);   // 15 - 8
  EXPECT_EQ(values[1], -8.0f);  // 0 - 8
  EXPECT_EQ(values[16], 1.0f);  // 9 - 8
  EXPECT_EQ(values[17], 0.0f);
}

TEST(FloatBits, HalfPrecisionCoversEveryKindOfNumber) {
  EXPECT_EQ(f16_to_f32(0x3C00), 1.0f);
  EXPECT_EQ(f16_to_f32(0xC500), -5.0f);
  EXPECT_EQ(f16_to_f32(0x7BFF), 65504.0f);
  EXPECT_EQ(f16_to_f32(0x0001), 0x1p-24f);  // the smallest subnormal
  EXPECT_EQ(f16_to_f32(0x83FF), -1023.0f * 0x1p-24f);
  EXPECT_EQ(f16_to_f32(0x0400), 0x1p-14f);  // the smallest normal
  EXPECT_TRUE(std::signbit(f16_to_f32(0x8000)));
  EXPECT_EQ(f16_to_f32(0x7C00), INFINITY);
  EXPECT_TRUE(std::isnan(f16_to_f32(0x7E00)));
}

TEST(FloatBits, Bf16RoundsToNearestTiesToEven) {
  EXPECT_EQ(f32_to_bf16(1.0f), 0x3F80);
  EXPECT_EQ(f32_to_bf16(1.0f + 0x1p-8f), 0x3F80);             // a tie goes to the even neighbour below
  EXPECT_EQ(f32_to_bf16(1.0f + 0x1p-7f + 0x1p-8f), 0x3F82);   // a tie goes to the even neighbour above
  EXPECT_EQ(f32_to_bf16(1.0f + 0x1p-8f + 0x1p-20f), 0x3F81);  // above the tie
  EXPECT_EQ(f32_to_bf16(-1.0f - 0x1p-8f - 0x1p-20f), 0xBF81);
  EXPECT_EQ(f32_to_bf16(3.4e38f), 0x7F80);                                               // rounds up to infinity
  EXPECT_TRUE(std::isnan(bf16_to_f32(f32_to_bf16(std::bit_cast<float>(0x7F800001u)))));  // a NaN of low bits only
}

// ---- metadata

TEST(Gguf, ReadsEveryValueType) {
  GgufBuilder builder;
  builder.raw("u8", kU8, "\xff");
  builder.raw("i8", kI8, "\xff");
  builder.raw("u16", kU16, little_endian(0xfffe, 2));
  builder.raw("i16", kI16, little_endian(0xfffe, 2));
  builder.integer("u32", 4000000000u);
  builder.raw("i32", kI32, little_endian(0xfffffffd, 4));
  builder.raw("u64", kU64, little_endian(uint64_t{1} << 62, 8));
  builder.raw("i64", kI64, little_endian(UINT64_MAX, 8));
  builder.number("f32", 0.5f);
  builder.raw("f64", kDouble, little_endian(std::bit_cast<uint64_t>(0.1), 8));
  builder.boolean("yes", true);
  builder.text("text", "hello");
  builder.texts("texts", {"a", "", "b c"});
  builder.integers("list", {3, -4});
  builder.raw("bytes", kList, GgufBuilder::list_head(kU8, 2) + "\x01\xff");
  builder.raw("doubles", kList, GgufBuilder::list_head(kDouble, 1) + little_endian(std::bit_cast<uint64_t>(0.1), 8));
  builder.raw("none", kList, GgufBuilder::list_head(kText, 0));
  const TempFolder folder;
  const GgufFile file = opened(folder, builder);
  EXPECT_EQ(file.integer("u8"), 255);
  EXPECT_EQ(file.integer("i8"), -1);
  EXPECT_EQ(file.integer("u16"), 65534);
  EXPECT_EQ(file.integer("i16"), -2);
  EXPECT_EQ(file.integer("u32"), 4000000000);
  EXPECT_EQ(file.integer("i32"), -3);
  EXPECT_EQ(file.integer("u64"), int64_t{1} << 62);
  EXPECT_EQ(file.integer("i64"), -1);
  EXPECT_EQ(file.number("f32"), 0.5);
  EXPECT_EQ(file.number("f64"), 0.1);
  EXPECT_EQ(file.number("u32"), 4e9);
  EXPECT_TRUE(file.boolean("yes"));
  EXPECT_EQ(file.string("text"), "hello");
  EXPECT_THAT(file.strings("texts"), ElementsAre("a", "", "b c"));
  EXPECT_THAT(file.strings("none"), IsEmpty());
  EXPECT_THAT(file.integers("list"), ElementsAre(3, -4));
  EXPECT_THAT(file.integers("bytes"), ElementsAre(1, 255));
  EXPECT_THAT(std::get<std::vector<double>>(file.metadata().at("doubles")), ElementsAre(0.1));
  EXPECT_THAT(file.tensors(), IsEmpty());
}

TEST(Gguf, KeyThatIsAbsentOrOfAnotherKindIsNamed) {
  GgufBuilder builder;
  builder.integer("number", 1);
  const TempFolder folder;
  const GgufFile file = opened(folder, builder);
  EXPECT_THAT(error_of([&] { file.string("number"); }), AllOf(HasSubstr("'number'"), HasSubstr("want a string")));
  EXPECT_THAT(error_of([&] { file.integer("absent"); }), AllOf(HasSubstr("'absent'"), HasSubstr("missing")));
  EXPECT_THAT(error_of([&] { file.number("absent"); }), HasSubstr("want a number"));
  EXPECT_THAT(error_of([&] { file.boolean("number"); }), HasSubstr("want a boolean"));
}

TEST(Gguf, Version2ReadsLikeVersion3) {
  GgufBuilder builder;
  builder.version = 2;
  builder.text("a", "b");
  const TempFolder folder;
  EXPECT_EQ(opened(folder, builder).string("a"), "b");
}

TEST(Gguf, AlignmentOfTheFileIsKept) {
  const std::vector<float> values = {1.0f, 2.0f, 3.0f};
  GgufBuilder builder;
  builder.alignment = 64;
  builder.integer("general.alignment", 64);
  builder.tensor("a", {1}, kTensorF32, bytes_of(std::span(values).first(1)));
  builder.tensor("b", {2, 1}, kTensorF32, bytes_of(std::span(values).last(2)));
  const TempFolder folder;
  const GgufFile file = opened(folder, builder);
  EXPECT_EQ(file.tensors()[1].offset - file.tensors()[0].offset, 64u);
  EXPECT_THAT(file.read_f32(*file.find("b")), ElementsAre(2.0f, 3.0f));
  EXPECT_THAT(file.find("b")->shape, ElementsAre(1, 2));
}

TEST(Gguf, ShrunkFileIsAnErrorWhenRead) {
  GgufBuilder builder;
  builder.tensor("a", {1}, kTensorF32, kOneFloat);
  const TempFolder folder;
  const GgufFile file = opened(folder, builder);
  fs::resize_file(file.path(), fs::file_size(file.path()) - 1);
  EXPECT_THAT(error_of([&] { file.read_f32(file.tensors()[0]); }), HasSubstr("cut off"));
}

// ---- what is refused

TEST(GgufRules, OtherFilesAndVersions) {
  GgufBuilder builder;
  builder.magic = "GGML";
  EXPECT_THAT(open_error(builder), HasSubstr("no GGUF file"));
  builder.magic = "GGUF";
  builder.version = 1;
  EXPECT_THAT(open_error(builder), HasSubstr("version 1, want 2 or 3"));
  builder.version = 4;
  EXPECT_THAT(open_error(builder), HasSubstr("version 4"));
  builder.version = 0x03000000;
  EXPECT_THAT(open_error(builder), HasSubstr("big-endian"));
}

TEST(GgufRules, CountsBeyondTheFile) {
  for (const uint64_t count : {uint64_t{1000}, uint64_t{1} << 32, UINT64_MAX}) {
    const std::string head = "GGUF" + little_endian(3, 4);
    EXPECT_THAT(bytes_error(head + little_endian(count, 8) + little_endian(0, 8)), HasSubstr("number of tensors"));
    EXPECT_THAT(bytes_error(head + little_endian(0, 8) + little_endian(count, 8)), HasSubstr("number of keys"));
  }
}

TEST(GgufRules, LengthsBeyondTheFile) {
  for (const uint64_t length : {uint64_t{100}, uint64_t{1} << 40, UINT64_MAX, UINT64_MAX - 7}) {
    GgufBuilder builder;
    builder.raw("a", kText, little_endian(length, 8) + "text");
    EXPECT_THAT(open_error(builder), HasSubstr("a string is")) << length;
    builder.raw("a", kList, GgufBuilder::list_head(kU64, length) + std::string(16, '\0'));
    EXPECT_THAT(open_error(builder), HasSubstr("length of an array")) << length;
    builder.raw("a", kList, GgufBuilder::list_head(kText, length) + std::string(16, '\0'));
    EXPECT_THAT(open_error(builder), HasSubstr("length of an array")) << length;
    const std::string head = "GGUF" + little_endian(3, 4) + little_endian(0, 8) + little_endian(1, 8);
    EXPECT_THAT(bytes_error(head + little_endian(length, 8) + "a key, cut off"), HasSubstr("length of a key"));
  }
}

TEST(GgufRules, ArrayLongerThanAnyVocabulary) {
  GgufBuilder builder;
  builder.raw("a", kList, GgufBuilder::list_head(kU8, (1 << 22) + 1) + std::string((1 << 22) + 1, '\0'));
  EXPECT_THAT(open_error(builder), HasSubstr("want at most 4194304"));
}

TEST(GgufRules, UnknownValueTypes) {
  GgufBuilder builder;
  builder.raw("a", 13, std::string(8, '\0'));
  EXPECT_THAT(open_error(builder), AllOf(HasSubstr("'a'"), HasSubstr("unknown type 13")));
  builder.raw("a", kList, GgufBuilder::list_head(99, 1) + std::string(8, '\0'));
  EXPECT_THAT(open_error(builder), HasSubstr("array of the unknown type 99"));
  builder.raw("a", kList, GgufBuilder::list_head(kList, 1) + GgufBuilder::list_head(kU8, 0));
  EXPECT_THAT(open_error(builder), HasSubstr("array of arrays"));
  builder.raw("a", kBool, "\x02");
  EXPECT_THAT(open_error(builder), HasSubstr("a boolean is 2"));
  builder.raw("a", kU64, little_endian(UINT64_MAX, 8));
  EXPECT_THAT(open_error(builder), HasSubstr("does not fit 63 bits"));
}

TEST(GgufRules, DuplicateNames) {
  GgufBuilder builder;
  builder.keys = {{"a", little_endian(kU8, 4) + "x"}, {"a", little_endian(kU8, 4) + "y"}};
  EXPECT_THAT(open_error(builder), AllOf(HasSubstr("'a'"), HasSubstr("twice")));
  builder.keys.clear();
  builder.tensor("t", {1}, kTensorF32, kOneFloat);
  builder.tensor("t", {1}, kTensorF32, kOneFloat);
  EXPECT_THAT(open_error(builder), AllOf(HasSubstr("'t'"), HasSubstr("twice")));
}

TEST(GgufRules, ShapesThatOverflow) {
  const uint64_t big = uint64_t{1} << 32;
  EXPECT_THAT(tensor_error({"t", {big, big}, 0, 0}), AllOf(HasSubstr("'t'"), HasSubstr("overflows")));
  EXPECT_THAT(tensor_error({"t", {UINT64_MAX}, 0, 0}), HasSubstr("overflows"));
  EXPECT_THAT(tensor_error({"t", {uint64_t{1} << 62}, 0, 0}), HasSubstr("too large"));  // elements fit, bytes do not
  EXPECT_THAT(tensor_error({"t", {0}, 0, 0}), HasSubstr("dimension of 0"));
  EXPECT_THAT(tensor_error({"t", {big, big, 0}, 0, 0}), HasSubstr("overflows"));
}

TEST(GgufRules, RankOutOfRange) {
  EXPECT_THAT(tensor_error({"t", {}, 0, 0}), HasSubstr("0 dimensions"));
  EXPECT_THAT(tensor_error({"t", {1, 1, 1, 1, 1}, 0, 0}), HasSubstr("5 dimensions"));
}

TEST(GgufRules, TensorTypesByName) {
  EXPECT_THAT(tensor_error({"t", {256}, 12, 0}), AllOf(HasSubstr("'t' is Q4_K"), HasSubstr("F32 F16 BF16")));
  EXPECT_THAT(tensor_error({"t", {256}, 14, 0}), HasSubstr("Q6_K"));
  EXPECT_THAT(tensor_error({"t", {256}, 99, 0}), HasSubstr("type 99"));
}

TEST(GgufRules, RowsThatAreNoWholeBlocks) {
  EXPECT_THAT(tensor_error({"t", {48, 2}, 8, 0}), AllOf(HasSubstr("rows of 48"), HasSubstr("multiple of 32 for Q8_0")));
}

TEST(GgufRules, TensorBeyondTheFile) {
  EXPECT_THAT(tensor_error({"t", {2}, 0, 0}), AllOf(HasSubstr("'t' takes 8 bytes"), HasSubstr("which has 4")));
  EXPECT_THAT(tensor_error({"t", {1}, 0, 32}), HasSubstr("from byte 32"));
  EXPECT_THAT(tensor_error({"t", {1}, 0, UINT64_MAX - 31}), HasSubstr("cut off"));  // offset + size would wrap
  EXPECT_THAT(tensor_error({"t", {1}, 0, 0}, ""), HasSubstr("which has 0"));
}

TEST(GgufRules, OverlappingTensors) {
  GgufBuilder builder;
  builder.tensors = {{"a", {16}, 0, 32}, {"b", {16}, 0, 0}};
  builder.data = std::string(96, '\0');
  EXPECT_THAT(open_error(builder), AllOf(HasSubstr("'a'"), HasSubstr("overlaps")));
}

TEST(GgufRules, Alignment) {
  EXPECT_THAT(tensor_error({"t", {1}, 0, 4}, std::string(64, '\0')), HasSubstr("want a multiple of 32"));
  for (const uint32_t alignment : {0u, 3u, 48u, 1u << 21}) {
    GgufBuilder builder;
    builder.integer("general.alignment", alignment);
    EXPECT_THAT(open_error(builder), HasSubstr("want a power of 2")) << alignment;
  }
  GgufBuilder builder;
  builder.text("general.alignment", "32");
  EXPECT_THAT(open_error(builder), HasSubstr("want an integer"));
}

TEST(GgufRules, EveryTruncationOfAGoodFileIsRefused) {
  const std::string good = read_file(golden_dir() / "six_types.gguf");
  // gguf pads the last tensor; its padding may be missing.
  const GgufFile file = GgufFile::open(golden_dir() / "six_types.gguf");
  uint64_t end = 0;
  for (const GgufTensor& tensor : file.tensors()) end = std::max(end, tensor.offset + tensor.num_bytes);
  const TempFolder folder;
  for (size_t size = 0; size < end; ++size) {
    const fs::path path = folder.write("x.gguf", good.substr(0, size));
    EXPECT_THROW(GgufFile::open(path), DataError) << size << " bytes";
  }
}

}  // namespace
}  // namespace noregret
