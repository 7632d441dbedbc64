// SPDX-License-Identifier: Apache-2.0
// The pure parts of a change of roles.
#include <gtest/gtest.h>

#include "control/failover.h"
#include "control/late_writes.h"
#include "control/roles.h"

namespace mongotwin::control {
namespace {

using checkpoint::Checkpoint;
using checkpoint::Phase;

constexpr const char* kTarget = "id of the configured target";

std::optional<Checkpoint> document(Phase phase, std::int64_t generation) {
  Checkpoint c;
  c.phase = phase;
  c.generation = generation;
  c.source_id = kTarget;
  return c;
}

TEST(Roles, TheGreaterGenerationHolds) {
  EXPECT_FALSE(are_swapped({}, {}, kTarget)) << "a first start";
  EXPECT_FALSE(are_swapped(document(Phase::replicating, 0), {}, kTarget));
  EXPECT_TRUE(are_swapped(document(Phase::switched, 0), document(Phase::replicating, 1), kTarget));
  EXPECT_TRUE(are_swapped(document(Phase::replicating, 0), document(Phase::opening, 1), kTarget)) << "killed just after the decision";
  EXPECT_FALSE(are_swapped(document(Phase::opening, 2), document(Phase::replicating, 1), kTarget));
  EXPECT_FALSE(are_swapped(document(Phase::replicating, 2), document(Phase::switched, 1), kTarget));
  EXPECT_TRUE(are_swapped({}, document(Phase::replicating, 1), kTarget)) << "the other document was removed";
  EXPECT_FALSE(are_swapped({}, document(Phase::switched, 1), kTarget)) << "a new start";
  EXPECT_FALSE(are_swapped({}, document(Phase::replicating, 1), "another")) << "the source is itself the target of another pair";
}

TEST(Failover, AShardThatWasSilentLongBeforeMustBeGivenUp) {
  auto source = mongo::Cluster::silent("source", "id", {"a", "b"}, true);
  Failover::demand_even(*source, {{1000, 1}, {1010, 5}}, false);
  try {
    Failover::demand_even(*source, {{1700000000, 1}, {1700000060, 5}}, false);
    FAIL();
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find("shard a since 2023-11-14 22:13:20 UTC"), std::string::npos) << e.what();
    EXPECT_NE(std::string(e.what()).find("these 60 s"), std::string::npos) << e.what();
    EXPECT_NE(e.hint().find("--force"), std::string::npos);
  }
  Failover::demand_even(*source, {{1700000000, 1}, {1700000060, 5}}, true);
}

std::vector<std::string> late(const std::string& json) {
  std::vector<LateWrite> out;
  bson::Builder entry;
  entry.timestamp("ts", {9, 2}).fields_of(bson::Document::from_json(json));
  add_late_writes("rs0", entry.finish(), oplog::NamespaceFilter({"shop.*"}, {}), out);
  std::vector<std::string> texts;
  for (const auto& write : out) texts.push_back(to_string(write));
  return texts;
}

TEST(LateWrites, AreNamedByDocument) {
  using Texts = std::vector<std::string>;
  EXPECT_EQ(late(R"({"op": "i", "ns": "shop.a", "o": {"_id": 1, "x": 2}})"), Texts{"insert of 1 in shop.a (shard rs0, 9.2)"});
  EXPECT_EQ(late(R"({"op": "u", "ns": "shop.a", "o": {"$v": 2, "diff": {}}, "o2": {"_id": "k"}})"), Texts{"update of \"k\" in shop.a (shard rs0, 9.2)"});
  EXPECT_EQ(late(R"({"op": "d", "ns": "other.a", "o": {"_id": 1}})"), Texts{});
  EXPECT_EQ(late(R"({"op": "i", "ns": "shop.a", "o": {"_id": 1}, "fromMigrate": true})"), Texts{}) << "the balancer";
  EXPECT_EQ(late(R"({"op": "n", "ns": "", "o": {"msg": "periodic noop"}})"), Texts{});
  EXPECT_EQ(late(R"({"op": "i", "ns": "mongotwin.checkpoints", "o": {"_id": 1}})"), Texts{});
  EXPECT_EQ(late(R"({"op": "c", "ns": "shop.$cmd", "o": {"drop": "a"}})").size(), 1u);
  EXPECT_EQ(late(R"({"op": "c", "ns": "shop.$cmd", "o": {"collMod": "a", "index": {"name": "i", "expireAfterSeconds": 5}}})"), Texts{}) << "mongotwin's own";
  EXPECT_EQ(late(R"({"op": "c", "ns": "admin.$cmd", "o": {"applyOps": [{"op": "i", "ns": "shop.a", "o": {"_id": 5}}, {"op": "d", "ns": "out.a", "o": {"_id": 6}}]}})"), Texts{"insert of 5 in shop.a (shard rs0, 9.2)"});
}

}  // namespace
}  // namespace mongotwin::control
