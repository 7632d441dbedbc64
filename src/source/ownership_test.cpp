// SPDX-License-Identifier: Apache-2.0
// The order and the hash themselves are proven against a server in tests/order.
#include "source/ownership.h"

#include <gtest/gtest.h>

namespace mongotwin::source {
namespace {

bson::Document doc(const char* json) { return bson::Document::from_json(json); }

Ownership by_range() {
  return {doc(R"({"a": 1, "b.c": 1})"),
          {{doc(R"({"a": {"$minKey": 1}, "b.c": {"$minKey": 1}})"), 0},
           {doc(R"({"a": 5, "b.c": {"$minKey": 1}})"), 1},
           {doc(R"({"a": 5, "b.c": "m"})"), 0},
           {doc(R"({"a": "x", "b.c": 0})"), 2}}};
}

TEST(Ownership, MinIsIncludedAndMaxIsNot) {
  auto o = by_range();
  EXPECT_EQ(o.owner_of(doc(R"({"a": 4.999, "b": {"c": "z"}})")), 0);
  EXPECT_EQ(o.owner_of(doc(R"({"a": 5, "b": {"c": {"$minKey": 1}}})")), 1);
  EXPECT_EQ(o.owner_of(doc(R"({"a": 5.0, "b": {"c": "l"}})")), 1);
  EXPECT_EQ(o.owner_of(doc(R"({"a": 5, "b": {"c": "m"}})")), 0);
  EXPECT_EQ(o.owner_of(doc(R"({"a": "x", "b": {"c": -1}})")), 0);
  EXPECT_EQ(o.owner_of(doc(R"({"a": "x", "b": {"c": 0}})")), 2);
  EXPECT_EQ(o.owner_of(doc(R"({"a": {"$maxKey": 1}})")), 2);
}

TEST(Ownership, MissingFieldsCountAsNull) {
  auto o = by_range();
  EXPECT_EQ(o.owner_of(doc(R"({"b": {"c": "z"}})")), 0);
  EXPECT_EQ(o.owner_of(doc(R"({"a": 5})")), 1) << "null comes before \"m\"";
  EXPECT_EQ(o.owner_of(doc(R"({"a": 5, "b": 7})")), 1);
}

TEST(Ownership, NamesTheShardsThatOwnSomething) { EXPECT_EQ(by_range().shards(), (std::vector<oplog::ShardIndex>{0, 1, 2})); }

TEST(Ownership, HashedFieldsGoByTheirHash) {
  auto value = doc(R"({"v": {"$numberLong": "7"}})");
  auto hash = hash_of(value["v"]);
  EXPECT_EQ(hash, hash_of(doc(R"({"v": 7.9})")["v"])) << "numbers are cut to whole ones first";
  auto at = [&](std::int64_t bound) {
    return Ownership(doc(R"({"k": "hashed"})"), {{doc(R"({"k": {"$minKey": 1}})"), 0}, {bson::Builder().int64("k", bound).finish(), 1}}).owner_of(doc(R"({"k": 7})"));
  };
  EXPECT_EQ(at(hash), 1);
  EXPECT_EQ(at(hash + 1), 0);
  EXPECT_EQ(at(hash - 1), 1);
}

TEST(ShardKey, OnlyIdAloneKeepsIdsOnOneShard) {
  EXPECT_TRUE(ShardKey(doc(R"({"_id": "hashed"})")).is_id());
  EXPECT_FALSE(ShardKey(doc(R"({"_id": 1, "k": 1})")).is_id());
  EXPECT_FALSE(ShardKey(doc(R"({"k": 1})")).is_id());
}

}  // namespace
}  // namespace mongotwin::source
