#include <gmock/gmock.h>
#include <sys/stat.h>

#include <fstream>
#include <memory>

#include "noregret/base/file.h"
#include "tests/reward/reward_support.h"

namespace noregret {
namespace {

using reward_support::config_error;
using reward_support::kShippedPlugins;
using reward_support::kTestPlugins;
using reward_support::load;
using reward_support::load_error;
using reward_support::score_one;
using reward_support::TempDir;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

std::string file_of(const std::string& name) { return (kTestPlugins / ("lib" + name + ".so")).string(); }

// ---- finding the file

TEST(PluginFile, BareNameIsALibraryOfTheFolder) { EXPECT_EQ(load("plain_c").name(), "plain_c"); }

TEST(PluginFile, PathIsTakenAsItIs) {
  EXPECT_EQ(load(file_of("plain_c")).name(), "plain_c");
  const fs::path relative = fs::relative(file_of("plain_c"));
  EXPECT_EQ(Plugin("./" + relative.string(), "{}", "/nowhere").name(), "plain_c");
}

TEST(PluginFile, MisspeltNameGetsAHintAndTheList) {
  const std::string error = config_error([] { Plugin("gsm8k_anser", "{}", kShippedPlugins); });
  EXPECT_THAT(error, AllOf(HasSubstr("'gsm8k_anser'"), HasSubstr("did you mean 'gsm8k_answer'?"),
                           HasSubstr("the folder has code_tests, exact_match, format, gsm8k_answer")));
}

TEST(PluginFile, NameFarFromAllGetsTheListAlone) {
  const std::string error = config_error([] { Plugin("llm_judge", "{}", kShippedPlugins); });
  EXPECT_THAT(error, AllOf(HasSubstr("the folder has code_tests, exact_match"), Not(HasSubstr("did you mean"))));
}

TEST(PluginFile, EmptyOrMissingFolderSaysHowToBuild) {
  const TempDir empty;
  EXPECT_THAT(config_error([&] { Plugin("format", "{}", empty.path()); }), HasSubstr("`make build`"));
  EXPECT_THAT(config_error([&] { Plugin("format", "{}", empty.path() / "none"); }), HasSubstr("`make build`"));
}

TEST(PluginFile, OtherFilesOfTheFolderAreNotListed) {
  const TempDir dir;
  fs::copy_file(file_of("plain_c"), dir.path() / "libplain_c.so");
  std::ofstream(dir.path() / "notes.txt") << "x";
  fs::create_directory(dir.path() / "libfolder.so");
  EXPECT_THAT(config_error([&] { Plugin("nothing", "{}", dir.path()); }), testing::EndsWith("the folder has plain_c"));
}

TEST(PluginFile, MissingPathIsNamed) {
  EXPECT_THAT(load_error("/nowhere/libx.so"), AllOf(HasSubstr("/nowhere/libx.so"), HasSubstr("no such file")));
}

TEST(PluginFile, FolderOrFifoIsNoPlugin) {
  const TempDir dir;
  EXPECT_THAT(load_error(dir.path().string()), HasSubstr("no regular file"));
  const std::string fifo = (dir.path() / "libfifo.so").string();
  ASSERT_EQ(mkfifo(fifo.c_str(), 0600), 0);
  EXPECT_THAT(load_error(fifo), HasSubstr("no regular file"));  // and does not wait for a writer
}

TEST(PluginFile, EmptyNameSaysWhatToWrite) { EXPECT_THAT(load_error(""), HasSubstr("{plugin: exact_match}")); }

TEST(PluginFile, DigestIsTheFilesSha256) { EXPECT_EQ(load("plain_c").digest(), sha256_file(file_of("plain_c"))); }

// ---- what the file is

TEST(PluginLoad, TextFileIsNoLibrary) {
  const TempDir dir;
  std::ofstream(dir.path() / "libtext.so") << "not a library\n";
  EXPECT_THAT(config_error([&] { Plugin("text", "{}", dir.path()); }), HasSubstr("cannot be loaded"));
}

TEST(PluginLoad, CutLibraryIsRefused) {
  const TempDir dir;
  const std::string whole = read_file(file_of("plain_c"));
  std::ofstream(dir.path() / "libcut.so", std::ios::binary) << whole.substr(0, 100);
  EXPECT_THAT(config_error([&] { Plugin("cut", "{}", dir.path()); }), HasSubstr("cannot be loaded"));
}

TEST(PluginLoad, UnresolvedSymbolIsFoundAtOnce) {
  EXPECT_THAT(load_error("unresolved"),
              AllOf(HasSubstr("cannot be loaded"), HasSubstr("function_that_no_library_has")));
}

TEST(PluginLoad, LibraryWithoutTheQueryIsNoPlugin) {
  EXPECT_THAT(load_error("no_query"),
              AllOf(HasSubstr("libno_query.so"), HasSubstr("does not export noregret_plugin_query")));
}

TEST(PluginLoad, QueryThatGivesNothingSpeaksAnotherVersion) {
  EXPECT_THAT(load_error("null_query"), HasSubstr("version 1"));
}

TEST(PluginLoad, QueryThatThrowsIsRefused) { EXPECT_THAT(load_error("query_throws"), HasSubstr("not today")); }

TEST(PluginLoad, WrongMagicIsRefused) { EXPECT_THAT(load_error("wrong_magic"), HasSubstr("magic")); }

TEST(PluginLoad, OtherMajorVersionIsRefusedWithBothNumbers) {
  EXPECT_THAT(load_error("wrong_major"), AllOf(HasSubstr("version 2.0"), HasSubstr("this host has 1.0")));
}

TEST(PluginLoad, LaterMinorVersionWorks) { EXPECT_EQ(score_one(load("newer_minor"), "x").score, 0.5); }

TEST(PluginLoad, ShortDescriptorIsRefused) {
  EXPECT_THAT(load_error("short_size"), HasSubstr("has 64 bytes, want at least 72"));
}

TEST(PluginLoad, NullFunctionIsRefused) {
  for (const char* name : {"null_create", "null_score", "null_destroy"})
    EXPECT_THAT(load_error(name), HasSubstr("is null")) << name;
}

TEST(PluginLoad, NameMustFitIntoMetrics) {
  for (const char* name : {"null_name", "bad_name", "long_name"})
    EXPECT_THAT(load_error(name), HasSubstr("its name is")) << name;
}

TEST(PluginLoad, RangeMustBeFiniteAndOrdered) {
  EXPECT_THAT(load_error("nan_range"), HasSubstr("from 0 to nan"));
  EXPECT_THAT(load_error("inverted_range"), HasSubstr("from 2 to 1"));
}

// ---- create and destroy

TEST(PluginCreate, RefusalNamesThePluginAndItsReason) {
  EXPECT_EQ(load_error("plain_c", R"({"x":1})"), "reward plugin plain_c: plain_c takes no options");
  EXPECT_EQ(load_error("sdk_faults", R"({"x":1})"), R"(reward plugin sdk_faults: no such option in {"x":1})");
}

TEST(PluginCreate, RefusalWithoutAReasonIsAnErrorToo) {
  EXPECT_THAT(load_error("null_self"), HasSubstr("without saying why"));
}

TEST(PluginCreate, ExceptionDoesNotPassThrough) {
  EXPECT_THAT(load_error("create_throws"), HasSubstr("let an exception out"));
  EXPECT_THAT(load_error("sdk_faults", "throw int"), HasSubstr("no std::exception"));
}

TEST(PluginCreate, EachUseHasItsOwnSelf) {
  const Plugin first = load("takes_turns");
  const Plugin second = load("takes_turns");
  (void)score_one(first, "x");
  EXPECT_EQ(score_one(first, "x").parts.at(0).value, 2.0);
  EXPECT_EQ(score_one(second, "x").parts.at(0).value, 1.0);
}

TEST(PluginCreate, SelfIsDestroyedOnce) {
  const TempDir dir;
  const fs::path log = dir.path() / "log";
  {
    Plugin plugin = load("lifetime", R"({"log":")" + log.string() + R"("})");
    Plugin moved = std::move(plugin);
    std::vector<Plugin> list;
    list.push_back(std::move(moved));
    EXPECT_EQ(score_one(list[0], "x").score, 1.0);
    EXPECT_EQ(read_file(log), "create\n");
  }
  EXPECT_EQ(read_file(log), "create\ndestroy\n");
}

TEST(PluginCreate, LibrariesWithEqualClassNamesStayApart) {
  const Plugin a = load("twin_a");
  const Plugin b = load("twin_b");
  EXPECT_EQ(a.name(), "twin_a");
  EXPECT_EQ(b.name(), "twin_b");
  EXPECT_EQ(score_one(a, "x").score, 0.25);
  EXPECT_EQ(score_one(b, "x").score, 0.75);
}

}  // namespace
}  // namespace noregret
