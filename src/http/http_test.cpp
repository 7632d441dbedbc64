// SPDX-License-Identifier: Apache-2.0
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <httplib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <fstream>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "http/client.h"
#include "http/guard.h"
#include "http/server.h"
#include "status/json.h"

namespace mongotwin::http {
namespace {

using Json = nlohmann::json;

class FakeCommands : public status::Commands {
 public:
  explicit FakeCommands(status::StatusBoard& board) : board_(board) {}
  void pause() override { move(status::State::paused); }
  void resume() override { throw Error(Remedy::pause, "it is not paused", "nothing to do"); }
  void finish() override { throw std::runtime_error("mongodb://u:hunter2@h broke"); }
  void throttle(const status::Throttles& throttles) override { throttles_ = throttles; }
  [[nodiscard]] status::Throttles throttles() const override { return throttles_; }
  void fail_over(bool force) override { end_handover("failover", force); }
  void rejoin(bool may_copy) override { end_handover("rejoin", may_copy); }
  [[nodiscard]] std::vector<status::Condition> switch_over(bool dry_run) override {
    using Kind = status::Condition::Kind;
    if (!dry_run && refuses) return {{Kind::fine, "lag: 0.1 s", ""}, {Kind::refused, "no right", "grant it"}};
    return {{Kind::fine, "lag: 0.1 s", ""}, {Kind::warning, dry_run ? "dry" : "asked for", "mind it"}};
  }
  bool refuses = false;
  void verify(const status::VerifyRequest& request) override {
    if (request.namespaces == std::vector<std::string>{"busy.*"}) throw Error(Remedy::pause, "a verification is under way", "wait");
    verification_.emplace();
    verification_->request = request;
  }
  void cancel_verification() override { verification_.reset(); }
  [[nodiscard]] std::optional<status::Verification> verification() const override { return verification_; }
  [[nodiscard]] status::VerifyRequest usual_verification() const override { return {true, false, {}}; }
  std::atomic<int> calls{0};

 private:
  void end_handover(const char* kind, bool allowed) {
    if (!allowed) throw Error(Remedy::pause, std::string(kind) + " refused", "allow it");
    auto next = *board_.get();
    next.handover = status::Handover{kind, "", true, {}, bson::Timestamp{5, 1}, "", {"what is lost"}, 1};
    next.state = std::string(kind) == "failover" ? status::State::failed_over : status::State::replicating;
    board_.set(next);
  }
  status::Throttles throttles_;
  std::optional<status::Verification> verification_;
  void move(status::State state) {
    ++calls;
    auto next = *board_.get();
    next.state = state;
    board_.set(next);
  }
  status::StatusBoard& board_;
};

class ServerTest : public testing::Test {
 protected:
  ServerTest() { server_.start(); }

  httplib::Client client() { return httplib::Client("127.0.0.1", server_.port()); }
  httplib::Result post(const httplib::Headers& headers, const std::string& body = "", const std::string& type = "") {
    auto c = client();
    return c.Post("/api/v1/pause", headers, body, type);
  }
  std::string own() const { return "127.0.0.1:" + std::to_string(server_.port()); }

  status::StatusBoard board_;
  FakeCommands commands_{board_};
  Server server_{board_, commands_, Address{"127.0.0.1", 0, {"Twin.Internal"}}};
};

TEST_F(ServerTest, status_is_the_snapshot_as_json) {
  status::Status s;
  s.link = "a";
  s.state = status::State::copying;
  board_.set(s);
  auto answer = client().Get("/api/v1/status");
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 200);
  EXPECT_EQ(answer->get_header_value("Content-Type"), "application/json");
  EXPECT_EQ(answer->get_header_value("Cache-Control"), "no-store");
  EXPECT_EQ(answer->body, status::to_json(s) + "\n");
}

TEST_F(ServerTest, health_follows_the_state) {
  EXPECT_EQ(client().Get("/healthz")->status, 200);
  status::Status s;
  s.state = status::State::failed;
  board_.set(s);
  auto answer = client().Get("/healthz");
  EXPECT_EQ(answer->status, 503);
  EXPECT_EQ(Json::parse(answer->body), Json({{"ok", false}, {"state", "failed"}}));
}

TEST_F(ServerTest, a_command_answers_with_the_state) {
  auto answer = post({});
  EXPECT_EQ(answer->status, 200);
  EXPECT_EQ(Json::parse(answer->body), Json({{"ok", true}, {"state", "paused"}}));
}

TEST_F(ServerTest, a_refused_command_says_why) {
  auto answer = client().Post("/api/v1/resume");
  EXPECT_EQ(answer->status, 409);
  EXPECT_EQ(Json::parse(answer->body), Json::parse(R"({"error":{"what":"it is not paused","hint":"nothing to do"}})"));
}

TEST_F(ServerTest, an_unexpected_exception_is_500_without_its_text) {
  auto answer = client().Post("/api/v1/finish");
  EXPECT_EQ(answer->status, 500);
  EXPECT_EQ(answer->body.find("hunter2"), std::string::npos);
  EXPECT_FALSE(Json::parse(answer->body)["error"]["what"].get<std::string>().empty());
}

TEST_F(ServerTest, a_switch_over_tells_what_it_demands) {
  auto ask = [&](const std::string& body) { return client().Post("/api/v1/switchover", body, "application/json"); };
  auto dry = ask(R"({"dry_run": true})");
  EXPECT_EQ(dry->status, 200);
  EXPECT_EQ(Json::parse(dry->body)["conditions"][1], Json::parse(R"({"kind": "warning", "what": "dry", "hint": "mind it"})"));
  EXPECT_EQ(Json::parse(ask("")->body)["conditions"][1]["what"], "asked for");
  commands_.refuses = true;
  auto refused = ask("{}");
  EXPECT_EQ(refused->status, 409);
  EXPECT_EQ(Json::parse(refused->body)["error"], Json::parse(R"({"what": "switch-over refused: no right", "hint": "grant it"})"));
  EXPECT_EQ(Client("127.0.0.1", server_.port()).switch_over(false).size(), 2u) << "the client gets the list of a refusal too";
  for (const char* wrong : {"[]", R"({"dry_run": 1})", R"({"dry": true})", "x"}) EXPECT_EQ(ask(wrong)->status, 400) << wrong;
  EXPECT_EQ(client().Get("/api/v1/switchover")->status, 405);
}

TEST_F(ServerTest, throttles_that_are_not_named_stay) {
  auto change = [&](const std::string& body) { return client().Post("/api/v1/throttle", body, "application/json")->status; };
  EXPECT_EQ(change(R"({"copy_bytes_per_second": 7, "operations_per_second": 0, "copiers": 4, "lanes": 64, "verify_bytes_per_second": 9})"), 200);
  EXPECT_EQ(commands_.throttles(), (status::Throttles{7, 0, 4, 64, 9}));
  EXPECT_EQ(change(R"({"verify_bytes_per_second": null})"), 200);
  EXPECT_EQ(change(R"({"copy_bytes_per_second": null, "lanes": 0})"), 200);
  EXPECT_EQ(commands_.throttles(), (status::Throttles{{}, 0, 4, 0}));
  for (const char* body : {"", "{}", R"({"lanes": 65})", R"({"copiers": null})", R"({"copiers": -1})", R"({"lanes": "4"})", R"({"lanes": 1.5})", R"({"lane": 1})", R"({"copiers": 1, "operations_per_second": "x"})"})
    EXPECT_EQ(change(body), 400) << body;
  EXPECT_EQ(commands_.throttles(), (status::Throttles{{}, 0, 4, 0}));
}

TEST_F(ServerTest, verifications_are_asked_for_shown_and_cancelled) {
  EXPECT_EQ(client().Get("/api/v1/verify")->status, 404);
  auto ask = [&](const std::string& body) { return client().Post("/api/v1/verify", body, "application/json")->status; };
  EXPECT_EQ(ask(R"({"repair": true, "namespaces": ["shop.*"]})"), 200);
  auto shown = Json::parse(client().Get("/api/v1/verify")->body);
  EXPECT_EQ(shown["mode"], "bytes");  // as usual
  EXPECT_EQ(shown["repair"], true);
  EXPECT_EQ(shown["namespaces"], Json::parse(R"(["shop.*"])"));
  EXPECT_EQ(ask(R"({"mode": "digest"})"), 200);
  EXPECT_EQ(Json::parse(client().Get("/api/v1/verify")->body)["mode"], "digest");
  EXPECT_EQ(ask(R"({"namespaces": ["busy.*"]})"), 409);
  for (const char* body : {"[]", R"({"mode": "all"})", R"({"repair": 1})", R"({"namespaces": "shop.*"})", R"({"namespaces": ["shop"]})", R"({"speed": 1})"}) EXPECT_EQ(ask(body), 400) << body;
  EXPECT_EQ(client().Post("/api/v1/verify/cancel")->status, 200);
  EXPECT_EQ(client().Get("/api/v1/verify")->status, 404);
}

TEST_F(ServerTest, unknown_paths_and_methods_are_json_too) {
  for (const char* path : {"/", "/api/v1/statusx", "/api/v1", "/../etc/passwd"}) {
    auto answer = client().Get(path);
    EXPECT_EQ(answer->status, 404) << path;
    EXPECT_TRUE(Json::parse(answer->body).contains("error"));
  }
  EXPECT_EQ(client().Post("/nowhere")->status, 404);
  EXPECT_EQ(client().Post("/api/v1/status")->status, 404);
  EXPECT_EQ(client().Delete("/api/v1/pause")->status, 404);
  auto answer = client().Get("/api/v1/pause");
  EXPECT_EQ(answer->status, 405);
  EXPECT_EQ(answer->get_header_value("Allow"), "POST");
  EXPECT_EQ(commands_.calls, 0);
}

TEST_F(ServerTest, commands_from_pages_of_other_sites_are_refused) {
  EXPECT_EQ(post({{"Origin", "http://evil.example"}})->status, 403);
  EXPECT_EQ(post({{"Origin", "null"}})->status, 403);
  EXPECT_EQ(post({{"Origin", "http://127.0.0.1:1"}})->status, 403);
  EXPECT_EQ(post({{"Sec-Fetch-Site", "cross-site"}})->status, 403);
  EXPECT_EQ(post({{"Sec-Fetch-Site", "same-site"}})->status, 403);
  EXPECT_EQ(post({}, "a=b", "application/x-www-form-urlencoded")->status, 415);
  EXPECT_EQ(post({}, "{}", "text/plain")->status, 415);
  EXPECT_EQ(post({}, "[1]", "application/json")->status, 400);
  EXPECT_EQ(post({}, "{", "application/json")->status, 400);
  EXPECT_EQ(commands_.calls, 0);
  EXPECT_EQ(post({{"Origin", "http://" + own()}, {"Sec-Fetch-Site", "same-origin"}}, "{}", "application/json; charset=utf-8")->status, 200);
  EXPECT_EQ(commands_.calls, 1);
}

TEST_F(ServerTest, foreign_host_names_are_refused_for_reading_and_commands) {
  // What DNS rebinding looks like: the name of a foreign site that now leads here, as Host and as Origin.
  EXPECT_EQ(post({{"Host", "evil.example:80"}, {"Origin", "http://evil.example:80"}})->status, 403);
  EXPECT_EQ(client().Get("/api/v1/status", {{"Host", "evil.example"}})->status, 403);
  EXPECT_EQ(client().Get("/healthz", {{"Host", "evil.example"}})->status, 403);
  EXPECT_EQ(commands_.calls, 0);
  for (const char* host : {"localhost", "LOCALHOST:9", "127.0.0.1", "[::1]:8470", "10.1.2.3:80", "twin.internal:80"})
    EXPECT_EQ(client().Get("/api/v1/status", {{"Host", host}})->status, 200) << host;
}

TEST_F(ServerTest, a_refused_body_is_not_taken_for_the_next_request) {
  auto c = client();
  c.set_keep_alive(true);
  EXPECT_EQ(c.Post("/api/v1/pause", {{"Origin", "http://evil.example"}}, "POST /api/v1/pause HTTP/1.1\r\nHost: localhost\r\n\r\n", "text/plain")->status, 403);
  EXPECT_EQ(c.Get("/healthz")->status, 200);
  EXPECT_EQ(commands_.calls, 0);
}

TEST_F(ServerTest, a_body_without_end_is_refused) {
  auto answer = post({}, "{\"a\":\"" + std::string(200'000, 'x') + "\"}", "application/json");
  EXPECT_TRUE(!answer || answer->status == 413);
  EXPECT_EQ(commands_.calls, 0);
  EXPECT_EQ(client().Get("/healthz")->status, 200);
}

TEST_F(ServerTest, an_address_in_use_is_a_sentence) {
  Server second(board_, commands_, Address{"127.0.0.1", server_.port(), {}});
  try {
    second.start();
    FAIL() << "two servers share a port";
  } catch (const Error& e) {
    EXPECT_EQ(e.remedy(), Remedy::fix_config);
    EXPECT_EQ(std::string(e.what()), "the API can't listen on " + own() + ": the address is in use");
  }
}

TEST_F(ServerTest, the_client_reads_and_commands) {
  Client c("127.0.0.1", server_.port());
  EXPECT_EQ(c.status().state, status::State::starting);
  EXPECT_EQ(c.command("pause"), "paused");
  EXPECT_EQ(c.status().state, status::State::paused);
  try {
    c.command("resume");
    FAIL();
  } catch (const Error& e) {
    EXPECT_STREQ(e.what(), "it is not paused");
    EXPECT_EQ(e.hint(), "nothing to do");
  }
}

TEST_F(ServerTest, the_clients_of_a_stopped_server_hear_that_nobody_answers) {
  Client c("127.0.0.1", server_.port());
  server_.stop();
  server_.stop();
  try {
    (void)c.status();
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.remedy(), Remedy::retry);
    EXPECT_NE(std::string(e.what()).find("no mongotwin answers on " + own()), std::string::npos) << e.what();
  }
}

TEST_F(ServerTest, threads_are_named) {
  int named = 0;
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
    std::ifstream comm(task.path() / "comm");
    std::string name;
    std::getline(comm, name);
    if (name == "http") ++named;
  }
  EXPECT_GE(named, 1);
}

TEST(Server, binds_what_it_is_told_and_nothing_else) {
  status::StatusBoard board;
  FakeCommands commands(board);
  Server server(board, commands, Address{"127.0.0.2", 0, {}});
  server.start();
  EXPECT_EQ(httplib::Client("127.0.0.2", server.port()).Get("/healthz")->status, 200);
  EXPECT_FALSE(httplib::Client("127.0.0.1", server.port()).Get("/healthz"));
}

TEST(Server, an_address_of_another_machine_is_a_sentence) {
  status::StatusBoard board;
  FakeCommands commands(board);
  Server server(board, commands, Address{"192.0.2.1", 8470, {}});  // reserved for documentation: nobody has it
  EXPECT_THROW(server.start(), Error);
}

TEST(Server, starts_and_stops_many_times_with_a_client_that_stays_connected) {
  status::StatusBoard board;
  FakeCommands commands(board);
  for (int i = 0; i < 2; ++i) {
    Server server(board, commands, Address{"127.0.0.1", 0, {}});
    server.start();
    httplib::Client c("127.0.0.1", server.port());
    c.set_keep_alive(true);
    EXPECT_EQ(c.Get("/healthz")->status, 200);
    server.stop();
  }
  Server never_started(board, commands, Address{"127.0.0.1", 0, {}});
}

TEST(Guard, host_names) {
  EXPECT_EQ(host_name("A:1"), "a");
  EXPECT_EQ(host_name("[::1]:1"), "::1");
  EXPECT_EQ(host_name(""), "");
  EXPECT_TRUE(is_loopback("127.0.0.9"));
  EXPECT_FALSE(is_loopback("127.evil.example"));
  EXPECT_FALSE(is_loopback("0.0.0.0"));
  EXPECT_EQ(to_string("::1", 8), "[::1]:8");
}

TEST(Guard, without_a_host_only_reading_is_allowed) {
  EXPECT_FALSE(refuse_read({}, {}));
  EXPECT_TRUE(refuse_command({}, {}));
}

TEST(Client, what_is_no_mongotwin_is_told_apart) {
  httplib::Server other;
  other.Get("/api/v1/status", [](const httplib::Request&, httplib::Response& r) { r.set_content("<html>", "text/html"); });
  int port = other.bind_to_any_port("127.0.0.1");
  std::thread thread([&] { other.listen_after_bind(); });
  while (!other.is_running()) std::this_thread::yield();
  Client c("127.0.0.1", port);
  EXPECT_THROW((void)c.status(), Error);
  try {
    c.command("pause");
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find("is no mongotwin (HTTP status 404)"), std::string::npos) << e.what();
  }
  other.stop();
  thread.join();
}

}  // namespace
}  // namespace mongotwin::http
