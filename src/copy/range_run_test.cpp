// SPDX-License-Identifier: Apache-2.0
#include "copy/range_run.h"

#include <gtest/gtest.h>

#include <thread>

namespace mongotwin::copy {
namespace {

struct Fixture : testing::Test {
  CollectionCopy collection;
  std::shared_ptr<source::CollectionPlace> place = std::make_shared<source::CollectionPlace>();
  RangeRun run{{}, 0, {}, collection};

  Batch batch(std::int64_t token = 0) {
    Batch b;
    b.place = place;
    if (token) b.position = NaturalPosition{"member", "v", 100, {bson::Builder().int64("$recordId", token).finish()}};
    return b;
  }
};

using RangeRun_ = Fixture;

TEST_F(RangeRun_, WholeWhenReadAndWrittenInEitherOrder) {
  auto first = run.took(batch()), second = run.took(batch());
  EXPECT_FALSE(run.written(second, {10, 100}));
  EXPECT_FALSE(run.is_read("v"));
  EXPECT_TRUE(run.written(first, {1, 10}));
  EXPECT_EQ(run.size().documents, 11u);
  EXPECT_EQ(collection.bytes, 110u);

  RangeRun other({}, 1, {}, collection);
  EXPECT_FALSE(other.written(other.took(batch()), {1, 1}));
  EXPECT_TRUE(other.is_read("v"));
}

TEST_F(RangeRun_, PositionIsThatOfWhatIsWrittenWithoutAGap) {
  auto first = run.took(batch(1)), second = run.took(batch(2)), third = run.took(batch(3));
  run.written(third, {1, 1000});
  EXPECT_FALSE(run.worth_saving(1)) << "nothing before it is written";
  run.written(first, {1, 1000});
  auto progress = run.worth_saving(1000);
  ASSERT_TRUE(progress);
  EXPECT_EQ(progress->position.tokens.back()["$recordId"].integer(), 1);
  EXPECT_EQ(progress->size.bytes, 1000u);
  EXPECT_FALSE(run.worth_saving(1000)) << "it was given out";
  run.written(second, {1, 1000});
  progress = run.worth_saving(1000);
  ASSERT_TRUE(progress);
  EXPECT_EQ(progress->position.tokens.back()["$recordId"].integer(), 3);
}

TEST_F(RangeRun_, AgainWaitsForWhatIsOnItsWayAndForgetsIt) {
  auto number = run.took(batch(1));
  std::jthread writer([&] { run.written(number, {5, 50}); });
  run.again({});
  EXPECT_EQ(run.size().documents, 0u);
  EXPECT_EQ(collection.documents, 0u);
  EXPECT_FALSE(run.worth_saving(0));
  EXPECT_TRUE(run.is_read("v"));
}

TEST_F(RangeRun_, GoesOnCountingFromAnEarlierRun) {
  collection.documents = 7;
  RangeRun later({}, 0, {7, 70}, collection);
  later.written(later.took(batch()), {1, 10});
  EXPECT_EQ(later.size().documents, 8u);
  later.again({});
  EXPECT_EQ(collection.documents, 0u);
}

}  // namespace
}  // namespace mongotwin::copy
