// SPDX-License-Identifier: Apache-2.0
#include "apply/holds.h"

#include <gtest/gtest.h>

#include "apply/ddl_applier.h"
#include "apply/lane_applier.h"

namespace mongotwin::apply {
namespace {

bson::Document json(const char* text) { return bson::Document::from_json(text); }

TEST(HoldsTest, IndexIsHeldUntilItIsForgotten) {
  Holds holds;
  holds.hold_ttl("d.c", "x_1", json(R"({"expireAfterSeconds": 60})"));
  holds.hold_unique("d.c", json(R"({"name": "u_1", "key": {"u": 1}, "unique": true})"));
  EXPECT_TRUE(holds.holds_ttl("d.c", "x_1"));
  EXPECT_TRUE(holds.holds_unique("d.c", "u_1"));
  EXPECT_FALSE(holds.holds_unique("d.e", "u_1"));
  holds.forget_unique("d.c", "u_1");
  EXPECT_FALSE(holds.holds_unique("d.c", "u_1"));
  EXPECT_TRUE(holds.holds_ttl("d.c", "x_1"));
  holds.forget_index("d.c", "x_1");
  EXPECT_FALSE(holds.holds_any("d.c"));
}

TEST(HoldsTest, LaterValueReplacesTheEarlierOne) {
  Holds holds;
  holds.hold_ttl("d.c", "x_1", json(R"({"expireAfterSeconds": 60})"));
  holds.hold_ttl("d.c", "x_1", json(R"({"expireAfterSeconds": 90})"));
  ASSERT_EQ(holds.ttls().size(), 1u);
  EXPECT_EQ(holds.ttls()[0].value["expireAfterSeconds"].integer(), 90);
}

TEST(HoldsTest, RenameTakesEverythingAlongAndEndsWhatTheReplacedCollectionHeld) {
  Holds holds;
  holds.hold_ttl("d.c", "x_1", json(R"({"expireAfterSeconds": 60})"));
  holds.hold_unique("d.c", json(R"({"name": "u_1"})"));
  holds.hold_collection_ttl("d.c", json(R"({"expireAfterSeconds": 5})"));
  holds.hold_ttl("d.e", "old_1", json(R"({"expireAfterSeconds": 1})"));
  holds.rename("d.c", "d.e");
  EXPECT_FALSE(holds.holds_any("d.c"));
  EXPECT_TRUE(holds.holds_ttl("d.e", "x_1"));
  EXPECT_TRUE(holds.holds_unique("d.e", "u_1"));
  EXPECT_TRUE(holds.holds_collection_ttl("d.e"));
  EXPECT_FALSE(holds.holds_ttl("d.e", "old_1"));
}

TEST(HoldsTest, DroppedCollectionHoldsNothing) {
  Holds holds;
  holds.hold_ttl("d.c", "x_1", json(R"({"expireAfterSeconds": 60})"));
  holds.hold_collection_ttl("d.c", json(R"({"expireAfterSeconds": 5})"));
  holds.hold_unique("d.cc", json(R"({"name": "u_1"})"));
  holds.forget_collection("d.c");
  EXPECT_FALSE(holds.holds_any("d.c"));
  EXPECT_TRUE(holds.holds_any("d.cc"));
}

TEST(HoldsTest, ComesBackFromTheCheckpointAndReplacesWhatWasThere) {
  Holds holds, again;
  holds.hold_ttl("d.c", "x_1", json(R"({"expireAfterSeconds": 60})"));
  holds.hold_collection_ttl("d.t", json(R"({"expireAfterSeconds": "off"})"));
  holds.hold_unique("d.c", json(R"({"name": "u_1", "key": {"u": 1.5}})"));
  again.hold_ttl("d.stale", "s_1", json("{}"));
  again.load(holds.to_document());
  EXPECT_EQ(again.to_document(), holds.to_document());
  EXPECT_FALSE(again.holds_any("d.stale"));
  again.load(bson::View());
  EXPECT_FALSE(again.holds_any("d.c"));
}

TEST(UserNamespaceTest, BucketsGoByTheNameOfTheirTimeSeries) {
  EXPECT_EQ(user_namespace("d.system.buckets.a.b"), "d.a.b");
  EXPECT_EQ(user_namespace("d.a.system.buckets.b"), "d.a.system.buckets.b");
  EXPECT_EQ(user_namespace("d.a"), "d.a");
}

TEST(KeyQueryTest, ShardKeyIsTakenFromWholeDocumentsAndFromDocumentKeys) {
  std::vector<std::string> key{"a.b", "k", "_id"};
  EXPECT_EQ(bson::to_json(key_query(key, json(R"({"_id": 1, "a": {"b": 2}, "k": "x"})")).view()), R"({ "a.b" : 2, "k" : "x", "_id" : 1 })");
  EXPECT_EQ(bson::to_json(key_query(key, json(R"({"a.b": 2, "k": "x", "_id": 1})")).view()), R"({ "a.b" : 2, "k" : "x", "_id" : 1 })");
}

TEST(KeyQueryTest, MissingShardKeyFieldCountsAsNull) {
  EXPECT_EQ(bson::to_json(key_query({"k"}, json(R"({"_id": 1})")).view()), R"({ "k" : null, "_id" : 1 })");
}

TEST(KeyQueryTest, WithoutAShardKeyItIsTheId) {
  EXPECT_EQ(bson::to_json(key_query({}, json(R"({"k": 2, "_id": {"a": 1}})")).view()), R"({ "_id" : { "a" : 1 } })");
}

TEST(HoldsTest, HiddenGoesWithItsIndexAndItsCollection) {
  Holds holds;
  holds.hold_hidden("d.c", "x_1");
  holds.hold_hidden("d.c", "y_1");
  holds.forget_hidden("d.c", "y_1");
  holds.rename("d.c", "d.e");
  Holds again;
  again.load(holds.to_document());
  ASSERT_EQ(again.hidden().size(), 1u);
  EXPECT_EQ(again.hidden()[0].ns, "d.e");
  EXPECT_EQ(bson::to_json(again.hidden()[0].value), R"({ "hidden" : true })");
  again.forget_index("d.e", "x_1");
  EXPECT_TRUE(again.hidden().empty());
  EXPECT_FALSE(again.holds_any("d.e"));
}

}  // namespace
}  // namespace mongotwin::apply
