#include "noregret/format/tensorboard.h"

#include <limits>

#include "tests/format/format_support.h"

namespace noregret {
namespace {

TEST(Crc32c, GivesThePublishedCheckValue) {
  // The "check" of CRC-32/ISCSI in the catalogue of parametrised CRC algorithms.
  EXPECT_EQ(crc32c("123456789", 9), 0xE3069283u);
  EXPECT_EQ(crc32c("", 0), 0u);
}

TEST(Crc32c, GivesTheValuesOfRfc3720) {
  // RFC 3720, appendix B.4: 32 bytes of zeros and of ones.
  EXPECT_EQ(crc32c(std::string(32, '\0').data(), 32), 0x8A9136AAu);
  EXPECT_EQ(crc32c(std::string(32, '\xff').data(), 32), 0x62A8AB43u);
}

TEST(TensorBoard, RecordsAreThoseThatTensorBoardWrites) {
  // tests/golden/format/make_goldens.py wrote the same three events.
  const std::string records = tensorboard_header_record(1700000000.25) +
                              tensorboard_scalar_record(1700000001.5, 3, {{"reward/mean", 0.125}, {"optim/lr", 3e-5}}) +
                              tensorboard_scalar_record(1700000002.0, 300000000000, {{"loss/value", 0.0}});
  EXPECT_EQ(records, read_file(golden_dir() / "events.bin"));
}

TEST(TensorBoard, NonFiniteValueKeepsTheRecordWhole) {
  const double infinity = std::numeric_limits<double>::infinity();
  const std::string finite = tensorboard_scalar_record(1.0, 1, {{"a/b", 1.0}});
  const std::string infinite = tensorboard_scalar_record(1.0, 1, {{"a/b", infinity}});
  EXPECT_EQ(infinite.size(), finite.size());
  EXPECT_NE(infinite.find(little_endian(0x7F800000, 4)), std::string::npos);
}

TEST(TensorBoard, LongTagsHaveLongLengths) {
  // 300 bytes: the lengths of tag, value and summary take two bytes each.
  const std::string record = tensorboard_scalar_record(1.0, 1, {{std::string(300, 't'), 1.0}});
  const std::string tag = std::string("\x0a\xac\x02", 3) + std::string(300, 't');  // field 1, bytes, 300
  EXPECT_NE(record.find(tag), std::string::npos);
  EXPECT_EQ(record.substr(0, 8), little_endian(record.size() - 16, 8));
}

}  // namespace
}  // namespace noregret
