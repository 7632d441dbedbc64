// SPDX-License-Identifier: Apache-2.0
#include "checkpoint/checkpoint.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace mongotwin::checkpoint {
namespace {

// Keeps what was saved last, field by field, as the store on the target does.
class MemoryStore final : public CheckpointStore {
 public:
  std::optional<bson::Document> load() override { return {}; }
  void save(bson::View fields) override {
    ++saves;
    if (broken) throw Error(Remedy::retry, "no answer");
    for (const auto& e : fields) document[std::string(e.key())] = bson::Builder().value("v", e).finish();
  }
  void remove() override {}
  std::string json(const std::string& field) { return document.contains(field) ? bson::to_json(document.at(field)["v"]) : "nothing"; }
  std::map<std::string, bson::Document> document;
  int saves = 0;
  bool broken = false;
};

plan::Cut cut(std::uint32_t t) {
  plan::Cut c;
  c.positions = {{t, 1}};
  c.resume = {{t - 1, 1}};
  return c;
}

class CheckpointerTest : public ::testing::Test {
 protected:
  Signal signal;
  plan::Frontier frontier{signal};
  MemoryStore store;
  bson::Document held = bson::Builder().finish();
  Checkpointer checkpointer{store, frontier, [this] { return held; }};
};

TEST(CheckpointTest, ShardsComeAndGo) {
  Checkpoint c;
  c.shards = {"rs0", "rs1"};
  c.positions = {{5, 1}, {6, 2}};
  c.resume = {{4, 1}, {6, 2}};
  c.listed_up_to = {{1, 1}, {2, 2}};
  c.awaited = {{0, "a"}, {1, "b"}};
  c.add_shard("rs2", "rs2/h:1", {3, 3});
  EXPECT_EQ(c.hosts, (std::vector<std::string>{"", "", "rs2/h:1"})) << "a checkpoint of an earlier version has no hosts";
  c.remove_shard(0);
  EXPECT_EQ(c.shards, (std::vector<std::string>{"rs1", "rs2"}));
  EXPECT_EQ(c.hosts, (std::vector<std::string>{"", "rs2/h:1"}));
  EXPECT_EQ(c.positions, (std::vector<oplog::Timestamp>{{6, 2}, {3, 3}}));
  EXPECT_EQ(c.resume, (std::vector<oplog::Timestamp>{{6, 2}, {3, 3}}));
  EXPECT_EQ(c.listed_up_to, (std::vector<oplog::Timestamp>{{2, 2}, {}}));
  ASSERT_EQ(c.awaited.size(), 1u);
  EXPECT_EQ(c.awaited[0].shard, 0u);
  EXPECT_EQ(c.awaited[0].transaction, "b");
}

TEST(CheckpointTest, ComesBackAsItWas) {
  Checkpoint c;
  c.phase = Phase::replicating;
  c.source_id = "id";
  c.namespaces = "databases [a b]";
  c.shards = {"rs0", "rs1"};
  c.hosts = {"a:1", "b:2"};
  c.positions = {{5, 1}, {6, 2}};
  c.resume = {{4, 1}, {6, 2}};
  c.listed_up_to = {{1, 1}, {2, 2}};
  c.awaited = {{1, std::string("\x00\xff\x10", 3)}};
  c.catalog = bson::Document::from_json(R"({"next_id": 3, "views": [{"definition": {"pipeline": [{"$match": {}}]}}]})");
  c.held = bson::Document::from_json(R"({"ttl": []})");
  c.created = {"d.a"};
  c.emptied = {"d.b"};
  auto again = Checkpoint::parse(c.to_fields());
  EXPECT_EQ(again.to_fields(), c.to_fields());
  ASSERT_EQ(again.awaited.size(), 1u);
  EXPECT_EQ(again.awaited[0].transaction, c.awaited[0].transaction);
  EXPECT_EQ(again.positions, c.positions);
}

TEST(CheckpointTest, EveryPhaseComesBack) {
  for (auto phase : {Phase::copying, Phase::catching_up, Phase::replicating, Phase::finishing, Phase::finished}) {
    Checkpoint c;
    c.phase = phase;
    EXPECT_EQ(Checkpoint::parse(c.to_fields()).phase, phase);
  }
}

TEST(CheckpointTest, UnknownPhaseIsRefused) {
  EXPECT_THROW((void)Checkpoint::parse(bson::Builder().string("phase", "dreaming").finish()), Error);
  EXPECT_THROW((void)Checkpoint::parse(bson::View()), Error);
}

TEST_F(CheckpointerTest, SavesTheNewestCutAndNothingWhenNothingIsNew) {
  frontier.open(0, cut(5));
  frontier.open(0, cut(6));
  checkpointer.save();
  EXPECT_EQ(store.json("positions"), R"([ { "$timestamp" : { "t" : 6, "i" : 1 } } ])");
  EXPECT_EQ(checkpointer.checkpointed(), (std::vector<oplog::Timestamp>{{6, 1}}));
  auto saves = store.saves;
  checkpointer.save();
  EXPECT_EQ(store.saves, saves);
}

TEST_F(CheckpointerTest, WhatCouldNotBeSavedIsSavedNextTime) {
  auto first = cut(5);
  first.catalog = bson::Builder().int32("next_id", 9).finish();
  frontier.open(0, first);
  store.broken = true;
  EXPECT_THROW(checkpointer.save(), Error);
  EXPECT_TRUE(checkpointer.checkpointed().empty());
  store.broken = false;
  frontier.open(0, cut(6));
  checkpointer.save();
  EXPECT_EQ(store.json("positions"), R"([ { "$timestamp" : { "t" : 6, "i" : 1 } } ])");
  EXPECT_EQ(store.json("catalog"), R"({ "next_id" : 9 })") << "the catalog of the cut that failed was lost";
}

TEST_F(CheckpointerTest, HoldOfADdlIsNeverMissingBesideTheCutThatContainsIt) {
  // A DDL ends just after the holds were looked at: its hold is not among them, so its cut must not be saved either.
  Checkpointer racing{store, frontier, [&] {
                        auto out = held;
                        held = bson::Builder().int32("hold", 1).finish();
                        frontier.open(0, cut(6));
                        return out;
                      }};
  frontier.open(0, cut(5));
  racing.save();
  EXPECT_EQ(store.json("held"), "{  }");
  EXPECT_EQ(store.json("positions"), R"([ { "$timestamp" : { "t" : 5, "i" : 1 } } ])");
}

TEST_F(CheckpointerTest, PhaseIsSavedAfterWhatBelongsToIt) {
  frontier.open(0, cut(5));
  checkpointer.save_phase(Phase::replicating);
  EXPECT_EQ(store.json("phase"), "\"replicating\"");
  EXPECT_EQ(store.json("positions"), R"([ { "$timestamp" : { "t" : 5, "i" : 1 } } ])");
}

}  // namespace
}  // namespace mongotwin::checkpoint
