#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>
#include <stdexcept>

#include "base_support.h"
#include "noregret/base/json.h"

namespace noregret {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

std::string verify_error(const fs::path& dir) {
  return error_of<DataError>([&] { verify_dir(dir); });
}

// A committed folder "step" with two files.
std::string commit_step(const TempDir& dir) {
  DirWriter writer(dir / "step");
  writer.write("weights", std::string(1000, 'w'));
  writer.write("state.json", "{}");
  return writer.commit();
}

void replace_file(const fs::path& path, const std::string& bytes) { std::ofstream(path, std::ios::binary) << bytes; }

TEST(DirWriter, FolderIsInvisibleUntilCommit) {
  const TempDir dir;
  DirWriter writer(dir / "step");
  writer.write("a", "1");
  EXPECT_FALSE(fs::exists(dir / "step"));
  EXPECT_EQ(writer.staging(), dir / ".tmp-step");
  writer.commit();
  EXPECT_EQ(read_file(dir / "step" / "a"), "1");
  EXPECT_THAT(dir.names(), ElementsAre("step"));
}

TEST(DirWriter, ManifestHoldsSizeAndHashOfEachFile) {
  const TempDir dir;
  const std::string digest = commit_step(dir);
  const std::string text = read_file(dir / "step" / "MANIFEST.json");
  EXPECT_EQ(digest, sha256_hex(text));
  const Json manifest = parse_json(text, "manifest");
  EXPECT_EQ(manifest["files"].size(), 2u);
  EXPECT_EQ(manifest["files"]["weights"]["bytes"], 1000);
  EXPECT_EQ(manifest["files"]["weights"]["sha256"], sha256_hex(std::string(1000, 'w')));
}

TEST(DirWriter, PlainExportHasNoManifest) {
  const TempDir dir;
  DirWriter writer(dir / "model/");  // a trailing slash changes nothing
  writer.write("config.json", "{}");
  EXPECT_EQ(writer.commit(false), "");
  EXPECT_FALSE(fs::exists(dir / "model" / "MANIFEST.json"));
  EXPECT_EQ(read_file(dir / "model" / "config.json"), "{}");
}

TEST(DirWriter, WithoutCommitNothingStays) {
  const TempDir dir;
  {
    DirWriter writer(dir / "step");
    writer.write("a", "1");
  }
  EXPECT_THAT(dir.names(), IsEmpty());
}

TEST(DirWriter, MakesTheFoldersAbove) {
  const TempDir dir;
  DirWriter writer(dir / "exports" / "today" / "model");
  writer.commit();
  EXPECT_TRUE(fs::is_directory(dir / "exports" / "today" / "model"));
}

TEST(DirWriter, ExistingFolderIsRefused) {
  const TempDir dir;
  commit_step(dir);
  EXPECT_THAT(error_of<IoError>([&] { DirWriter writer(dir / "step"); }), HasSubstr("step: exists already"));
  fs::create_directory(dir / "empty");
  EXPECT_THAT(error_of<IoError>([&] { DirWriter writer(dir / "empty"); }), HasSubstr("empty: exists already"));
}

TEST(DirWriter, FolderThatAppearsBeforeCommitIsNotReplaced) {
  const TempDir dir;
  DirWriter writer(dir / "step");
  fs::create_directory(dir / "step");  // rename(2) would replace an empty one
  EXPECT_THAT(error_of<IoError>([&] { writer.commit(); }), HasSubstr("step: another process made it"));
}

TEST(DirWriter, LeftoverOfAKilledProcessIsReplaced) {
  const TempDir dir;
  in_child([&] {
    auto* writer = new DirWriter(dir / "step");  // the child ends without the destructor
    writer->write("half", "x");
    return "";
  });
  ASSERT_THAT(dir.names(), ElementsAre(".tmp-step"));
  commit_step(dir);
  EXPECT_THAT(dir.names(), ElementsAre("step"));
  EXPECT_FALSE(fs::exists(dir / "step" / "half"));
}

TEST(DirWriter, TakesPlainFileNamesOnly) {
  const TempDir dir;
  DirWriter writer(dir / "step");
  for (const std::string name : {"", ".", "..", "../x", "a/b", "/etc/x"}) {
    EXPECT_THAT(error_of<IoError>([&] { writer.write(name, "x"); }), HasSubstr("want a plain name")) << name;
  }
  EXPECT_THAT(error_of<IoError>([&] { writer.write(std::string("a\0b", 3), "x"); }), HasSubstr("'a\\x00b'"));
  EXPECT_THAT(dir.names(), ElementsAre(".tmp-step"));
}

TEST(DirWriter, RefusesANameTwiceAndItsOwn) {
  const TempDir dir;
  DirWriter writer(dir / "step");
  writer.write("a", "1");
  EXPECT_THAT(error_of<IoError>([&] { writer.write("a", "2"); }), HasSubstr("'a' is written twice"));
  EXPECT_THAT(error_of<IoError>([&] { writer.write("MANIFEST.json", "{}"); }), HasSubstr("the folder's own"));
}

TEST(DirWriter, CommitTwiceIsABug) {
  const TempDir dir;
  DirWriter writer(dir / "step");
  writer.commit();
  EXPECT_THROW(writer.commit(), std::logic_error);
}

TEST(DirWriter, FullDiskIsAnErrorAndNothingStays) {
  const TempDir dir;
  const std::string message = in_child([&]() -> std::string {
    std::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{1000, 1000};
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0) return "no limit set";
    return error_of<IoError>([&] {
      DirWriter writer(dir / "step");
      writer.write("weights", std::string(5000, 'w'));
      writer.commit();
    });
  });
  EXPECT_THAT(message, HasSubstr("weights: cannot write: File too large"));
  EXPECT_THAT(dir.names(), IsEmpty());
}

TEST(DirWriter, PlaceThatIsNoFolderNamesTheReason) {
  const TempDir dir;
  dir.put("file", "x");
  EXPECT_THAT(error_of<IoError>([&] { DirWriter writer(dir / "file" / "step"); }), HasSubstr("Not a directory"));
}

TEST(VerifyDir, AcceptsWhatWasWritten) {
  const TempDir dir;
  commit_step(dir);
  EXPECT_EQ(verify_error(dir / "step"), "no error");
}

TEST(VerifyDir, CutOffFileIsNamedWithBothSizes) {
  const TempDir dir;
  commit_step(dir);
  fs::resize_file(dir / "step" / "weights", 999);
  EXPECT_THAT(verify_error(dir / "step"), HasSubstr("weights: 999 bytes, MANIFEST.json says 1000"));
}

TEST(VerifyDir, OneFlippedBitIsSeen) {
  const TempDir dir;
  commit_step(dir);
  std::string bytes(1000, 'w');
  bytes[500] ^= 1;
  replace_file(dir / "step" / "weights", bytes);
  EXPECT_THAT(verify_error(dir / "step"), HasSubstr("weights: its SHA-256 is not the one in MANIFEST.json"));
}

TEST(VerifyDir, MissingFileOrManifestIsNamed) {
  const TempDir dir;
  commit_step(dir);
  fs::remove(dir / "step" / "state.json");
  EXPECT_THAT(verify_error(dir / "step"), HasSubstr("state.json: no such file"));
  fs::remove(dir / "step" / "MANIFEST.json");
  EXPECT_THAT(verify_error(dir / "step"), HasSubstr("MANIFEST.json: no such file"));
}

TEST(VerifyDir, LinkIsRefused) {
  const TempDir dir;
  commit_step(dir);
  fs::rename(dir / "step" / "weights", dir / "elsewhere");
  fs::create_symlink(dir / "elsewhere", dir / "step" / "weights");
  EXPECT_THAT(verify_error(dir / "step"), HasSubstr("weights: is a link"));
}

TEST(VerifyDir, EveryCutOffManifestIsAnError) {
  const TempDir dir;
  commit_step(dir);
  const std::string text = read_file(dir / "step" / "MANIFEST.json");
  for (size_t size = 0; size + 1 < text.size(); ++size) {  // the last byte is the line end
    replace_file(dir / "step" / "MANIFEST.json", text.substr(0, size));
    EXPECT_THAT(verify_error(dir / "step"), HasSubstr("MANIFEST.json: ")) << size;
  }
}

TEST(VerifyDir, ManifestDoesNotLeadOutOfTheFolder) {
  const TempDir dir;
  commit_step(dir);
  dir.put("secret", "x");
  const std::string entry = R"({"bytes":1,"sha256":")" + sha256_hex("x") + "\"}";
  replace_file(dir / "step" / "MANIFEST.json", R"({"files":{"../secret":)" + entry + "}}");
  EXPECT_THAT(verify_error(dir / "step"), HasSubstr("'../secret' is not a plain name"));
}

TEST(VerifyDir, ManifestOfAnotherShapeIsNamed) {
  const TempDir dir;
  commit_step(dir);
  const auto error_with = [&](const std::string& manifest) {
    replace_file(dir / "step" / "MANIFEST.json", manifest);
    return verify_error(dir / "step");
  };
  EXPECT_THAT(error_with("[]"), HasSubstr("is a list, want an object"));
  EXPECT_THAT(error_with("{}"), HasSubstr("key 'files' is missing"));
  EXPECT_THAT(error_with(R"({"files":[]})"), HasSubstr("key 'files' is no object"));
  EXPECT_THAT(error_with(R"({"files":{"weights":5}})"), HasSubstr("'weights': is an integer, want an object"));
  EXPECT_THAT(error_with(R"({"files":{"weights":{"bytes":"1"}}})"), HasSubstr("key 'bytes' is a string"));
  EXPECT_THAT(error_with(R"({"files":{"weights":{"bytes":1000}}})"),
              AllOf(HasSubstr("'weights'"), HasSubstr("'sha256' is missing")));
}

}  // namespace
}  // namespace noregret
