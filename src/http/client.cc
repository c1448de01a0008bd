#include "noregret/http/client.h"

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <chrono>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "http/address.h"
#include "noregret/base/clock.h"
#include "noregret/base/rng.h"
#include "noregret/base/text.h"

namespace noregret {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using Endpoints = asio::ip::tcp::resolver::results_type;

constexpr double kTickSeconds = 0.05;  // between looks at the cancel flag
constexpr size_t kMaxQuote = 200;      // of a refusal's body in a message

std::chrono::microseconds micros(double seconds) {
  return std::chrono::microseconds(static_cast<int64_t>(std::max(0.0, seconds) * 1e6));
}

HttpResult failure(HttpFailure kind, const std::string& error) {
  HttpResult result;
  result.failure = kind;
  result.error = error;
  return result;
}

// One request on one connection. Its handlers run in the thread that calls run().
class Attempt {
 public:
  Attempt(const HttpAddress& address, const HttpClientOptions& options, const std::string& body)
      : options_(options), stream_(io_), request_(http::verb::post, address.target, 11, body) {
    request_.set(http::field::host, address.host_header);
    request_.set(http::field::content_type, "application/json");
    request_.set(http::field::accept_encoding, "identity");
    request_.set(http::field::user_agent, "noregret");
    request_.set(http::field::connection, "close");
    request_.prepare_payload();
    parser_.body_limit(options.max_response_bytes);
    parser_.header_limit(1 << 14);
  }

  HttpResult run(const Endpoints& endpoints, double seconds, const std::atomic<bool>* cancel) {
    seconds_ = seconds;
    stream_.expires_after(micros(std::min(left(), options_.connect_s)));
    stream_.async_connect(endpoints, [this](beast::error_code error, const auto&) { on_connected(error); });
    while (!result_) {
      if (cancel != nullptr && *cancel) return failure(HttpFailure::kCancelled, "not waited for: the run stops");
      if (left() <= 0) return timed_out("no answer");
      io_.run_for(micros(std::min(kTickSeconds, left())));
    }
    return *result_;
  }

 private:
  double left() const { return seconds_ - running_.seconds(); }

  HttpResult timed_out(const std::string& what) const {
    return failure(HttpFailure::kTimeout, cat(what, " within ", seconds_, " s"));
  }

  void on_connected(beast::error_code error) {
    if (error) return fail(error, "cannot connect");
    stream_.expires_after(micros(left()));
    http::async_write(stream_, request_, [this](beast::error_code failed, size_t) { on_sent(failed); });
  }

  void on_sent(beast::error_code error) {
    // A server may answer before it has read all: its answer says more than the broken pipe.
    if (error == beast::error::timeout) return fail(error, "cannot send");
    read_more();
  }

  void read_more() {
    stream_.expires_after(micros(std::min(left(), options_.read_s)));
    http::async_read_some(stream_, buffer_, parser_, [this](beast::error_code error, size_t) {
      if (error) return fail(error, "cannot read the answer");
      if (!parser_.is_done()) return read_more();
      finish();
    });
  }

  void finish() {
    HttpResult result;
    const auto& response = parser_.get();
    result.status = static_cast<int>(response.result_int());
    const std::string_view body(response.body());
    if (result.status < 200 || result.status > 299) {
      result.failure = HttpFailure::kStatus;
      result.error = cat("status ", result.status, " ", quoted(body.substr(0, kMaxQuote)));
      if (result.status / 100 == 3) result.error += "; redirects are not followed, name the address itself";
    } else if (const auto coding = response[http::field::content_encoding]; !coding.empty() && coding != "identity") {
      result.failure = HttpFailure::kProtocol;
      result.error = cat("the answer is compressed (", quoted(std::string_view(coding.data(), coding.size())),
                         "), which was not asked for");
    } else {
      result.body = body;
    }
    result_ = std::move(result);
  }

  void fail(beast::error_code error, const std::string& what) {
    const std::string text = cat(what, ": ", error.message());
    if (error == beast::error::timeout) {
      const bool is_connecting = what == "cannot connect";
      result_ = is_connecting && left() > 0 ? failure(HttpFailure::kTransport, cat(what, ": timed out"))
                                            : failure(HttpFailure::kTimeout, cat(what, " in time"));
    } else if (error == http::error::body_limit || error == http::error::header_limit) {
      result_ = failure(HttpFailure::kTooLarge, cat("the answer is larger than ", options_.max_response_bytes));
    } else if (error.category() == make_error_code(http::error::bad_version).category() &&
               error != http::error::end_of_stream && error != http::error::partial_message) {
      result_ = failure(HttpFailure::kProtocol, cat("the answer is no HTTP: ", error.message()));
    } else {
      result_ = failure(HttpFailure::kTransport, text);
    }
  }

  const HttpClientOptions& options_;
  asio::io_context io_;
  beast::tcp_stream stream_;
  beast::flat_buffer buffer_;
  http::request<http::string_body> request_;
  http::response_parser<http::string_body> parser_;
  std::optional<HttpResult> result_;
  double seconds_ = 0.0;
  Stopwatch running_;
};

bool may_retry(const HttpResult& result) {
  if (result.failure == HttpFailure::kTransport) return true;
  if (result.failure != HttpFailure::kStatus) return false;
  return result.status == 408 || result.status == 429 || result.status / 100 == 5;
}

// A service that answers, be it with a refusal of this request, is there.
bool is_outage(const HttpResult& result) {
  return may_retry(result) || result.failure == HttpFailure::kTimeout || result.failure == HttpFailure::kProtocol;
}

}  // namespace

struct HttpClient::Impl {
  HttpAddress address;
  HttpClientOptions options;

  std::mutex mutex;
  std::optional<Endpoints> endpoints;
  int num_failures = 0;  // calls in a row
  bool is_probing = false;
  Stopwatch since_failure;
  Rng jitter{static_cast<uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count())};

  bool may_call() {
    const std::scoped_lock lock(mutex);
    if (num_failures < options.breaker_failures) return true;
    if (is_probing || since_failure.seconds() < options.breaker_s) return false;
    return is_probing = true;
  }

  void note(const HttpResult& result) {
    const std::scoped_lock lock(mutex);
    is_probing = false;
    if (result.failure == HttpFailure::kCancelled) return;
    num_failures = is_outage(result) ? num_failures + 1 : 0;
    since_failure = Stopwatch();
    if (result.failure == HttpFailure::kTransport) endpoints.reset();  // the name may have moved
  }

  std::optional<Endpoints> resolve(std::string& error) {
    const std::scoped_lock lock(mutex);
    if (endpoints) return endpoints;
    asio::io_context io;
    boost::system::error_code failed;
    Endpoints found = asio::ip::tcp::resolver(io).resolve(address.host, address.port, failed);
    error = failed ? cat("cannot find the host ", quoted(address.host), ": ", failed.message()) : "";
    if (!failed) endpoints = found;
    return endpoints;
  }

  HttpResult attempt(const std::string& body, double seconds, const std::atomic<bool>* cancel) {
    std::string error;
    const std::optional<Endpoints> found = resolve(error);
    if (!found) return failure(HttpFailure::kTransport, error);
    return Attempt(address, options, body).run(*found, seconds, cancel);
  }

  double backoff(int attempt) {
    const std::scoped_lock lock(mutex);
    return options.first_backoff_s * static_cast<double>(1 << attempt) * static_cast<double>(jitter.uniform(0.5, 1.5));
  }
};

HttpClient::HttpClient(const std::string& url, const HttpClientOptions& options) : impl_(std::make_unique<Impl>()) {
  impl_->address = parse_address(url);
  impl_->options = options;
}

HttpClient::~HttpClient() = default;

HttpResult HttpClient::post_json(const std::string& body, const std::atomic<bool>* cancel) {
  const Stopwatch calling;
  if (!impl_->may_call()) {
    return failure(HttpFailure::kBreaker,
                   cat("not asked: ", impl_->options.breaker_failures, " calls in a row failed a moment ago"));
  }
  HttpResult result;
  for (int attempt = 0;; ++attempt) {
    result = impl_->attempt(body, impl_->options.total_s - calling.seconds(), cancel);
    result.num_attempts = attempt + 1;
    const double pause = impl_->backoff(attempt);
    const bool has_time = calling.seconds() + pause < impl_->options.total_s;
    if (!may_retry(result) || attempt >= impl_->options.max_retries || !has_time) break;
    const Stopwatch pausing;
    while (pausing.seconds() < pause && !(cancel != nullptr && *cancel)) {
      std::this_thread::sleep_for(micros(std::min(kTickSeconds, pause - pausing.seconds())));
    }
  }
  impl_->note(result);
  return result;
}

}  // namespace noregret
