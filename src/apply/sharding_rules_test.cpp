// SPDX-License-Identifier: Apache-2.0
#include "apply/sharding_rules.h"

#include <gtest/gtest.h>

namespace mongotwin::apply {
namespace {

bson::Document json(const char* text) { return bson::Document::from_json(text); }

TEST(ShardingRules, what_a_rule_makes_of_the_sources_key) {
  auto key = json(R"({"a": 1})"), other = json(R"({"b": "hashed"})");
  ShardingRules rules{{{"d.plain", {false, {}}}, {"d.other", {true, {other, false, 8}}}, {"d.many", {true, {{}, false, 9}}}}, {}};
  EXPECT_FALSE(rules.shard_key("d.none", {}, false));
  EXPECT_EQ(rules.shard_key("d.none", key, true)->key, key);
  EXPECT_TRUE(rules.shard_key("d.none", key, true)->unique);
  EXPECT_FALSE(rules.shard_key("d.plain", key, true));
  EXPECT_EQ(rules.shard_key("d.other", key, true)->key, other);
  EXPECT_FALSE(rules.shard_key("d.other", key, true)->unique);
  EXPECT_EQ(rules.shard_key("d.other", {}, false)->chunks, 8);
  EXPECT_EQ(rules.shard_key("d.many", key, true)->chunks, 9);
  EXPECT_TRUE(rules.shard_key("d.many", key, true)->unique);
  EXPECT_FALSE(rules.shard_key("d.many", {}, false));
}

TEST(ShardingRules, keys_are_the_same_whatever_their_numbers_are_kept_as) {
  EXPECT_TRUE(same_key(json(R"({"a": 1, "b": "hashed"})"), json(R"({"a": {"$numberDouble": "1"}, "b": "hashed"})")));
  EXPECT_FALSE(same_key(json(R"({"a": 1})"), json(R"({"a": 1, "b": 1})")));
  EXPECT_FALSE(same_key(json(R"({"a": 1, "b": 1})"), json(R"({"a": 1})")));
  EXPECT_FALSE(same_key(json(R"({"a": 1})"), json(R"({"a": "hashed"})")));
  EXPECT_FALSE(same_key(json(R"({"a": 1, "b": 1})"), json(R"({"b": 1, "a": 1})")));
}

TEST(ShardingRules, indexes_that_serve_a_key) {
  auto key = json(R"({"a": 1, "b": 1})");
  EXPECT_TRUE(serves(json(R"({"key": {"a": 1, "b": 1, "c": -1}})"), key));
  EXPECT_TRUE(serves(json(R"({"key": {"a": 1, "b": 1}, "unique": true, "collation": {"locale": "simple"}})"), key));
  for (const char* index : {R"({"key": {"a": 1}})", R"({"key": {"a": 1, "b": -1}})", R"({"key": {"a": 1, "b": "hashed"}})", R"({"key": {"b": 1, "a": 1}})", R"({"key": {"a": 1, "b": 1}, "sparse": true})",
                            R"({"key": {"a": 1, "b": 1}, "partialFilterExpression": {}})", R"({"key": {"a": 1, "b": 1}, "collation": {"locale": "de"}})"})
    EXPECT_FALSE(serves(json(index), key)) << index;
}

}  // namespace
}  // namespace mongotwin::apply
