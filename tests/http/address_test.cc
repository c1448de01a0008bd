#include "http/address.h"

#include <gmock/gmock.h>

#include "noregret/base/error.h"

namespace noregret {
namespace {

using testing::HasSubstr;

std::string error_of(const std::string& url) {
  try {
    parse_address(url);
  } catch (const ConfigError& e) {
    return e.what();
  }
  return "";
}

TEST(HttpAddress, HasHostPortAndTarget) {
  const HttpAddress address = parse_address("http://judge.local:8000/score?x=1");
  EXPECT_EQ(address.host, "judge.local");
  EXPECT_EQ(address.port, "8000");
  EXPECT_EQ(address.target, "/score?x=1");
  EXPECT_EQ(address.host_header, "judge.local:8000");
}

TEST(HttpAddress, DefaultsArePort80AndTheRoot) {
  const HttpAddress address = parse_address("http://judge");
  EXPECT_EQ(address.port, "80");
  EXPECT_EQ(address.target, "/");
}

TEST(HttpAddress, Ipv6IsInBrackets) {
  const HttpAddress address = parse_address("http://[::1]:81/x");
  EXPECT_EQ(address.host, "::1");
  EXPECT_EQ(address.port, "81");
}

TEST(HttpAddress, OthersAreRefusedWithAReason) {
  EXPECT_THAT(error_of("https://judge/"), HasSubstr("TLS"));
  EXPECT_THAT(error_of("ftp://judge/"), HasSubstr("http://"));
  EXPECT_THAT(error_of("http://"), HasSubstr("no host"));
  EXPECT_THAT(error_of("http://:80"), HasSubstr("no host"));
  EXPECT_THAT(error_of("http://me:secret@judge/"), HasSubstr("password"));
  for (const char* port : {"0", "65536", "x", "", "999999"}) {
    EXPECT_THAT(error_of(std::string("http://judge:") + port), HasSubstr("1 to 65535")) << port;
  }
  EXPECT_THAT(error_of("http://judge/a b"), HasSubstr("space"));
  EXPECT_THAT(error_of("http://judge/\r\nX: y"), HasSubstr("space"));
  EXPECT_THAT(error_of("http://[::1"), HasSubstr("bracket"));
}

}  // namespace
}  // namespace noregret
