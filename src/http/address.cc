#include "http/address.h"

#include <algorithm>

#include "noregret/base/error.h"
#include "noregret/base/text.h"

namespace noregret {
namespace {

constexpr std::string_view kScheme = "http://";

[[noreturn]] void refuse(const std::string& url, const std::string& why) {
  throw ConfigError(cat(quoted(url), ": ", why, "; want an address as in http://127.0.0.1:8000/score"));
}

bool is_port(const std::string& text) {
  const bool is_number = !text.empty() && text.size() <= 5 && text.find_first_not_of("0123456789") == std::string::npos;
  return is_number && std::stoi(text) >= 1 && std::stoi(text) <= 65535;
}

}  // namespace

HttpAddress parse_address(const std::string& url) {
  if (url.starts_with("https://")) refuse(url, "TLS is not spoken here; put a proxy that does on this machine");
  if (!url.starts_with(kScheme)) refuse(url, "it does not begin with http://");
  const auto is_odd = [](char c) { return c <= ' ' || static_cast<unsigned char>(c) >= 0x7F; };
  if (std::any_of(url.begin(), url.end(), is_odd)) refuse(url, "it holds a space or a character beyond ASCII");
  const std::string rest = url.substr(kScheme.size());
  const size_t slash = std::min(rest.find('/'), rest.size());
  HttpAddress address;
  address.host_header = rest.substr(0, slash);
  address.target = slash == rest.size() ? "/" : rest.substr(slash, rest.find('#') - slash);
  if (address.host_header.find('@') != std::string::npos) refuse(url, "it holds a password");
  const bool is_bracketed = address.host_header.starts_with('[');
  const size_t host_end = is_bracketed ? address.host_header.find(']') : 0;
  if (host_end == std::string::npos) refuse(url, "a bracket is not closed");
  const size_t colon = address.host_header.find(':', host_end);
  address.host = address.host_header.substr(0, colon);
  address.port = colon == std::string::npos ? "80" : address.host_header.substr(colon + 1);
  if (is_bracketed) address.host = address.host_header.substr(1, host_end - 1);
  if (address.host.empty()) refuse(url, "it names no host");
  if (!is_port(address.port)) refuse(url, cat("the port is ", quoted(address.port), ", want 1 to 65535"));
  return address;
}

}  // namespace noregret
