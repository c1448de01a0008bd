#include <gmock/gmock.h>

#include "noregret/base/json.h"
#include "tests/reward/process_support.h"
#include "tests/support/raw_server.h"

namespace noregret {
namespace {

using reward_support::config_error;
using reward_support::item;
using reward_support::Outside;
using reward_support::outside_options;
using testing::HasSubstr;

std::vector<ScoreItem> items_of(int count) {
  std::vector<ScoreItem> items;
  for (int i = 0; i < count; ++i) {
    items.push_back(item(std::string(static_cast<size_t>(i), 'x')));
    items.back().id = "item " + std::to_string(i);
  }
  return items;
}

// A judge that gives a completion's length / 100, and lets `change` spoil its results.
RawServer::Serve judge(const std::function<void(Json& results)>& change = [](Json&) {}) {
  return [change](int socket, int) {
    const Json request = parse_json(RawServer::body_of(RawServer::read_request(socket)), "request");
    Json results = Json::array();
    for (const Json& one : request["items"]) {
      const auto length = static_cast<double>(one["completion"].get_ref<const std::string&>().size());
      results.push_back(Json{{"id", one["id"]}, {"reward", length / 100}, {"parts", {{"length", length}}}});
    }
    change(results);
    RawServer::write_text(socket, RawServer::response(200, Json{{"results", results}}.dump()));
  };
}

RewardOptions options_for(const RawServer& server, double timeout_s = 60.0) {
  RewardOptions options = outside_options(server.url(), timeout_s, 4);
  options.batch = 4;
  return options;
}

TEST(HttpScorer, JudgesInBatches) {
  const RawServer server(judge());
  const Outside reward(options_for(server));
  const std::vector<ComponentScore> scores = reward.scorer->score(items_of(18));
  ASSERT_EQ(scores.size(), 18u);
  for (size_t i = 0; i < scores.size(); ++i) {
    EXPECT_EQ(scores[i].status, ScoreStatus::kOk) << scores[i].error;
    EXPECT_EQ(scores[i].score, static_cast<double>(i) / 100);
    EXPECT_EQ(scores[i].parts.at(0).value, static_cast<double>(i));
  }
  EXPECT_EQ(server.num_connections(), 5);
}

TEST(HttpScorer, OptionsGoWithEachRequest) {
  std::string body;
  const RawServer server([&](int socket, int) {
    body = RawServer::body_of(RawServer::read_request(socket));
    RawServer::write_text(socket, RawServer::response(200, R"({"results":[{"id":"item","reward":1}]})"));
  });
  RewardOptions options = options_for(server);
  options.options = Node::from_json({{"model", "judge-7"}}, Location{});
  EXPECT_EQ(Outside(options).score("x").score, 1.0);
  EXPECT_THAT(body, HasSubstr(R"("options":{"model":"judge-7"})"));
}

TEST(HttpScorer, RangeIsTheConfigs) {
  const RawServer server(judge([](Json& results) { results[0]["reward"] = -3.0; }));
  RewardOptions options = options_for(server);
  EXPECT_EQ(Outside(options).score("x").kind, FailureKind::kOutOfRange);
  options.range = {-5, 5};
  const Outside wide(options);
  EXPECT_EQ(wide.score("x").score, -3.0);
  EXPECT_EQ(wide.scorer->max_reward(), 5.0);
}

TEST(HttpScorer, WrongResultsFailTheirSamplesAlone) {
  const RawServer server(judge([](Json& results) {
    results[0]["reward"] = nullptr;
    results[1]["reward"] = "good";
    results[2]["id"] = "another";
  }));
  const std::vector<ComponentScore> scores = Outside(options_for(server)).scorer->score(items_of(4));
  EXPECT_EQ(scores[0].kind, FailureKind::kNotFinite);
  EXPECT_EQ(scores[1].kind, FailureKind::kProtocol);
  EXPECT_EQ(scores[2].kind, FailureKind::kWrongId);
  EXPECT_EQ(scores[3].kind, FailureKind::kNone);
}

TEST(HttpScorer, OneValueForABatchIsNotSpreadOverIt) {
  const RawServer server(judge([](Json& results) { results.erase(1), results.erase(1), results.erase(1); }));
  for (const ComponentScore& score : Outside(options_for(server)).scorer->score(items_of(4))) {
    EXPECT_EQ(score.kind, FailureKind::kWrongCount);
  }
}

TEST(HttpScorer, WrongOrderIsAFailure) {
  const RawServer server(judge([](Json& results) { std::swap(results[0], results[1]); }));
  const std::vector<ComponentScore> scores = Outside(options_for(server)).scorer->score(items_of(3));
  EXPECT_EQ(scores[0].kind, FailureKind::kWrongId);
  EXPECT_EQ(scores[1].kind, FailureKind::kWrongId);
  EXPECT_EQ(scores[2].kind, FailureKind::kNone);
}

TEST(HttpScorer, BareNanIsThatSamplesFailure) {
  const RawServer server([](int socket, int) {
    RawServer::read_request(socket);
    RawServer::write_text(socket, RawServer::response(200, R"({"results":[{"id":"item 0","reward":NaN},)"
                                                           R"({"id":"item 1","reward":0.5,"parts":{}}]})"));
  });
  const std::vector<ComponentScore> scores = Outside(options_for(server)).scorer->score(items_of(2));
  EXPECT_EQ(scores[0].kind, FailureKind::kNotFinite);
  EXPECT_EQ(scores[1].score, 0.5);
}

// ---- a service that is ill: the sample is marked, in time, and the next one judged once it is well

struct Illness {
  std::string name;
  FailureKind kind;
  std::function<void(int socket, const RawServer& server)> serve;
  double timeout_s = 30.0;
};
void PrintTo(const Illness& illness, std::ostream* out) { *out << illness.name; }

class HttpFault : public testing::TestWithParam<Illness> {};

TEST_P(HttpFault, SampleIsMarkedAndTheNextIsJudged) {
  std::atomic<bool> is_ill = true;
  RawServer* self = nullptr;
  RawServer server([&](int socket, int connection) {
    if (!is_ill) return judge()(socket, connection);
    RawServer::read_request(socket);
    GetParam().serve(socket, *self);
  });
  self = &server;
  const Outside reward(options_for(server, GetParam().timeout_s));
  const Stopwatch watch;
  const ComponentScore score = reward.score("x");
  EXPECT_LT(watch.seconds(), GetParam().timeout_s + 10);
  EXPECT_EQ(failure_name(score.kind), failure_name(GetParam().kind)) << score.error;
  EXPECT_NE(score.error, "");
  is_ill = false;
  if (GetParam().timeout_s < 1.0) return;  // too short to tell an ill service from a busy machine
  EXPECT_EQ(reward.score("x").status, ScoreStatus::kOk);
}

void send_status(int socket, int status, const std::string& headers = "") {
  RawServer::write_text(socket, RawServer::response(status, "x", headers));
}

INSTANTIATE_TEST_SUITE_P(
    Faults, HttpFault,
    testing::Values(
        Illness{"reset", FailureKind::kUnavailable, [](int socket, const RawServer&) { RawServer::reset(socket); }},
        Illness{"closed", FailureKind::kUnavailable, [](int, const RawServer&) {}},
        Illness{"silence", FailureKind::kTimeout, [](int, const RawServer& server) { server.pause(60000); }, 0.5},
        Illness{"slow drip", FailureKind::kTimeout,
                [](int socket, const RawServer& server) {
                  RawServer::write_text(socket, "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n");
                  while (!server.is_closing() && RawServer::write_text(socket, " ")) server.pause(20);
                },
                0.5},
        Illness{"garbage", FailureKind::kProtocol,
                [](int socket, const RawServer&) { RawServer::write_text(socket, "what?\r\n\r\n"); }},
        Illness{"no json", FailureKind::kProtocol, [](int socket, const RawServer&) { send_status(socket, 200); }},
        Illness{"redirect loop", FailureKind::kHttpStatus,
                [](int socket, const RawServer&) { send_status(socket, 302, "Location: /score\r\n"); }},
        Illness{"gzip bomb", FailureKind::kProtocol,
                [](int socket, const RawServer&) { send_status(socket, 200, "Content-Encoding: gzip\r\n"); }},
        Illness{"flood", FailureKind::kProtocol,
                [](int socket, const RawServer&) {
                  RawServer::write_text(socket, "HTTP/1.1 200 OK\r\n\r\n");
                  while (RawServer::write_text(socket, std::string(1 << 20, ' '))) {
                  }
                }},
        Illness{"forbidden", FailureKind::kHttpStatus, [](int socket, const RawServer&) { send_status(socket, 403); }},
        Illness{"down", FailureKind::kHttpStatus, [](int socket, const RawServer&) { send_status(socket, 503); }}));

TEST(HttpScorer, BadAddressIsAnErrorOfTheConfig) {
  EXPECT_THAT(config_error([] { Outside(outside_options("https://judge/score")); }), HasSubstr("TLS"));
  EXPECT_THAT(config_error([] { Outside(outside_options("http://judge:0/")); }), HasSubstr("1 to 65535"));
}

}  // namespace
}  // namespace noregret
