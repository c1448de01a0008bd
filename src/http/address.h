#pragma once

#include <string>

namespace noregret {

struct HttpAddress {
  std::string host;  // without the brackets of an IPv6 address
  std::string port;
  std::string target;       // begins with a slash
  std::string host_header;  // as it was written
};

// Throws ConfigError.
HttpAddress parse_address(const std::string& url);

}  // namespace noregret
