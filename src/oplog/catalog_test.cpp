// SPDX-License-Identifier: Apache-2.0
#include "oplog/catalog.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "oplog/test_entries.h"

namespace mongotwin::oplog {
namespace {

using namespace testing;

std::string text(const std::vector<Ddl>& ddls) {
  std::string out;
  for (const auto& d : ddls) {
    if (!out.empty()) out += "; ";
    out += std::string(to_string(d.kind)) + " " + d.ns;
    if (!d.to.empty()) out += " to " + d.to + (d.drop_target ? " over it" : "");
    if (!d.index.empty()) out += " " + d.index;
  }
  return out;
}

class CatalogTest : public ::testing::Test {
 protected:
  Catalog catalog{NamespaceFilter()};
  std::uint32_t now = 10;

  void list(ShardIndex shard, const std::string& ns, int id, std::vector<std::string> indexes = {"_id_"}, const std::string& options = "{}", bool real = true) {
    catalog.add({shard, ns, uuid(id), bson::Document::from_json(options), std::move(indexes), real});
  }
  std::string tell(ShardIndex shard, const std::string& database, int id, const std::string& o, bool from_migrate = false) {
    return text(catalog.apply(shard, command(at(++now), database, uuid(id), o, from_migrate)));
  }
  std::string view(const char* op, const std::string& o, const std::string& o2 = {}) {
    return text(catalog.apply(0, entry(at(++now), op, "d.system.views", uuid(200), o, {o2, false, {}, {}})));
  }
  std::string ns_of(ShardIndex shard, int id) const {
    auto c = catalog.find(shard, uuid(id));
    return !c ? "nothing" : c->replicated ? c->ns : "not replicated";
  }
};

TEST_F(CatalogTest, ShardThatHasLeftIsNotWaitedFor) {
  list(0, "d.c", 1);
  list(1, "d.c", 1);
  list(1, "d.old", 3, {"_id_"}, "{}", false);
  list(2, "d.c", 1, {"_id_", "x_1"});
  catalog.remove_shard(1);
  EXPECT_EQ(ns_of(1, 1), "d.c") << "the last shard has moved up";
  EXPECT_EQ(ns_of(2, 1), "nothing");
  EXPECT_EQ(ns_of(1, 3), "nothing");
  EXPECT_EQ(tell(0, "d", 1, R"({"drop": "c"})"), "");
  EXPECT_EQ(tell(1, "d", 1, R"({"drop": "c"})"), "drop d.c");
}

// ---- creating and dropping

TEST_F(CatalogTest, CreateIsPassedOnWithItsOptionsButWithoutTheIdIndex) {
  auto ddls = catalog.apply(0, command(at(11), "d", uuid(1), R"({"create": "c", "capped": true, "size": 4096, "idIndex": {"v": 2}})"));
  ASSERT_EQ(text(ddls), "create d.c");
  EXPECT_EQ(bson::to_json(ddls[0].spec), R"({ "capped" : true, "size" : 4096 })");
  EXPECT_TRUE(catalog.find(0, uuid(1))->capped);
}

TEST_F(CatalogTest, CollectionThatReachesAFurtherShardIsNotCreatedAgain) {
  EXPECT_EQ(tell(0, "d", 1, R"({"create": "c"})"), "create d.c");
  EXPECT_EQ(tell(1, "d", 1, R"({"create": "c"})", true), "");
  EXPECT_EQ(ns_of(1, 1), "d.c");
}

TEST_F(CatalogTest, DropOnSeveralShardsDropsOnceAndAtTheLast) {
  list(0, "d.c", 1);
  list(1, "d.c", 1);
  EXPECT_EQ(tell(0, "d", 1, R"({"drop": "c"})"), "");
  EXPECT_EQ(tell(1, "d", 1, R"({"drop": "c"})"), "drop d.c");
  EXPECT_EQ(ns_of(1, 1), "nothing");
}

TEST_F(CatalogTest, DropDatabaseIsTheDropsOfItsCollections) {
  list(0, "d.c", 1);
  EXPECT_EQ(tell(0, "d", 1, R"({"drop": "c"})"), "drop d.c");
  EXPECT_EQ(text(catalog.apply(0, command(at(50), "d", {}, R"({"dropDatabase": 1})"))), "");
}

TEST_F(CatalogTest, LeftOverThatTheClusterDoesNotKnowIsNotTheCollectionOfThatName) {
  list(0, "d.c", 1);
  list(1, "d.c", 2, {"_id_"}, "{}", false);
  EXPECT_EQ(ns_of(1, 2), "not replicated");
  EXPECT_EQ(tell(1, "d", 2, R"({"drop": "c"})"), "");
  EXPECT_EQ(tell(0, "d", 1, R"({"drop": "c"})"), "drop d.c");
}

// A copy that begins while movePrimary copies: the new place is listed as something that the cluster does not know.
TEST_F(CatalogTest, LeftOverBecomesTheCollectionWhenMovePrimaryEnds) {
  list(0, "d.c", 1, {"_id_", "x_1"});
  list(1, "d.c", 2, {"_id_", "x_1"}, "{}", false);
  EXPECT_EQ(tell(0, "d", 1, R"({"drop": "c"})"), "");
  EXPECT_EQ(ns_of(1, 2), "d.c");
  EXPECT_EQ(tell(1, "d", 2, R"({"dropIndexes": "c", "index": "x_1"})"), "dropIndexes d.c x_1");
  EXPECT_EQ(tell(1, "d", 2, R"({"drop": "c"})"), "drop d.c");
}

TEST_F(CatalogTest, LeftOverThatIsWrittenToIsTheCollection) {
  list(0, "d.c", 1);
  list(1, "d.c", 2, {"_id_"}, "{}", false);
  EXPECT_FALSE(catalog.written(1, entry(at(++now), "i", "d.c", uuid(2), R"({"_id": 1})", {{}, true, {}, {}}))->replicated);
  EXPECT_EQ(catalog.written(1, entry(at(++now), "i", "d.c", uuid(2), R"({"_id": 2})", {}))->ns, "d.c");
  EXPECT_EQ(tell(0, "d", 1, R"({"drop": "c"})"), "");
  EXPECT_EQ(ns_of(1, 2), "d.c");
}

TEST_F(CatalogTest, SameNameTwiceOnOneShardStops) {
  list(0, "d.c", 1);
  EXPECT_THROW((void)tell(0, "d", 2, R"({"create": "c"})"), Error);
}

TEST_F(CatalogTest, UnknownCommandStopsByName) {
  try {
    (void)tell(0, "d", 1, R"({"frobnicate": "c"})");
    FAIL() << "it was passed over";
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find("frobnicate"), std::string::npos) << e.what();
    EXPECT_EQ(e.remedy(), Remedy::pause);
  }
}

// ---- sharding events

TEST_F(CatalogTest, MovePrimaryKeepsTheCollection) {
  list(0, "d.c", 1, {"_id_", "x_1"});
  EXPECT_EQ(tell(1, "d", 2, R"({"create": "c"})"), "");
  EXPECT_EQ(tell(1, "d", 2, R"({"createIndexes": "c", "v": 2, "key": {"x": 1}, "name": "x_1"})"), "");
  EXPECT_EQ(ns_of(1, 2), "d.c");
  EXPECT_EQ(tell(0, "d", 1, R"({"drop": "c"})"), "");
  EXPECT_EQ(ns_of(1, 2), "d.c");
  EXPECT_EQ(tell(1, "d", 2, R"({"drop": "c"})"), "drop d.c");
}

TEST_F(CatalogTest, ReshardingChangesNothingForTheTarget) {
  list(0, "d.c", 1);
  list(1, "d.c", 1);
  for (ShardIndex s : {0u, 1u}) EXPECT_EQ(tell(s, "d", 2, R"({"create": "system.resharding.01"})"), "");
  EXPECT_EQ(ns_of(0, 2), "not replicated");
  auto over = [&](ShardIndex s) {
    bson::Builder o;
    o.string("renameCollection", "d.system.resharding.01").string("to", "d.c").uuid("dropTarget", uuid(1).view());
    bson::Builder b;
    b.string("op", "c").string("ns", "d.$cmd").uuid("ui", uuid(2).view()).document("o", o.finish()).timestamp("ts", at(++now));
    return text(catalog.apply(s, parse_entry(b.finish())));
  };
  EXPECT_EQ(over(0), "");
  EXPECT_EQ(ns_of(0, 2), "d.c");
  EXPECT_EQ(ns_of(1, 1), "d.c");
  EXPECT_EQ(over(1), "");
  EXPECT_EQ(ns_of(1, 2), "d.c");
  EXPECT_EQ(ns_of(1, 1), "nothing");
}

TEST_F(CatalogTest, ShardCollectionNoteIsPassedOnForKnownCollections) {
  list(0, "d.c", 1);
  auto note = [&](const std::string& ns) { return text(catalog.apply(0, entry(at(++now), "n", ns, uuid(1), "{}", {"{\"shardCollection\": \"" + ns + "\", \"shardKey\": {\"k\": 1}}", false, {}, {}}))); };
  EXPECT_EQ(note("d.c"), "shardCollection d.c");
  EXPECT_EQ(note("d.other"), "");
}

// ---- renaming

TEST_F(CatalogTest, RenameOnEveryShardIsAppliedOnce) {
  list(0, "d.c", 1);
  list(1, "d.c", 1);
  EXPECT_EQ(tell(0, "d", 1, R"({"renameCollection": "d.c", "to": "d.e"})"), "rename d.c to d.e");
  EXPECT_EQ(tell(1, "d", 1, R"({"renameCollection": "d.c", "to": "d.e"})"), "");
  EXPECT_EQ(ns_of(0, 1), "d.e");
  EXPECT_EQ(ns_of(1, 1), "d.e");
}

TEST_F(CatalogTest, NameThatBecameFreeByARenameIsUsedAgain) {
  list(0, "d.c", 1);
  (void)tell(0, "d", 1, R"({"renameCollection": "d.c", "to": "d.e"})");
  EXPECT_EQ(tell(0, "d", 2, R"({"create": "c"})"), "create d.c");
  EXPECT_EQ(ns_of(0, 1), "d.e");
  EXPECT_EQ(ns_of(0, 2), "d.c");
}

TEST_F(CatalogTest, RenameOverAnotherCollectionIsOneStepAndItsDropsSayNothing) {
  list(0, "d.c", 1);
  list(0, "d.e", 2);
  list(1, "d.e", 2);
  bson::Builder o;
  o.string("renameCollection", "d.c").string("to", "d.e").uuid("dropTarget", uuid(2).view());
  bson::Builder b;
  b.string("op", "c").string("ns", "d.$cmd").uuid("ui", uuid(1).view()).document("o", o.finish()).timestamp("ts", at(20));
  EXPECT_EQ(text(catalog.apply(0, parse_entry(b.finish()))), "rename d.c to d.e over it");
  EXPECT_EQ(ns_of(0, 2), "nothing");
  EXPECT_EQ(tell(1, "d", 2, R"({"drop": "e"})"), "") << "the target has none of it any more";
  EXPECT_EQ(tell(0, "d", 1, R"({"drop": "e"})"), "drop d.e");
}

TEST_F(CatalogTest, ConvertToCappedTakesTheDocumentsThatAreMarkedAsMigrated) {
  list(0, "d.c", 1, {"_id_", "x_1"});
  EXPECT_EQ(tell(0, "d", 2, R"({"create": "tmpAbCdE.convertToCapped.c", "capped": true, "size": 4096})"), "create d.tmpAbCdE.convertToCapped.c");
  EXPECT_TRUE(catalog.find(0, uuid(2))->take_migrated);
  bson::Builder o;
  o.string("renameCollection", "d.tmpAbCdE.convertToCapped.c").string("to", "d.c").uuid("dropTarget", uuid(1).view());
  bson::Builder b;
  b.string("op", "c").string("ns", "d.$cmd").uuid("ui", uuid(2).view()).document("o", o.finish()).timestamp("ts", at(20));
  EXPECT_EQ(text(catalog.apply(0, parse_entry(b.finish()))), "rename d.tmpAbCdE.convertToCapped.c to d.c over it");
  EXPECT_FALSE(catalog.find(0, uuid(2))->take_migrated) << "from here on the balancer's copies are to be skipped again";
  EXPECT_TRUE(catalog.find(0, uuid(2))->capped);
}

TEST(CatalogOfAReplicaSetTest, WhatIsMarkedAsMigratedIsAWriteLikeAnyOther) {
  Catalog catalog(NamespaceFilter(), false);
  EXPECT_EQ(text(catalog.apply(0, command(at(11), "d", uuid(1), R"({"create": "clone", "capped": true, "size": 4096})"))), "create d.clone");
  EXPECT_TRUE(catalog.find(0, uuid(1))->take_migrated) << "cloneCollectionAsCapped marks its inserts";
}

TEST(CatalogOfAReplicaSetTest, RenameIntoTheFilterBringsTheCollectionInAsOfThen) {
  Catalog catalog(NamespaceFilter({"d.*"}, {"d.tmp_*"}), false);
  (void)catalog.apply(0, command(at(11), "d", uuid(1), R"({"create": "tmp_a"})"));
  (void)catalog.apply(0, command(at(12), "d", uuid(2), R"({"create": "a"})"));
  auto ddls = catalog.apply(0, entry(at(13), "c", "d.$cmd", uuid(1), R"({"renameCollection": "d.tmp_a", "to": "d.a", "stayTemp": false, "dropTarget": {"$uuid": "02020202-0202-0202-0202-020202020202"}})"));
  ASSERT_EQ(text(ddls), "drop d.a; bring in d.a to d.a");
  EXPECT_EQ(ddls[1].uuid, uuid(1));
  EXPECT_EQ(ddls[1].at, at(13));
  EXPECT_TRUE(catalog.find(0, uuid(1))->replicated);
}

class RenamedCatalogTest : public ::testing::Test {
 protected:
  Catalog catalog{NamespaceFilter({}, {}, {{"d.a", "e.b"}, {"f.*", "g.*"}})};
  std::string tell(int id, const std::string& database, const std::string& o) { return text(catalog.apply(0, command(at(++now), database, uuid(id), o))); }
  std::uint32_t now = 10;
};

TEST_F(RenamedCatalogTest, WhatIsPassedOnHasTheTargetsNames) {
  EXPECT_EQ(tell(1, "d", R"({"create": "a"})"), "create e.b");
  EXPECT_EQ(catalog.find(0, uuid(1))->ns, "e.b");
  EXPECT_EQ(tell(1, "d", R"({"createIndexes": "a", "v": 2, "key": {"x": 1}, "name": "x_1"})"), "createIndexes e.b x_1");
  EXPECT_EQ(tell(1, "d", R"({"renameCollection": "d.a", "to": "d.c"})"), "rename e.b to d.c");
  EXPECT_EQ(tell(1, "d", R"({"renameCollection": "d.c", "to": "d.a"})"), "rename d.c to e.b");
  Catalog again{NamespaceFilter({}, {}, {{"d.a", "e.b"}})};
  again.load(catalog.to_document());
  EXPECT_EQ(again.find(0, uuid(1))->ns, "e.b");
  EXPECT_EQ(tell(1, "d", R"({"drop": "a"})"), "drop e.b");
}

TEST_F(RenamedCatalogTest, ViewFollowsWhatItIsOn) {
  auto ddls = catalog.apply(0, entry(at(11), "i", "f.system.views", uuid(9), R"({"_id": "f.v", "viewOn": "x", "pipeline": []})"));
  ASSERT_EQ(text(ddls), "create view g.v");
  EXPECT_EQ(ddls[0].spec.view().string("viewOn"), "x");
  EXPECT_THROW((void)catalog.apply(0, entry(at(12), "i", "d.system.views", uuid(9), R"({"_id": "d.v", "viewOn": "a", "pipeline": []})")), Error) << "its base goes to another database";
}

TEST_F(RenamedCatalogTest, TwoOfOneNameStop) {
  (void)tell(1, "d", R"({"create": "a"})");
  EXPECT_THROW((void)tell(2, "e", R"({"create": "b"})"), Error);
}

TEST_F(CatalogTest, RenameAcrossDatabasesIsACreateARenameAndADrop) {
  list(0, "d.c", 1);
  EXPECT_EQ(tell(0, "e", 2, R"({"create": "tmpAbCdE.renameCollection"})"), "create e.tmpAbCdE.renameCollection");
  EXPECT_EQ(tell(0, "e", 2, R"({"renameCollection": "e.tmpAbCdE.renameCollection", "to": "e.c"})"), "rename e.tmpAbCdE.renameCollection to e.c");
  EXPECT_EQ(tell(0, "d", 1, R"({"drop": "c"})"), "drop d.c");
  EXPECT_EQ(ns_of(0, 2), "e.c");
}

TEST(CatalogFilterTest, RenameOutOfTheFilterDropsAndIntoItAsksForANewCopy) {
  Catalog catalog(NamespaceFilter({"d.in_*"}, {}));
  catalog.add({0, "d.in_a", uuid(1), {}, {}, true});
  catalog.add({0, "d.out", uuid(2), {}, {}, true});
  EXPECT_FALSE(catalog.find(0, uuid(2))->replicated);
  EXPECT_EQ(text(catalog.apply(0, command(at(2), "d", uuid(1), R"({"renameCollection": "d.in_a", "to": "d.away"})"))), "drop d.in_a");
  try {
    (void)catalog.apply(0, command(at(3), "d", uuid(2), R"({"renameCollection": "d.out", "to": "d.in_b"})"));
    FAIL() << "its documents are not on the target";
  } catch (const Error& e) {
    EXPECT_EQ(e.remedy(), Remedy::resync);
  }
}

// ---- indexes
TEST_F(CatalogTest, ShardThatKeepsNothingMayDropBeforeTheReshardingIsRenamed) {
  list(0, "d.c", 1);
  auto name = "system.resharding." + uuid(1).to_string();
  EXPECT_EQ(tell(1, "d", 2, R"({"create": ")" + name + R"("})"), "");
  EXPECT_EQ(tell(1, "d", 2, R"({"createIndexes": ")" + name + R"(", "v": 2, "key": {"k": 1}, "name": "k_1"})"), "");
  EXPECT_EQ(tell(0, "d", 1, R"({"drop": "c"})"), "");
  EXPECT_EQ(tell(1, "d", 2, R"({"renameCollection": "d.)" + name + R"(", "to": "d.c"})"), "createIndexes d.c k_1");
  EXPECT_EQ(ns_of(1, 2), "d.c");
  EXPECT_EQ(tell(1, "d", 2, R"({"drop": "c"})"), "drop d.c");
}

constexpr auto kIndex = R"({"createIndexes": "c", "v": 2, "key": {"x": 1}, "name": "x_1"})";
constexpr auto kCommit = R"({"commitIndexBuild": "c", "indexes": [{"v": 2, "key": {"x": 1}, "name": "x_1"}, {"v": 2, "key": {"y": 1}, "name": "y_1"}]})";

TEST_F(CatalogTest, IndexOnSeveralShardsIsCreatedOnce) {
  list(0, "d.c", 1);
  list(1, "d.c", 1);
  EXPECT_EQ(tell(0, "d", 1, kIndex), "createIndexes d.c x_1");
  EXPECT_EQ(tell(1, "d", 1, kIndex), "");
}

TEST_F(CatalogTest, IndexBuildCountsFromItsCommit) {
  list(0, "d.c", 1);
  EXPECT_EQ(tell(0, "d", 1, R"({"startIndexBuild": "c", "indexes": [{"v": 2, "key": {"x": 1}, "name": "x_1"}]})"), "");
  EXPECT_EQ(tell(0, "d", 1, R"({"abortIndexBuild": "c", "indexes": [{"v": 2, "key": {"x": 1}, "name": "x_1"}]})"), "");
  EXPECT_EQ(tell(0, "d", 1, kCommit), "createIndexes d.c x_1; createIndexes d.c y_1");
}

TEST_F(CatalogTest, IndexDroppedOnEveryShardIsDroppedOnceAndMayComeAgain) {
  list(0, "d.c", 1, {"_id_", "x_1"});
  list(1, "d.c", 1, {"_id_", "x_1"});
  auto first = tell(0, "d", 1, R"({"dropIndexes": "c", "index": "x_1"})");
  auto second = tell(1, "d", 1, R"({"dropIndexes": "c", "index": "x_1"})");
  EXPECT_EQ(first + second, "dropIndexes d.c x_1");
  EXPECT_EQ(tell(0, "d", 1, kIndex), "createIndexes d.c x_1");
}

// A shard whose part of the collection is a left-over without chunks is not asked.
TEST_F(CatalogTest, IndexIsDroppedWithTheFirstShardThatDropsIt) {
  list(0, "d.c", 1, {"_id_", "x_1"});
  list(1, "d.c", 1, {"_id_", "x_1"});
  EXPECT_EQ(tell(1, "d", 1, R"({"dropIndexes": "c", "index": "x_1"})", true), "");
  EXPECT_EQ(tell(0, "d", 1, R"({"dropIndexes": "c", "index": "x_1"})"), "dropIndexes d.c x_1");
}

TEST_F(CatalogTest, CollModIsPassedOn) {
  list(0, "d.c", 1);
  auto ddls = catalog.apply(0, command(at(11), "d", uuid(1), R"({"collMod": "c", "index": {"name": "x_1", "hidden": true}})"));
  ASSERT_EQ(text(ddls), "collMod d.c");
  EXPECT_EQ(bson::to_json(ddls[0].spec), R"({ "index" : { "name" : "x_1", "hidden" : true } })");
}

// ---- views

TEST_F(CatalogTest, ViewIsCreatedModifiedAndDropped) {
  EXPECT_EQ(view("i", R"({"_id": "d.v", "viewOn": "c", "pipeline": []})"), "create view d.v");
  EXPECT_EQ(view("u", R"({"_id": "d.v", "viewOn": "c", "pipeline": [{"$match": {"x": 1}}]})", R"({"_id": "d.v"})"), "modify view d.v");
  EXPECT_EQ(view("u", R"({"_id": "d.v", "viewOn": "c", "pipeline": [{"$match": {"x": 1}}]})", R"({"_id": "d.v"})"), "") << "nothing changed";
  EXPECT_EQ(view("d", R"({"_id": "d.v"})"), "drop view d.v");
  EXPECT_EQ(view("d", R"({"_id": "d.v"})"), "");
}

TEST_F(CatalogTest, ViewThatMovePrimaryClonesIsNotCreatedAgain) {
  (void)view("i", R"({"_id": "d.v", "viewOn": "c", "pipeline": []})");
  EXPECT_EQ(view("i", R"({"_id": "d.v", "viewOn": "c", "pipeline": []})"), "");
}

TEST_F(CatalogTest, ViewsGoWithTheLastOfTheirSystemCollection) {
  list(0, "d.system.views", 9);
  catalog.add_view("d.v", bson::Document::from_json(R"({"viewOn": "c", "pipeline": []})"));
  catalog.add_view("e.v", bson::Document::from_json(R"({"viewOn": "c", "pipeline": []})"));
  EXPECT_EQ(tell(1, "d", 10, R"({"create": "system.views"})"), "") << "movePrimary";
  EXPECT_EQ(tell(0, "d", 9, R"({"drop": "system.views"})"), "");
  EXPECT_EQ(tell(1, "d", 10, R"({"drop": "system.views"})"), "drop view d.v");
}

TEST_F(CatalogTest, ViewOfATimeSeriesCollectionIsTheServersOwn) {
  EXPECT_EQ(tell(0, "d", 1, R"({"create": "system.buckets.ts", "clusteredIndex": true, "timeseries": {"timeField": "t"}})"), "create d.system.buckets.ts");
  EXPECT_EQ(view("i", R"({"_id": "d.ts", "viewOn": "system.buckets.ts", "pipeline": [{"$_internalUnpackBucket": {"timeField": "t"}}]})"), "");
  EXPECT_EQ(view("d", R"({"_id": "d.ts"})"), "");
}

// ---- kept in the checkpoint

TEST_F(CatalogTest, ComesBackFromTheCheckpointAsItWas) {
  list(0, "d.c", 1, {"_id_", "x_1"}, R"({"capped": true})");
  list(1, "d.c", 1, {"_id_", "x_1"});
  list(0, "d.fr", 3, {"_id_"}, R"({"collation": {"locale": "fr"}})");
  list(1, "d.old", 4, {"_id_"}, "{}", false);
  (void)tell(0, "d", 2, R"({"create": "system.resharding.01"})");
  catalog.add_view("d.v", bson::Document::from_json(R"({"viewOn": "c", "pipeline": []})"));
  catalog.set_copied_up_to(uuid(1), at(7, 3));
  auto document = catalog.to_document();
  Catalog again{NamespaceFilter()};
  again.load(document);
  EXPECT_EQ(bson::to_json(again.to_document().view(), 100'000), bson::to_json(document.view(), 100'000));
  EXPECT_EQ(again.find(0, uuid(1))->copied_up_to, at(7, 3));
  EXPECT_FALSE(again.find(0, uuid(3))->simple_collation);
  EXPECT_FALSE(again.find(1, uuid(4))->replicated);
  EXPECT_EQ(text(again.apply(0, command(at(30), "d", uuid(1), R"({"drop": "c"})"))), "");
  EXPECT_EQ(text(again.apply(1, command(at(31), "d", uuid(1), R"({"drop": "c"})"))), "drop d.c");
  EXPECT_EQ(text(again.apply(0, command(at(32), "d", uuid(8), R"({"create": "new"})"))), "create d.new");
  EXPECT_NE(again.find(0, uuid(8))->id, again.find(0, uuid(3))->id) << "a number was given twice";
}

TEST_F(CatalogTest, SaysOnlyOnceThatItChanged) {
  list(0, "d.c", 1);
  EXPECT_TRUE(catalog.take_changes());
  EXPECT_FALSE(catalog.take_changes());
  (void)tell(1, "d", 1, R"({"create": "c"})", true);
  EXPECT_TRUE(catalog.take_changes()) << "a new incarnation must reach the checkpoint, though the target has nothing to do";
}

}  // namespace
}  // namespace mongotwin::oplog
