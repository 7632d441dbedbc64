// SPDX-License-Identifier: Apache-2.0
#include "status/status.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "status/json.h"

namespace mongotwin::status {
namespace {

Status full() {
  Status s;
  s.link = "twin";
  s.state = State::replicating;
  s.detail = "following the source";
  s.source = {"mongodb://***@127.0.0.1:27100", "sharded", "6.0.5", {"a", "b"}};
  s.target = {"mongodb://127.0.0.1:27200", "replica set", "6.0.5", {"rs0"}};
  s.lag_ms = 250;
  s.positions["a"] = {{9, 1}, {8, 1}, {7, 2}, {6, 3}};
  s.throttle = {20'000'000, {}, 4, 8};
  s.copy = {10, 9, 1000, 900, 4, 3, 2, 1, 4.5, 450, 77, {{"shop.orders", 10, 9, 1000, 900, false}}};
  s.index_builds = {{"shop.orders", {"email", "n"}, "scanning the collection", 50, 200}, {"shop.carts", {"n"}, "", {}, {}}};
  s.ops = {100, 90, 12.5, {{"insert", 60}, {"update", 30}}};
  s.warnings = {"slow"};
  s.verification.emplace();
  s.verification->verdict = Verdict::different;
  s.verification->differences = 3;
  s.error = Failure{"what", "hint", "pause"};
  return s;
}

TEST(Status, every_state_has_a_name_and_back) {
  for (int i = 0; i <= static_cast<int>(State::failed); ++i) {
    auto state = static_cast<State>(i);
    EXPECT_EQ(state_from(to_string(state)), state);
  }
  EXPECT_FALSE(state_from("Replicating"));
}

TEST(Status, json_has_the_names_of_the_contract) {
  auto j = nlohmann::json::parse(to_json(full()));
  EXPECT_EQ(j["link"], "twin");
  EXPECT_EQ(j["state"], "replicating");
  EXPECT_EQ(j["lag_ms"], 250);
  EXPECT_EQ(j["source"]["shards"], nlohmann::json({"a", "b"}));
  EXPECT_EQ(j["positions"]["a"]["applied"], nlohmann::json({{"t", 7}, {"i", 2}}));
  EXPECT_EQ(j["throttle"], nlohmann::json({{"copy_bytes_per_second", 20'000'000}, {"operations_per_second", nullptr}, {"copiers", 4}, {"lanes", 8}, {"verify_bytes_per_second", nullptr}}));
  EXPECT_EQ(j["verification"]["verdict"], "different");
  EXPECT_FALSE(j["verification"].contains("list"));
  EXPECT_EQ(j["copy"]["ranges_total"], 4);
  EXPECT_EQ(j["copy"]["documents_per_second"], 4.5);
  EXPECT_EQ(j["copy"]["bytes_per_second"], 450);
  EXPECT_EQ(j["copy"]["collections"][0]["ns"], "shop.orders");
  EXPECT_EQ(j["index_builds"][0], nlohmann::json({{"ns", "shop.orders"}, {"indexes", {"email", "n"}}, {"phase", "scanning the collection"}, {"done", 50}, {"total", 200}}));
  EXPECT_TRUE(j["index_builds"][1]["done"].is_null());
  EXPECT_EQ(j["ops"]["by_kind"]["insert"], 60);
  EXPECT_EQ(j["error"]["remedy"], "pause");
}

TEST(Status, unknown_values_are_null_and_empty_ones_keep_their_type) {
  auto j = nlohmann::json::parse(to_json(Status{}));
  EXPECT_EQ(j["state"], "starting");
  EXPECT_TRUE(j["lag_ms"].is_null());
  EXPECT_TRUE(j["error"].is_null());
  EXPECT_TRUE(j["verification"].is_null());
  EXPECT_TRUE(j["copy"]["eta_s"].is_null());
  EXPECT_TRUE(j["positions"].is_object());
  EXPECT_TRUE(j["ops"]["by_kind"].is_object());
  EXPECT_TRUE(j["warnings"].is_array());
  EXPECT_TRUE(j["index_builds"].is_array());
  EXPECT_TRUE(j["copy"]["collections"].is_array());
}

TEST(Status, json_is_read_back_whole) {
  auto text = to_json(full());
  EXPECT_EQ(to_json(from_json(text)), text);
  EXPECT_EQ(to_json(from_json(to_json(Status{}))), to_json(Status{}));
}

TEST(Status, bytes_that_are_no_text_do_not_break_it) {
  Status s;
  s.warnings = {"bad \xff name"};
  EXPECT_TRUE(nlohmann::json::accept(to_json(s)));
}

TEST(Status, no_password_crosses_the_api) {
  const std::string uri = "mongodb://u:hunter2@h/";
  Status s;
  s.source.uri = s.target.uri = s.detail = uri;
  s.warnings = {"at " + uri};
  s.error = Failure{"at " + uri, "see " + uri, "retry"};
  EXPECT_EQ(to_json(s).find("hunter2"), std::string::npos);
}

TEST(Status, what_is_no_status_is_refused) {
  for (const char* text : {"", "<html>", "[]", "{}", R"({"state":7})", R"({"state":"dancing"})"})
    EXPECT_THROW((void)from_json(text), Error) << text;
}

TEST(StatusBoard, readers_keep_their_snapshot) {
  StatusBoard board;
  auto before = board.get();
  board.set(full());
  EXPECT_EQ(before->state, State::starting);
  EXPECT_EQ(board.get()->state, State::replicating);
}

}  // namespace
}  // namespace mongotwin::status
