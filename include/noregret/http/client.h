#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

namespace noregret {

struct HttpClientOptions {
  double connect_s = 5.0;
  double read_s = 600.0;  // without a byte
  double total_s = 10.0;  // of a call, its retries included
  int max_retries = 2;
  double first_backoff_s = 0.1;  // doubles, times 0.5 to 1.5 by chance
  uint64_t max_response_bytes = uint64_t{8} << 20;
  int breaker_failures = 5;  // calls in a row after which none is made ...
  double breaker_s = 5.0;    // ... for that long; then one is, to see
};

enum class HttpFailure { kNone, kTimeout, kTransport, kProtocol, kTooLarge, kStatus, kBreaker, kCancelled };

struct HttpResult {
  HttpFailure failure = HttpFailure::kNone;
  int status = 0;     // of the response, 0 = none came
  std::string body;   // when kNone
  std::string error;  // when not: one line
  int num_attempts = 0;
};

// Posts JSON to one address, a connection a request. Any number of threads. Retries only what may get better by itself:
// no connection, a connection that broke, 408, 429 and 5xx. Follows no redirect and undoes no compression.
class HttpClient {
 public:
  // http://HOST[:PORT][/PATH]. Throws ConfigError on any other address.
  HttpClient(const std::string& url, const HttpClientOptions& options);
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  // Returns within total_s, and soon after `cancel` (may be null) is true. Looking a host's name up for the first time
  // may take the system's resolver longer.
  HttpResult post_json(const std::string& body, const std::atomic<bool>* cancel);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace noregret
