// SPDX-License-Identifier: Apache-2.0
#include "oplog/namespace_filter.h"

#include <gtest/gtest.h>

namespace mongotwin::oplog {
namespace {

TEST(WildcardTest, StarStandsForAnyRunOfCharacters) {
  EXPECT_TRUE(wildcard_match("shop.*", "shop.orders.2024"));
  EXPECT_TRUE(wildcard_match("*", ""));
  EXPECT_TRUE(wildcard_match("a*b*c", "a-b-b-c"));
  EXPECT_TRUE(wildcard_match("a**", "a"));
  EXPECT_FALSE(wildcard_match("a*b*c", "a-b-c-"));
  EXPECT_FALSE(wildcard_match("shop.*", "shops.orders"));
  EXPECT_FALSE(wildcard_match("", "a"));
}

TEST(WildcardTest, OtherCharactersStandForThemselves) {
  EXPECT_TRUE(wildcard_match("a.b[?]+", "a.b[?]+"));
  EXPECT_FALSE(wildcard_match("a.b", "axb"));
}

TEST(NamespaceFilterTest, NothingSaidMeansEverythingButTheServersDatabases) {
  NamespaceFilter filter;
  EXPECT_TRUE(filter.includes("shop.orders"));
  for (const char* ns : {"admin.x", "config.x", "local.x", "mongotwin.checkpoints", "admin"}) EXPECT_FALSE(filter.includes(ns)) << ns;
  EXPECT_TRUE(filter.includes("administration.x"));
}

TEST(NamespaceFilterTest, ServersDatabasesCanNotBeAskedFor) {
  EXPECT_FALSE(NamespaceFilter({"admin.*", "*"}, {}).includes("admin.x"));
  EXPECT_FALSE(NamespaceFilter::of_databases({"config"}).includes("config.x"));
}

TEST(NamespaceFilterTest, ExcludeWins) {
  NamespaceFilter filter({"shop.*"}, {"shop.tmp_*"});
  EXPECT_TRUE(filter.includes("shop.orders"));
  EXPECT_FALSE(filter.includes("shop.tmp_1"));
  EXPECT_FALSE(filter.includes("crm.orders"));
}

TEST(NamespaceFilterTest, DatabasesAreWholeOnesByTheirExactName) {
  auto filter = NamespaceFilter::of_databases({"shop"});
  EXPECT_TRUE(filter.includes("shop.a.b.c"));
  EXPECT_FALSE(filter.includes("shop2.a"));
  EXPECT_FALSE(filter.includes("Shop.a"));
}

TEST(NamespaceFilterTest, BucketsGoWithTheirTimeSeries) {
  NamespaceFilter filter({"d.ts"}, {});
  EXPECT_TRUE(filter.includes("d.system.buckets.ts"));
  EXPECT_FALSE(filter.includes("d.system.buckets.other"));
}

TEST(NamespaceFilterTest, TemporaryOfConvertToCappedGoesWithWhatItBecomes) {
  NamespaceFilter filter({"d.c"}, {});
  EXPECT_TRUE(filter.includes("d.tmpAbCdE.convertToCapped.c"));
  EXPECT_FALSE(filter.includes("d.tmpAbCdE.convertToCapped.e"));
}

TEST(NamespaceFilterTest, TemporaryWhoseNameDoesNotTellGoesWithItsDatabase) {
  NamespaceFilter filter({"d.c"}, {});
  EXPECT_TRUE(filter.includes("d.tmpAbCdE.renameCollection"));
  EXPECT_FALSE(filter.includes("e.tmpAbCdE.renameCollection"));
  EXPECT_TRUE(filter.includes("d.tmp.agg_out.d6f44937-a589-424b-9f45-f222212030f7")) << "$out renames it to d.c";
}

TEST(NamespaceFilterTest, NamesOnTheTarget) {
  NamespaceFilter filter({}, {}, {{"shop.a", "shop2.b"}, {"crm.*", "customers.*"}, {"crm.own", "shop.own"}});
  EXPECT_EQ(filter.target("shop.a"), "shop2.b");
  EXPECT_EQ(filter.target("shop.a.b"), "shop.a.b");
  EXPECT_EQ(filter.target("crm.x.y"), "customers.x.y");
  EXPECT_EQ(filter.target("crm.own"), "shop.own") << "the longer rule wins";
  EXPECT_EQ(filter.target("crm.system.buckets.own"), "shop.system.buckets.own");
  EXPECT_EQ(filter.target("shop.tmpX.convertToCapped.a"), "shop2.tmpX.convertToCapped.a");
  EXPECT_EQ(NamespaceFilter().target("shop.a"), "shop.a");
}

TEST(NamespaceFilterTest, WhatIsOursOnTheTarget) {
  NamespaceFilter filter({"shop.*", "crm.*"}, {"crm.no"}, {{"shop.a", "shop2.b"}, {"crm.*", "customers.*"}});
  EXPECT_TRUE(filter.includes_target("shop2.b"));
  EXPECT_TRUE(filter.includes_target("shop.b"));
  EXPECT_TRUE(filter.includes_target("customers.x"));
  EXPECT_FALSE(filter.includes_target("customers.no"));
  EXPECT_FALSE(filter.includes_target("shop.a")) << "the source's goes elsewhere";
  EXPECT_FALSE(filter.includes_target("crm.x"));
  EXPECT_FALSE(filter.includes_target("shop2.c"));
}

TEST(NamespaceFilter, InvertedItIsTheSamePairFromTheOtherSide) {
  NamespaceFilter forward({"shop.*", "old.a", "logs.*"}, {"shop.secret"}, {{"shop.*", "store.*"}, {"old.a", "new.b"}});
  auto back = forward.inverted();
  for (const char* ns : {"shop.orders", "old.a", "logs.x", "shop.system.buckets.ts", "logs.system.buckets.ts"}) {
    auto there = forward.target(ns);
    EXPECT_TRUE(back.includes(there)) << there;
    EXPECT_EQ(back.target(there), ns);
    EXPECT_TRUE(back.includes_target(ns)) << ns;
  }
  EXPECT_FALSE(back.includes("store.secret"));
  EXPECT_FALSE(back.includes("shop.orders")) << "its name there is store.orders";
  EXPECT_FALSE(back.includes("new.c"));
  EXPECT_FALSE(back.includes("mongotwin.checkpoints"));
  EXPECT_FALSE(back.includes_target("shop.secret"));
  EXPECT_EQ(back.inverted().target("old.a"), "new.b");
}

}  // namespace
}  // namespace mongotwin::oplog
