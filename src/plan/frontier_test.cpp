// SPDX-License-Identifier: Apache-2.0
#include "plan/frontier.h"

#include <gtest/gtest.h>

namespace mongotwin::plan {
namespace {

class FrontierTest : public ::testing::Test {
 protected:
  Signal moved;
  Frontier frontier{moved};
  static Cut cut(std::uint32_t t, std::uint64_t ops = 1) {
    Cut c;
    c.positions = {{t, 1}};
    c.resume = c.positions;
    c.ops = ops;
    c.ops_by_kind["insert"] = ops;
    return c;
  }
  [[nodiscard]] std::uint32_t applied() const {
    auto a = frontier.applied();
    return a.empty() ? 0 : a[0].t;
  }
};

TEST_F(FrontierTest, WhatAnEarlierRunAppliedIsApplied) {
  frontier.start_at({{7, 1}});
  EXPECT_EQ(applied(), 7u);
  EXPECT_FALSE(frontier.take_cut()) << "it is in the checkpoint already";
}

TEST_F(FrontierTest, MovesOnlyOverEpochsThatAreWholeAndInOrder) {
  auto first = frontier.open(2, cut(1), 100), second = frontier.open(1, cut(2), 20);
  EXPECT_EQ(frontier.active_bytes(), 120u);
  frontier.part_done(second);
  frontier.part_done(first);
  EXPECT_EQ(applied(), 0u) << "a part of the first epoch is under way";
  EXPECT_FALSE(frontier.take_cut());
  frontier.part_done(first);
  EXPECT_EQ(applied(), 2u);
  EXPECT_EQ(frontier.ops_applied(), 2u);
  EXPECT_EQ(frontier.in_flight(), 0u);
}

TEST_F(FrontierTest, EpochWithoutPartsIsDoneAtOnce) {
  frontier.open(0, cut(3));
  EXPECT_EQ(applied(), 3u);
}

TEST_F(FrontierTest, DoesNotStopInTheMiddleOfATransaction) {
  auto half = frontier.open(1, std::nullopt), whole = frontier.open(1, cut(5));
  frontier.part_done(half);
  EXPECT_FALSE(frontier.take_cut());
  EXPECT_EQ(applied(), 0u);
  frontier.part_done(whole);
  EXPECT_EQ(frontier.take_cut()->positions[0].t, 5u);
}

TEST_F(FrontierTest, NewestCutCarriesTheCatalogOfOneThatWasNotTaken) {
  auto changed = cut(1);
  changed.catalog = bson::Builder().int32("n", 1).finish();
  frontier.open(0, changed);
  frontier.open(0, cut(2));
  auto taken = frontier.take_cut();
  EXPECT_EQ(taken->positions[0].t, 2u);
  ASSERT_TRUE(taken->catalog);
  EXPECT_EQ((*taken->catalog)["n"].integer(), 1);
  frontier.open(0, cut(3));
  EXPECT_FALSE(frontier.take_cut()->catalog) << "it was taken already";
}

TEST_F(FrontierTest, ParkedPartHoldsItsEpochOpenButIsNotActive) {
  auto epoch = frontier.open(2, cut(1)), next = frontier.open(1, cut(2));
  frontier.part_parked(epoch);
  EXPECT_EQ(frontier.active(), 2u);
  frontier.part_done(epoch);
  frontier.part_done(next);
  EXPECT_EQ(frontier.active(), 0u);
  EXPECT_EQ(frontier.in_flight(), 2u);
  EXPECT_EQ(applied(), 0u);
  frontier.unpark_all();
  EXPECT_EQ(applied(), 2u);
}

TEST_F(FrontierTest, BrokenBookkeepingAborts) {
  auto epoch = frontier.open(1, cut(2));
  EXPECT_DEATH(frontier.part_done(epoch + 1), "broken invariant");
  frontier.part_done(epoch);
  EXPECT_DEATH(frontier.part_done(epoch), "broken invariant");
  EXPECT_DEATH(frontier.open(0, cut(1)), "broken invariant") << "positions never go back";
}

}  // namespace
}  // namespace mongotwin::plan
