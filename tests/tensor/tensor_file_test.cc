#include "noregret/tensor/tensor_file.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "noregret/base/error.h"
#include "noregret/base/file.h"

namespace noregret {
namespace {

std::vector<NamedTensor> written_and_read(const std::vector<NamedTensor>& tensors) {
  const fs::path path = fs::path(testing::TempDir()) / "noregret_tensor_file.safetensors";
  write_file_atomic(path, tensors_to_bytes(tensors));
  std::vector<NamedTensor> read = read_tensors(path);
  fs::remove(path);
  return read;
}

TEST(TensorFile, EveryDtypeReadsBackBitForBit) {
  for (const at::ScalarType dtype : {at::kDouble, at::kFloat, at::kHalf, at::kBFloat16, at::kLong, at::kInt, at::kShort,
                                     at::kChar, at::kByte, at::kBool}) {
    const Tensor tensor = at::arange(6).view({2, 3}).to(dtype);
    const std::vector<NamedTensor> read = written_and_read({{"x", tensor}});
    ASSERT_EQ(read.size(), 1u);
    EXPECT_EQ(read[0].second.scalar_type(), dtype);
    EXPECT_TRUE(at::equal(read[0].second, tensor)) << c10::toString(dtype);
  }
}

TEST(TensorFile, TransposedTensorIsWrittenRowMajor) {
  const Tensor tensor = at::arange(6, at::kFloat).view({2, 3}).t();
  EXPECT_TRUE(at::equal(written_and_read({{"x", tensor}})[0].second, tensor));
}

TEST(TensorFile, ScalarAndEmptyTensorsReadBack) {
  const std::vector<NamedTensor> read =
      written_and_read({{"empty", at::zeros({0, 3})}, {"scalar", at::tensor(2.5f).view(at::IntArrayRef{})}});
  ASSERT_EQ(read.size(), 2u);
  for (const auto& [name, tensor] : read) EXPECT_EQ(tensor.dim(), name == "empty" ? 2 : 0);
}

TEST(TensorFile, ComplexTensorIsRefused) { EXPECT_THROW(dtype_of(at::zeros({1}, at::kComplexFloat)), ShapeError); }

TEST(TensorFile, MissingFileIsADataError) { EXPECT_THROW(read_tensors("no_such_file.safetensors"), DataError); }

TEST(Digest, SeesValuesNamesShapesDtypesAndOrder) {
  const Tensor x = at::arange(6, at::kFloat);
  const Tensor y = at::zeros({2}, at::kFloat);
  const std::string base = digest({{"x", x}, {"y", y}});
  EXPECT_EQ(base, digest({{"x", x.clone()}, {"y", y.clone()}}));
  EXPECT_NE(base, digest({{"x", x.add(1e-6)}, {"y", y}}));
  EXPECT_NE(base, digest({{"z", x}, {"y", y}}));
  EXPECT_NE(base, digest({{"x", x.view({2, 3})}, {"y", y}}));
  EXPECT_NE(base, digest({{"x", x}, {"y", y.to(at::kInt)}}));
  EXPECT_NE(base, digest({{"y", y}, {"x", x}}));
}

TEST(Digest, IsLowerCaseHexOfSha256) { EXPECT_THAT(digest({}), testing::MatchesRegex("[0-9a-f]{64}")); }

}  // namespace
}  // namespace noregret
