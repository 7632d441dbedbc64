// SPDX-License-Identifier: Apache-2.0
#include "plan/merger.h"

#include <gtest/gtest.h>

#include "journal/memory_journal.h"
#include "oplog/test_entries.h"

namespace mongotwin::plan {
namespace {

using oplog::testing::at;

class MergerTest : public ::testing::Test {
 protected:
  Signal appended, room0, room1;
  journal::MemoryJournal journal{2, 1 << 20, appended, {&room0, &room1}};
  Merger merger{journal, 2};

  void read(oplog::ShardIndex shard, std::vector<std::uint32_t> entries, std::uint32_t up_to) {
    std::vector<journal::Record> batch;
    for (auto t : entries) batch.push_back({at(t), oplog::testing::entry(at(t), "n", "", {}, "{}").doc});
    ASSERT_TRUE(journal.append(shard, batch, at(up_to)));
  }
  std::string all() {
    std::string out;
    while (merger.peek()) {
      auto m = merger.pop();
      out += std::to_string(m.shard) + ":" + std::to_string(m.entry.ts.t) + " ";
    }
    return out;
  }
};

TEST_F(MergerTest, OneOrderOverAllShards) {
  read(0, {1, 4, 5}, 9);
  read(1, {2, 3, 6}, 9);
  EXPECT_EQ(all(), "0:1 1:2 1:3 0:4 0:5 1:6 ");
}

TEST_F(MergerTest, EntryWaitsUntilEveryShardHasBeenReadPastIt) {
  read(0, {5}, 5);
  EXPECT_EQ(merger.peek(), nullptr);
  auto waits = merger.waits();
  ASSERT_EQ(waits.size(), 1u);
  EXPECT_EQ(waits[0].shard, 1u);
  EXPECT_EQ(waits[0].until, at(5));
  read(1, {}, 4);
  EXPECT_EQ(all(), "");
  read(1, {}, 5);
  EXPECT_EQ(all(), "0:5 ");
  EXPECT_TRUE(merger.waits().empty());
}

TEST_F(MergerTest, NothingLaterThanTheHorizonLeaves) {
  read(0, {1, 5}, 9);
  read(1, {6}, 9);
  merger.plan_up_to(at(1));
  EXPECT_EQ(all(), "0:1 ");
  merger.plan_up_to(at(5));
  EXPECT_EQ(all(), "0:5 ");
  merger.plan_up_to(at(9));
  EXPECT_EQ(all(), "1:6 ");
}

TEST_F(MergerTest, ShardThatHasEndedGivesWhatItHasAndHoldsUpNobody) {
  read(0, {5, 7}, 7);
  read(1, {3, 6}, 6);
  merger.end(1);
  EXPECT_EQ(all(), "1:3 0:5 1:6 0:7 ");
  EXPECT_EQ(merger.position(1), at(6));
  read(0, {9}, 9);
  EXPECT_EQ(all(), "0:9 ");
  EXPECT_TRUE(merger.waits().empty());
}

TEST_F(MergerTest, PositionsMoveWithTheEntriesAndWithTheWatermarkOfAnIdleShard) {
  read(0, {5, 7}, 8);
  read(1, {}, 6);
  (void)merger.peek();
  EXPECT_EQ(merger.position(1), at(6));
  EXPECT_EQ(merger.position(0), oplog::Timestamp());
  (void)merger.pop();
  EXPECT_EQ(merger.position(0), at(5)) << "7 is still held";
  read(1, {}, 9);
  EXPECT_EQ(all(), "0:7 ");
  EXPECT_EQ(merger.position(0), at(8)) << "nothing relevant came after 7";
}

// Seen in a verification: the source was read as of the position of a shard that was idle, and another shard's entries
// before it were still to come.
TEST_F(MergerTest, MomentIsOneUpToWhichNothingOfAnyShardIsMissing) {
  read(0, {1, 2, 8}, 8);
  read(1, {}, 5);
  EXPECT_EQ(all(), "0:1 0:2 ");
  EXPECT_EQ(merger.position(1), at(5));
  EXPECT_EQ(merger.moment(), at(5)) << "0:8 is known and still to come, and nothing of 0 is before it";
  read(1, {}, 20);
  EXPECT_EQ(all(), "0:8 ");
  EXPECT_EQ(merger.position(1), at(20));
  EXPECT_EQ(merger.moment(), at(8)) << "what 0 has written after 8 is not read yet";
  read(0, {}, 30);
  EXPECT_EQ(all(), "");
  EXPECT_EQ(merger.moment(), at(20));
  read(1, {25}, 25);
  merger.plan_up_to(at(22));
  EXPECT_EQ(all(), "");
  EXPECT_EQ(merger.moment(), at(22));
}

TEST_F(MergerTest, NoMomentIsBetweenTwoEntriesOfOneTs) {
  read(0, {3}, 9);
  read(1, {3}, 9);
  (void)merger.pop();
  ASSERT_NE(merger.peek(), nullptr);
  EXPECT_TRUE(merger.between_twins(*merger.peek()));
  (void)merger.pop();
  EXPECT_EQ(merger.peek(), nullptr);
  EXPECT_EQ(merger.moment(), at(9));
}

TEST_F(MergerTest, SameInstantOnTwoShardsHasAFixedOrder) {
  read(1, {5}, 5);
  read(0, {5}, 5);
  EXPECT_EQ(all(), "0:5 1:5 ");
}

TEST(MemoryJournalTest, FullJournalRefusesEntriesButNotTheNewsThatThereAreNone) {
  Signal appended, room;
  journal::MemoryJournal journal{1, 1, appended, {&room}};
  std::vector<journal::Record> batch{{at(1), bson::Builder().finish()}};
  ASSERT_TRUE(journal.append(0, batch, at(1)));
  batch = {{at(2), bson::Builder().finish()}};
  EXPECT_FALSE(journal.append(0, batch, at(2)));
  EXPECT_EQ(batch.size(), 1u) << "the caller keeps what was refused";
  EXPECT_EQ(journal.read_up_to(0), at(1));
  std::vector<journal::Record> none;
  EXPECT_TRUE(journal.append(0, none, at(1)));
  EXPECT_EQ(journal.take(0, {}).size(), 1u);
  EXPECT_TRUE(journal.append(0, batch, at(2)));
}

}  // namespace
}  // namespace mongotwin::plan
