// SPDX-License-Identifier: Apache-2.0
#include "apply/index_builds.h"

#include <gtest/gtest.h>

namespace mongotwin::apply {
namespace {

// As a 6.0 server says it.
bson::Document operation(const std::string& ns, const std::string& index, const std::string& phase, std::int32_t done, std::int32_t total) {
  bson::Builder b;
  b.string("ns", ns).open_document("command").open_array("indexes").open_document("0").string("name", index).close().close().close();
  b.string("msg", "Index Build: " + phase + " Index Build: " + phase + ": " + std::to_string(done) + "/" + std::to_string(total));
  return b.open_document("progress").int32("done", done).int32("total", total).close().finish();
}

TEST(IndexBuilds, AreThereFromBeginningToEnd) {
  IndexBuilds builds;
  {
    auto first = builds.begin("db.a", {"n", "m"});
    {
      auto second = builds.begin("db.b", {"n"});
      ASSERT_EQ(builds.now().size(), 2u);
    }
    auto now = builds.now();
    ASSERT_EQ(now.size(), 1u);
    EXPECT_EQ(now[0].ns, "db.a");
    EXPECT_EQ(now[0].indexes, (std::vector<std::string>{"n", "m"}));
    EXPECT_EQ(now[0].phase, "");
    EXPECT_FALSE(now[0].done || now[0].total);
  }
  EXPECT_TRUE(builds.now().empty());
}

TEST(IndexBuilds, WhatTheTargetSaysOfOthersIsNotTheirs) {
  IndexBuilds builds;
  auto a = builds.begin("db.a", {"n"});
  auto b = builds.begin("db.b", {"n"});
  builds.take({operation("db.a", "n", "scanning collection", 50, 200), operation("db.a", "of another", "scanning collection", 7, 7), operation("db.c", "n", "scanning collection", 7, 7)});
  auto now = builds.now();
  EXPECT_EQ(now[0].phase, "scanning the collection");
  EXPECT_EQ(now[0].done, 50u);
  EXPECT_EQ(now[0].total, 200u);
  EXPECT_FALSE(now[1].done);
}

TEST(IndexBuilds, OfSeveralShardsThoseBehindAreWaitedFor) {
  IndexBuilds builds;
  auto a = builds.begin("db.a", {"n"});
  auto scan = [](std::int32_t done) { return operation("db.a", "n", "scanning collection", done, 200); };
  auto insert = operation("db.a", "n", "inserting keys from external sorter into index", 190, 200);
  for (const auto& order : std::vector<std::vector<bson::Document>>{{scan(50), insert, scan(70)}, {insert, scan(50), scan(70)}}) {
    builds.take(order);
    EXPECT_EQ(builds.now()[0].phase, "scanning the collection");
    EXPECT_EQ(builds.now()[0].done, 120u);
    EXPECT_EQ(builds.now()[0].total, 400u);
  }
  builds.take({insert});
  EXPECT_EQ(builds.now()[0].phase, "inserting keys");
  EXPECT_EQ(builds.now()[0].done, 190u);
}

TEST(IndexBuilds, OfATimeSeriesCollectionItsBucketsAreIndexed) {
  IndexBuilds builds;
  auto a = builds.begin("db.ts", {"n"});
  builds.take({operation("db.system.buckets.ts", "n", "draining writes received during build", 1, 2)});
  EXPECT_EQ(builds.now()[0].phase, "draining writes");
}

TEST(IndexBuilds, WhatIsNotSaidAnyMoreIsNotKnown) {
  IndexBuilds builds;
  auto a = builds.begin("db.a", {"n"});
  builds.take({operation("db.a", "n", "scanning collection", 50, 200)});
  builds.take({bson::Builder().string("ns", "db.a").string("msg", "Index Build: scanning collection").finish(), operation("db.a", "n", "a phase of a later version", 1, 2)});
  EXPECT_FALSE(builds.now()[0].done || builds.now()[0].total);
  EXPECT_EQ(builds.now()[0].phase, "");
}

}  // namespace
}  // namespace mongotwin::apply
