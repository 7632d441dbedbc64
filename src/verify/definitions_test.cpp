// SPDX-License-Identifier: Apache-2.0
#include "verify/definitions.h"

#include <gtest/gtest.h>

namespace mongotwin::verify {
namespace {

bson::Document json(const char* text) { return bson::Document::from_json(text); }

Definition collection(const std::string& ns, const char* options = "{}", std::map<std::string, const char*> indexes = {}) {
  Definition d{ns, "collection", json(options), {}, {}, false};
  for (const auto& [name, spec] : indexes) d.indexes.emplace(name, json(spec));
  return d;
}

class CompareDefinitions : public testing::Test {
 protected:
  std::vector<std::string> differences(const Definition& source, const Definition& target) {
    notes_.clear();
    std::vector<std::string> out;
    for (const auto& f : compare({{source.ns, source}}, {{target.ns, target}}, {filter_, holds_, sharding_, own_, source_sharded_, target_sharded_})) (f.note ? notes_ : out).push_back(f.what);
    return out;
  }
  using Texts = std::vector<std::string>;
  oplog::NamespaceFilter filter_;
  apply::Holds holds_;
  apply::ShardingRules sharding_;
  std::vector<std::string> own_;
  bool source_sharded_ = false, target_sharded_ = false;
  Texts notes_;
};

TEST_F(CompareDefinitions, options_are_compared_by_value) {
  EXPECT_EQ(differences(collection("a.b", R"({"validator": {"x": 1}})"), collection("a.b", R"({"validator": {"x": 1}})")), Texts{});
  EXPECT_EQ(differences(collection("a.b", R"({"validator": {"x": 1}})"), collection("a.b")), Texts{R"(option validator: { "x" : 1 } on the source, nothing on the target)"});
}

TEST_F(CompareDefinitions, held_expiry_is_a_note) {
  auto source = collection("a.b", "{}", {{"t", R"({"v": 2, "key": {"t": 1}, "name": "t", "expireAfterSeconds": 60})"}});
  auto target = collection("a.b", "{}", {{"t", R"({"v": 2, "key": {"t": 1}, "name": "t", "expireAfterSeconds": 2147483647})"}});
  EXPECT_EQ(differences(source, target).size(), 1u);
  holds_.hold_ttl("a.b", "t", json(R"({"expireAfterSeconds": 60})"));
  EXPECT_EQ(differences(source, target), Texts{});
  EXPECT_EQ(notes_, Texts{"held back until finish: expiry of index t (60 s)"});
}

TEST_F(CompareDefinitions, indexes_that_one_side_lacks) {
  auto source = collection("a.b", "{}", {{"x", R"({"v": 2, "key": {"x": 1}, "name": "x"})"}});
  EXPECT_EQ(differences(source, collection("a.b")).size(), 1u);
  EXPECT_EQ(differences(collection("a.b"), source).size(), 1u);
}

TEST_F(CompareDefinitions, the_layout_of_the_source_is_wanted_unless_a_rule_says_otherwise) {
  source_sharded_ = target_sharded_ = true;
  auto source = collection("a.b"), target = collection("a.b");
  source.shard_key = json(R"({"_id": 1})");
  EXPECT_EQ(differences(source, target).size(), 1u);
  sharding_.collections["a.b"] = {false, {}};
  EXPECT_EQ(differences(source, target), Texts{});
  EXPECT_EQ(notes_.size(), 1u);
}

TEST_F(CompareDefinitions, replica_sets_have_no_layout_to_follow) {
  target_sharded_ = true;
  auto target = collection("a.b", "{}", {{"c_1", R"({"v": 2, "key": {"c": 1}, "name": "c_1"})"}});
  target.shard_key = json(R"({"c": 1})");
  EXPECT_EQ(differences(collection("a.b"), target), Texts{});
  EXPECT_EQ(notes_.size(), 2u);  // the key, and the index that serves it
}

TEST_F(CompareDefinitions, renamed_collections_meet) {
  filter_ = oplog::NamespaceFilter({}, {}, {{"a.*", "c.*"}});
  EXPECT_EQ(differences(collection("a.b"), collection("c.b")), Texts{});
}

TEST_F(CompareDefinitions, what_only_one_side_has) {
  EXPECT_EQ(differences(collection("a.b"), collection("a.c")), (Texts{"the collection is missing on the target", "the collection is only on the target"}));
}

}  // namespace
}  // namespace mongotwin::verify
