#include "noregret/http/client.h"

#include <gmock/gmock.h>

#include "noregret/base/clock.h"
#include "tests/support/raw_server.h"

namespace noregret {
namespace {

using testing::HasSubstr;

constexpr double kSlack = 10.0;  // s, of a loaded machine

HttpClientOptions quick() {
  HttpClientOptions options;
  options.total_s = 60.0;
  options.first_backoff_s = 0.01;
  return options;
}

HttpResult post(const RawServer& server, const HttpClientOptions& options = quick()) {
  return HttpClient(server.url(), options).post_json("{\"a\":1}", nullptr);
}

// Answers each connection with these texts in turn, the last one for ever.
RawServer::Serve answers(std::vector<std::string> texts) {
  return [texts = std::move(texts)](int socket, int connection) {
    RawServer::read_request(socket);
    RawServer::write_text(socket, texts[std::min<size_t>(static_cast<size_t>(connection), texts.size() - 1)]);
  };
}

TEST(HttpClient, PostsJsonAndReadsTheAnswer) {
  std::string request;
  const RawServer server([&](int socket, int) {
    request = RawServer::read_request(socket);
    RawServer::write_text(socket, RawServer::response(200, "[1]"));
  });
  const HttpResult result = post(server);
  EXPECT_EQ(result.failure, HttpFailure::kNone) << result.error;
  EXPECT_EQ(result.body, "[1]");
  EXPECT_THAT(request, testing::StartsWith("POST /score HTTP/1.1\r\n"));
  EXPECT_THAT(request, HasSubstr("Content-Type: application/json\r\n"));
  EXPECT_EQ(RawServer::body_of(request), "{\"a\":1}");
}

TEST(HttpClient, ReadsChunks) {
  const RawServer server(
      answers({"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"}));
  EXPECT_EQ(post(server).body, "abc");
}

TEST(HttpClient, RetriesWhatMayGetBetter) {
  for (const int status : {408, 429, 500, 502, 503, 504}) {
    const RawServer server(answers({RawServer::response(status, ""), RawServer::response(200, "ok")}));
    const HttpResult result = post(server);
    EXPECT_EQ(result.failure, HttpFailure::kNone) << status;
    EXPECT_EQ(result.num_attempts, 2) << status;
  }
}

TEST(HttpClient, RetriesTwiceAtMost) {
  const RawServer server(answers({RawServer::response(503, "down")}));
  const HttpResult result = post(server);
  EXPECT_EQ(result.failure, HttpFailure::kStatus);
  EXPECT_EQ(server.num_connections(), 3);
  EXPECT_THAT(result.error, HasSubstr("status 503 'down'"));
}

TEST(HttpClient, RefusalIsNotRetried) {
  for (const int status : {400, 401, 404, 413, 418}) {
    const RawServer server(answers({RawServer::response(status, "no"), RawServer::response(200, "ok")}));
    EXPECT_EQ(post(server).failure, HttpFailure::kStatus) << status;
    EXPECT_EQ(server.num_connections(), 1) << status;
  }
}

TEST(HttpClient, RedirectIsNotFollowed) {
  const RawServer server([&](int socket, int) {
    RawServer::read_request(socket);
    RawServer::write_text(socket, RawServer::response(302, "", "Location: /score\r\n"));
  });
  EXPECT_THAT(post(server).error, HasSubstr("redirects are not followed"));
  EXPECT_EQ(server.num_connections(), 1);
}

TEST(HttpClient, BrokenConnectionIsRetried) {
  const RawServer server([](int socket, int connection) {
    RawServer::read_request(socket);
    if (connection == 0) return RawServer::reset(socket);
    if (connection == 1) return;  // closed without a word
    RawServer::write_text(socket, RawServer::response(200, "ok"));
  });
  EXPECT_EQ(post(server).body, "ok");
  EXPECT_EQ(server.num_connections(), 3);
}

TEST(HttpClient, AnswerCutInItsMiddleIsNoAnswer) {
  const RawServer server(answers({"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n[1"}));
  EXPECT_EQ(post(server).failure, HttpFailure::kTransport);
}

TEST(HttpClient, NobodyListensIsATransportFailure) {
  std::string url;
  {
    const RawServer server([](int, int) {});
    url = server.url();
  }
  const HttpResult result = HttpClient(url, quick()).post_json("{}", nullptr);
  EXPECT_EQ(result.failure, HttpFailure::kTransport);
  EXPECT_THAT(result.error, HasSubstr("cannot connect"));
}

TEST(HttpClient, UnknownHostIsATransportFailure) {
  HttpClientOptions options = quick();
  options.max_retries = 0;
  const HttpResult result = HttpClient("http://no-such-host.invalid/", options).post_json("{}", nullptr);
  EXPECT_EQ(result.failure, HttpFailure::kTransport);
  EXPECT_THAT(result.error, HasSubstr("no-such-host.invalid"));
}

TEST(HttpClient, GarbageIsAProtocolFailure) {
  for (const char* text : {"hello\r\n\r\n", "\1\2\3 and so on and on\r\n\r\n", "HTTP/9.9 200 OK\r\n\r\n",
                           "HTTP/1.1 2x0 OK\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n"}) {
    const RawServer server(answers({text}));
    EXPECT_EQ(post(server).failure, HttpFailure::kProtocol) << text;
    EXPECT_EQ(server.num_connections(), 1) << text;
  }
}

TEST(HttpClient, SilenceEndsAtTheDeadline) {
  RawServer* self = nullptr;
  RawServer server([&](int socket, int) {
    RawServer::read_request(socket);
    self->pause(60000);
  });
  self = &server;
  HttpClientOptions options = quick();
  options.total_s = 0.3;
  const Stopwatch watch;
  EXPECT_EQ(post(server, options).failure, HttpFailure::kTimeout);
  EXPECT_GE(watch.seconds(), 0.25);
  EXPECT_LT(watch.seconds(), 0.3 + kSlack);
}

TEST(HttpClient, SlowDripEndsAtTheDeadline) {
  RawServer* self = nullptr;
  RawServer server([&](int socket, int) {
    RawServer::read_request(socket);
    RawServer::write_text(socket, "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n");
    while (!self->is_closing() && RawServer::write_text(socket, "x")) self->pause(20);
  });
  self = &server;
  HttpClientOptions options = quick();
  options.total_s = 0.5;
  const Stopwatch watch;
  EXPECT_EQ(post(server, options).failure, HttpFailure::kTimeout);
  EXPECT_LT(watch.seconds(), 0.5 + kSlack);
}

TEST(HttpClient, SilenceBetweenBytesEndsAtTheReadDeadline) {
  RawServer* self = nullptr;
  RawServer server([&](int socket, int) {
    RawServer::read_request(socket);
    RawServer::write_text(socket, "HTTP/1.1 200 OK\r\n");
    self->pause(60000);
  });
  self = &server;
  HttpClientOptions options = quick();
  options.read_s = 0.2;
  const Stopwatch watch;
  EXPECT_EQ(post(server, options).failure, HttpFailure::kTimeout);
  EXPECT_LT(watch.seconds(), 0.2 + kSlack);
}

TEST(HttpClient, LargeAnswerIsCutOff) {
  HttpClientOptions options = quick();
  options.max_response_bytes = 1000;
  const std::vector<std::string> heads = {"Content-Length: 10000000000\r\n\r\n", "\r\n",
                                          "Transfer-Encoding: chunked\r\n\r\nFFFFFF\r\n"};
  for (const std::string& head : heads) {
    const RawServer server([&](int socket, int) {
      RawServer::read_request(socket);
      RawServer::write_text(socket, "HTTP/1.1 200 OK\r\n" + head);
      while (RawServer::write_text(socket, std::string(65536, 'x'))) {
      }
    });
    EXPECT_EQ(post(server, options).failure, HttpFailure::kTooLarge) << head;
  }
}

TEST(HttpClient, EndlessHeadIsCutOff) {
  const RawServer server([&](int socket, int) {
    RawServer::read_request(socket);
    RawServer::write_text(socket, "HTTP/1.1 200 OK\r\n");
    while (RawServer::write_text(socket, "X-Header: y\r\n")) {
    }
  });
  EXPECT_EQ(post(server).failure, HttpFailure::kTooLarge);
}

TEST(HttpClient, CompressedAnswerIsRefused) {
  const RawServer server([&](int socket, int) {
    RawServer::read_request(socket);
    RawServer::write_text(socket, RawServer::response(200, "\x1f\x8b bomb", "Content-Encoding: gzip\r\n"));
  });
  const HttpResult result = post(server);
  EXPECT_EQ(result.failure, HttpFailure::kProtocol);
  EXPECT_THAT(result.error, HasSubstr("compressed"));
}

TEST(HttpClient, BreakerStopsCallsThenTriesOne) {
  std::atomic<bool> is_up = false;
  const RawServer server([&](int socket, int) {
    RawServer::read_request(socket);
    RawServer::write_text(socket, RawServer::response(is_up ? 200 : 503, ""));
  });
  HttpClientOptions options = quick();
  options.max_retries = 0;
  options.breaker_failures = 2;
  options.breaker_s = 1000.0;
  HttpClient shut(server.url(), options);
  for (int i = 0; i < 2; ++i) EXPECT_EQ(shut.post_json("{}", nullptr).failure, HttpFailure::kStatus);
  EXPECT_EQ(shut.post_json("{}", nullptr).failure, HttpFailure::kBreaker);
  EXPECT_EQ(server.num_connections(), 2);
  options.breaker_s = 0.0;
  HttpClient open(server.url(), options);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(open.post_json("{}", nullptr).failure, HttpFailure::kStatus);
  is_up = true;
  for (int i = 0; i < 3; ++i) EXPECT_EQ(open.post_json("{}", nullptr).failure, HttpFailure::kNone);
}

TEST(HttpClient, CancelEndsTheWait) {
  RawServer* self = nullptr;
  RawServer server([&](int socket, int) {
    RawServer::read_request(socket);
    self->pause(60000);
  });
  self = &server;
  const std::atomic<bool> cancel = true;
  const Stopwatch watch;
  EXPECT_EQ(HttpClient(server.url(), quick()).post_json("{}", &cancel).failure, HttpFailure::kCancelled);
  EXPECT_LT(watch.seconds(), kSlack);
}

TEST(HttpClient, ManyThreadsMayPost) {
  const RawServer server(answers({RawServer::response(200, "ok")}));
  HttpClient client(server.url(), quick());
  std::atomic<int> num_good = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 16; ++i) {
    threads.emplace_back([&] {
      for (int call = 0; call < 5; ++call) num_good += client.post_json("{}", nullptr).body == "ok" ? 1 : 0;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(num_good, 80);
}

}  // namespace
}  // namespace noregret
