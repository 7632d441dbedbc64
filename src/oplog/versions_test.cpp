// SPDX-License-Identifier: Apache-2.0
// What the oplogs of other versions than 6.0 say differently, through parse_entry, Assembler and Catalog. The entries of
// 5.0 were read off a 5.0.32; those of 4.4, 7.0 and 8.0 are written after the server's own description of its oplog.
#include <gtest/gtest.h>

#include "base/error.h"
#include "oplog/assembler.h"
#include "oplog/delta.h"
#include "oplog/test_entries.h"

namespace mongotwin::oplog {
namespace {

using namespace testing;

std::string text(const std::vector<Op>& ops) {
  std::string out;
  for (const auto& op : ops) {
    if (!out.empty()) out += "; ";
    if (!op.ddl) {
      out += std::string(to_string(op.kind)) + " " + op.collection->ns + " " + bson::to_json(op.o);
      continue;
    }
    out += std::string(to_string(op.ddl->kind)) + " " + op.ddl->ns;
    if (!op.ddl->to.empty()) out += " to " + op.ddl->to + (op.ddl->drop_target ? " over it" : "");
    if (!op.ddl->index.empty()) out += " " + op.ddl->index;
  }
  return out;
}

class VersionsTest : public ::testing::Test {
 protected:
  // An entry as it stands in an oplog, but for `ts`, `v` and `wall`; %1 to %9 stand for uuid(1) to uuid(9).
  Entry logged(const std::string& fields) {
    std::string json;
    for (std::size_t n = 0; n < fields.size(); ++n) {
      if (fields[n] != '%') { json += fields[n]; continue; }
      json += "{\"$uuid\": \"" + uuid(fields[++n] - '0').to_string() + "\"}";
    }
    bson::Builder b;
    b.fields_of(bson::Document::from_json("{" + json + "}")).timestamp("ts", at(++now_)).int64("t", 1).int32("v", 2);
    return parse_entry(b.finish());
  }
  std::string tell(const std::string& fields, ShardIndex shard = 0) { return text(ops(fields, shard)); }
  std::vector<Op> ops(const std::string& fields, ShardIndex shard = 0) {
    auto out = assembler_.feed(shard, logged(fields));
    while (assembler_.has_more())
      for (auto& op : assembler_.more()) out.push_back(std::move(op));
    return out;
  }
  void list(ShardIndex shard, const std::string& ns, int id, const std::string& options = "{}") {
    catalog_.add({shard, ns, uuid(id), bson::Document::from_json(options), {"_id_"}, true});
  }
  std::string ns_of(int id, ShardIndex shard = 0) const {
    auto c = catalog_.find(shard, uuid(id));
    return c ? c->ns : "nothing";
  }

  explicit VersionsTest(bool sharded = false) : catalog_(NamespaceFilter({"d.*", "e.*"}, {}), sharded) { list(0, "d.c", 1); }

  Catalog catalog_;
  Assembler assembler_{catalog_, {"rs0", "rs1"}, {at(10), at(10)}};
  std::uint32_t now_ = 10;
};

class ShardedVersionsTest : public VersionsTest {
 protected:
  ShardedVersionsTest() : VersionsTest(true) {}
};

#define SESSION R"("lsid": {"id": %9, "uid": {"$binary": {"base64": "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=", "subType": "00"}}}, )"
#define NO_PREVIOUS R"("prevOpTime": {"ts": {"$timestamp": {"t": 0, "i": 0}}, "t": -1})"
#define PREVIOUS R"("prevOpTime": {"ts": {"$timestamp": {"t": 11, "i": 1}}, "t": 1})"

// ---- 4.4

TEST_F(VersionsTest, Of44UpdatesAreOperators) {
  auto update = ops(SESSION R"("txnNumber": 1, "op": "u", "ns": "d.c", "ui": %1, "o": {"$v": 1, "$unset": {"b": true}, "$set": {"a.0": 7, "new": 1}}, "o2": {"_id": 1}, "stmtId": 0, )" NO_PREVIOUS);
  ASSERT_EQ(update.size(), 1u);
  EXPECT_EQ(classify(update[0].o), UpdateKind::delta_v1);
  auto after = apply_delta(bson::Document::from_json(R"({"_id": 1, "a": [1, 2], "b": 2})"), update[0].o);
  EXPECT_EQ(bson::to_json(after), R"({ "_id" : 1, "a" : [ 7, 2 ], "new" : 1 })");
}

TEST_F(VersionsTest, Of44TransactionsHaveOperatorsToo) {
  EXPECT_EQ(tell(SESSION R"("txnNumber": 2, "op": "c", "ns": "admin.$cmd", "o": {"applyOps": [
      {"op": "u", "ns": "d.c", "ui": %1, "o": {"$v": 1, "$set": {"t": 1}}, "o2": {"_id": 1}}, {"op": "d", "ns": "d.c", "ui": %1, "o": {"_id": 2}}]}, )" NO_PREVIOUS),
            R"(update d.c { "$v" : 1, "$set" : { "t" : 1 } }; delete d.c { "_id" : 2 })");
}

TEST_F(VersionsTest, Of44PreImageOfAFindAndModifyIsNoNews) {
  EXPECT_EQ(tell(SESSION R"("txnNumber": 3, "op": "n", "ns": "d.c", "ui": %1, "o": {"_id": 1, "shardCollection": "d.c"}, "stmtId": 0, )" NO_PREVIOUS), "");
}

// ---- 5.0 (all seen)

TEST_F(VersionsTest, Of50CollectionsAndIndexes) {
  EXPECT_EQ(tell(R"("op": "c", "ns": "d.$cmd", "ui": %2, "o": {"create": "cap", "capped": true, "size": 4096, "max": 3, "idIndex": {"v": 2, "key": {"_id": 1}, "name": "_id_"}})"), "create d.cap");
  EXPECT_TRUE(catalog_.find(0, uuid(2))->capped);
  EXPECT_EQ(tell(R"("op": "c", "ns": "d.$cmd", "ui": %1, "o": {"createIndexes": "c", "v": 2, "key": {"x": 1}, "name": "x_1"})"), "createIndexes d.c x_1");
  EXPECT_EQ(tell(R"("op": "c", "ns": "d.$cmd", "ui": %1, "o": {"startIndexBuild": "c", "indexBuildUUID": %8, "indexes": [{"v": 2, "key": {"y": 1}, "name": "y"}, {"v": 2, "key": {"z": 1}, "name": "z", "expireAfterSeconds": 999}]})"), "");
  EXPECT_EQ(tell(R"("op": "c", "ns": "d.$cmd", "ui": %1, "o": {"commitIndexBuild": "c", "indexBuildUUID": %8, "indexes": [{"v": 2, "key": {"y": 1}, "name": "y"}, {"v": 2, "key": {"z": 1}, "name": "z", "expireAfterSeconds": 999}]})"),
            "createIndexes d.c y; createIndexes d.c z");
  EXPECT_EQ(tell(R"("op": "c", "ns": "d.$cmd", "ui": %1, "o": {"collMod": "c", "index": {"name": "z", "expireAfterSeconds": 777}}, "o2": {"collectionOptions_old": {"uuid": %1}, "expireAfterSeconds_old": 999})"), "collMod d.c");
  EXPECT_EQ(tell(R"("op": "c", "ns": "d.$cmd", "ui": %1, "o": {"dropIndexes": "c", "index": "x_1"}, "o2": {"v": 2, "key": {"x": 1}, "name": "x_1"})"), "dropIndexes d.c x_1");
}

TEST_F(VersionsTest, Of50ARenameOverAnotherAndIntoAnotherDatabase) {
  list(0, "d.o", 2);
  EXPECT_EQ(tell(R"("op": "c", "ns": "d.$cmd", "ui": %2, "o": {"renameCollection": "d.o", "to": "d.c", "stayTemp": false, "dropTarget": %1}, "o2": {"numRecords": 1})"), "rename d.o to d.c over it");
  EXPECT_EQ(ns_of(1), "nothing");
  EXPECT_EQ(tell(R"("op": "c", "ns": "e.$cmd", "ui": %3, "o": {"create": "tmpq4cpj.renameCollection", "idIndex": {"v": 2, "key": {"_id": 1}, "name": "_id_"}})"), "create e.tmpq4cpj.renameCollection");
  EXPECT_EQ(tell(R"("op": "c", "ns": "e.$cmd", "ui": %3, "o": {"renameCollection": "e.tmpq4cpj.renameCollection", "to": "e.c", "stayTemp": false})"), "rename e.tmpq4cpj.renameCollection to e.c");
  EXPECT_EQ(tell(R"("op": "c", "ns": "d.$cmd", "ui": %2, "o": {"drop": "c"}, "o2": {"numRecords": 0})"), "drop d.c");
}

TEST_F(VersionsTest, Of50ACappedCollectionLogsItsEvictionsAfterTheInsert) {
  list(0, "d.cap", 2, R"({"capped": true})");
  EXPECT_EQ(tell(SESSION R"("txnNumber": 8, "op": "i", "ns": "d.cap", "ui": %2, "o": {"_id": 3}, "stmtId": 3, )" PREVIOUS), R"(insert d.cap { "_id" : 3 })");
  EXPECT_EQ(tell(R"("op": "d", "ns": "d.cap", "ui": %2, "o": {"_id": 0})"), R"(delete d.cap { "_id" : 0 })");
}

TEST_F(VersionsTest, Of50InAReplicaSetAnInsertMarkedFromMigrateIsARealOne) {
  EXPECT_EQ(tell(R"("op": "c", "ns": "d.$cmd", "ui": %2, "o": {"create": "clone", "capped": true, "size": 4096, "idIndex": {"v": 2, "key": {"_id": 1}, "name": "_id_"}})"), "create d.clone");
  EXPECT_EQ(tell(R"("op": "i", "ns": "d.clone", "ui": %2, "o": {"_id": 1}, "fromMigrate": true)"), R"(insert d.clone { "_id" : 1 })") << "cloneCollectionAsCapped";
  EXPECT_EQ(tell(R"("op": "c", "ns": "d.$cmd", "ui": %3, "o": {"create": "tmpWF7WO.convertToCapped.c", "capped": true, "size": 4096, "temp": true})"), "create d.tmpWF7WO.convertToCapped.c");
  EXPECT_EQ(tell(R"("op": "i", "ns": "d.tmpWF7WO.convertToCapped.c", "ui": %3, "o": {"_id": 0}, "fromMigrate": true)"), R"(insert d.tmpWF7WO.convertToCapped.c { "_id" : 0 })") << "the first one is marked, too";
  EXPECT_EQ(tell(R"("op": "c", "ns": "d.$cmd", "ui": %3, "o": {"renameCollection": "d.tmpWF7WO.convertToCapped.c", "to": "d.c", "stayTemp": false, "dropTarget": %1}, "o2": {"numRecords": 4})"),
            "rename d.tmpWF7WO.convertToCapped.c to d.c over it");
}

TEST_F(VersionsTest, Of50TheStateSavedBeforeARestartKnowsThat) {
  Catalog again{NamespaceFilter({"d.*"}, {}), false};
  again.load(catalog_.to_document());
  EXPECT_TRUE(again.find(0, uuid(1))->take_migrated);
}

TEST_F(ShardedVersionsTest, Of50OnAShardItIsTheBalancersOwn) {
  EXPECT_EQ(tell(R"("op": "i", "ns": "d.c", "ui": %1, "o": {"_id": 1}, "fromMigrate": true)"), "");
}

TEST_F(VersionsTest, Of50ATimeSeriesIsItsBuckets) {
  EXPECT_EQ(tell(R"("op": "c", "ns": "d.$cmd", "ui": %2, "o": {"create": "system.buckets.ts", "validator": {}, "clusteredIndex": true, "expireAfterSeconds": {"$numberLong": "1000000"},
      "timeseries": {"timeField": "t", "metaField": "m", "granularity": "seconds", "bucketMaxSpanSeconds": 3600}})"), "create d.system.buckets.ts");
  EXPECT_EQ(tell(R"("op": "c", "ns": "d.$cmd", "ui": %3, "o": {"create": "system.views", "idIndex": {"v": 2, "key": {"_id": 1}, "name": "_id_"}})"), "");
  EXPECT_EQ(tell(R"("op": "i", "ns": "d.system.views", "ui": %3, "o": {"_id": "d.ts", "viewOn": "system.buckets.ts", "pipeline": [{"$_internalUnpackBucket": {"timeField": "t", "metaField": "m", "bucketMaxSpanSeconds": 3600, "exclude": []}}]})"), "");
  auto update = ops(SESSION R"("txnNumber": 2, "op": "u", "ns": "d.system.buckets.ts", "ui": %2, "o": {"$v": 2, "diff": {"scontrol": {"smax": {"u": {"x": 3}}}, "sdata": {"sx": {"i": {"2": 3}}}}}, "o2": {"_id": 5}, "stmtId": 0, )" NO_PREVIOUS);
  ASSERT_EQ(update.size(), 1u);
  auto after = apply_delta(bson::Document::from_json(R"({"_id": 5, "control": {"max": {"x": 2}}, "data": {"x": {"0": 1, "1": 2}}})"), update[0].o);
  EXPECT_EQ(bson::to_json(after), R"({ "_id" : 5, "control" : { "max" : { "x" : 3 } }, "data" : { "x" : { "0" : 1, "1" : 2, "2" : 3 } } })");
}

TEST_F(VersionsTest, Of50PreImagesAreNoOps) {
  EXPECT_EQ(tell(SESSION R"("txnNumber": 5, "op": "n", "ns": "d.c", "ui": %1, "o": {"_id": 1, "x": 1}, "stmtId": 0, )" NO_PREVIOUS), "");
  EXPECT_EQ(tell(SESSION R"("txnNumber": 5, "op": "d", "ns": "d.c", "ui": %1, "o": {"_id": 1}, "preImageOpTime": {"ts": {"$timestamp": {"t": 11, "i": 1}}, "t": 1}, "stmtId": 0, )" NO_PREVIOUS), R"(delete d.c { "_id" : 1 })");
}

TEST_F(VersionsTest, Of50APreparedTransaction) {
  EXPECT_EQ(tell(SESSION R"("txnNumber": 11, "op": "c", "ns": "admin.$cmd", "o": {"applyOps": [{"op": "i", "ns": "d.c", "ui": %1, "o": {"_id": 111}}], "prepare": true}, )" NO_PREVIOUS), "");
  EXPECT_EQ(tell(SESSION R"("txnNumber": 11, "op": "c", "ns": "admin.$cmd", "o": {"commitTransaction": 1, "commitTimestamp": {"$timestamp": {"t": 11, "i": 1}}}, )" PREVIOUS), R"(insert d.c { "_id" : 111 })");
  EXPECT_EQ(tell(SESSION R"("txnNumber": 12, "op": "c", "ns": "admin.$cmd", "o": {"applyOps": [{"op": "i", "ns": "d.c", "ui": %1, "o": {"_id": 112}}], "prepare": true}, )" NO_PREVIOUS), "");
  EXPECT_EQ(tell(SESSION R"("txnNumber": 12, "op": "c", "ns": "admin.$cmd", "o": {"abortTransaction": 1}, )" PREVIOUS), "");
  EXPECT_FALSE(assembler_.oldest_open(0));
}

TEST_F(VersionsTest, Of50ATransactionOver16MegabytesIsAChainThatEndsWithItsCount) {
  EXPECT_EQ(tell(SESSION R"("txnNumber": 15, "op": "c", "ns": "admin.$cmd", "o": {"applyOps": [{"op": "i", "ns": "d.c", "ui": %1, "o": {"_id": 400}}], "partialTxn": true}, )" NO_PREVIOUS), "");
  EXPECT_EQ(tell(SESSION R"("txnNumber": 15, "op": "c", "ns": "admin.$cmd", "o": {"applyOps": [{"op": "i", "ns": "d.c", "ui": %1, "o": {"_id": 401}}], "count": {"$numberLong": "2"}}, )" PREVIOUS),
            R"(insert d.c { "_id" : 400 }; insert d.c { "_id" : 401 })");
}

TEST_F(VersionsTest, Of50TheCommandApplyOpsStandsThereAsItWasSent) {
  constexpr auto kEnd = R"(, "lsid": {"id": %9}, "$clusterTime": {}, "$db": "admin"})";
  EXPECT_EQ(tell(std::string(R"("op": "c", "ns": "admin.$cmd", "o": {"applyOps": [{"op": "u", "ns": "d.c", "o2": {"_id": 1}, "o": {"$v": 1, "$set": {"w": 5}}, "ui": %1}, {"op": "d", "ns": "d.c", "o": {"_id": 2}, "ui": %1}])") + kEnd),
            R"(update d.c { "$v" : 1, "$set" : { "w" : 5 } }; delete d.c { "_id" : 2 })");
  EXPECT_EQ(tell(std::string(R"("op": "c", "ns": "admin.$cmd", "o": {"applyOps": [{"op": "i", "ns": "d.c", "o": {"_id": 3, "x": 1}, "ui": %1}])") + kEnd), R"(update d.c { "_id" : 3, "x" : 1 })")
      << "what is there already is replaced";
}

// ---- 7.0

TEST_F(VersionsTest, Of70PlainWritesComeInBatches) {
  EXPECT_EQ(tell(R"("op": "c", "ns": "admin.$cmd", "o": {"applyOps": [{"op": "d", "ns": "d.c", "ui": %1, "o": {"_id": 1}}, {"op": "d", "ns": "d.c", "ui": %1, "o": {"_id": 2}}]})"),
            R"(delete d.c { "_id" : 1 }; delete d.c { "_id" : 2 })");
}

TEST_F(VersionsTest, Of70ABatchOver16MegabytesHasNoSessionToHoldItBy) {
  EXPECT_EQ(tell(R"("op": "c", "ns": "admin.$cmd", "o": {"applyOps": [{"op": "d", "ns": "d.c", "ui": %1, "o": {"_id": 1}}], "partialTxn": true}, )" NO_PREVIOUS), R"(delete d.c { "_id" : 1 })");
  EXPECT_EQ(tell(R"("op": "c", "ns": "admin.$cmd", "o": {"applyOps": [{"op": "d", "ns": "d.c", "ui": %1, "o": {"_id": 2}}], "count": {"$numberLong": "2"}}, )" PREVIOUS), R"(delete d.c { "_id" : 2 })");
}

TEST_F(VersionsTest, Of70ImagesOfFindAndModifyAreElsewhere) {
  EXPECT_EQ(tell(SESSION R"("txnNumber": 3, "op": "d", "ns": "d.c", "ui": %1, "o": {"_id": 1}, "needsRetryImage": "preImage", "stmtId": 0, )" NO_PREVIOUS), R"(delete d.c { "_id" : 1 })");
}

TEST_F(ShardedVersionsTest, Of70MovePrimaryMarksTheOldPlacesDrop) {
  EXPECT_EQ(tell(R"("op": "c", "ns": "d.$cmd", "ui": %2, "o": {"create": "c", "idIndex": {"v": 2, "key": {"_id": 1}, "name": "_id_"}}, "fromMigrate": true)", 1), "");
  EXPECT_EQ(tell(R"("op": "i", "ns": "d.c", "ui": %2, "o": {"_id": 1}, "fromMigrate": true)", 1), "");
  EXPECT_EQ(tell(R"("op": "c", "ns": "d.$cmd", "ui": %1, "o": {"drop": "c"}, "o2": {"numRecords": 1}, "fromMigrate": true)"), "");
  EXPECT_EQ(tell(R"("op": "i", "ns": "d.c", "ui": %2, "o": {"_id": 2})", 1), R"(insert d.c { "_id" : 2 })");
}

// ---- 8.0 and what is known of later ones

TEST_F(VersionsTest, Of80APlainInsertOfManyIsOneEntry) {
  EXPECT_EQ(tell(R"("op": "c", "ns": "admin.$cmd", "o": {"applyOps": [{"op": "i", "ns": "d.c", "ui": %1, "o": {"_id": 1}, "o2": {"_id": 1}}, {"op": "i", "ns": "d.c", "ui": %1, "o": {"_id": 2}, "o2": {"_id": 2}}]})"),
            R"(insert d.c { "_id" : 1 }; insert d.c { "_id" : 2 })");
}

TEST_F(VersionsTest, Of80ARetryableInsertOfManyIsNoTransactionThoughItsEntriesAreLinked) {
  EXPECT_EQ(tell(SESSION R"("txnNumber": 1, "op": "c", "ns": "admin.$cmd", "o": {"applyOps": [{"op": "i", "ns": "d.c", "ui": %1, "o": {"_id": 1}, "stmtId": 0}, {"op": "i", "ns": "d.c", "ui": %1, "o": {"_id": 2}, "stmtId": 1}]}, "multiOpType": 1, )" NO_PREVIOUS),
            R"(insert d.c { "_id" : 1 }; insert d.c { "_id" : 2 })");
  auto second = logged(SESSION R"("txnNumber": 1, "op": "c", "ns": "admin.$cmd", "o": {"applyOps": [{"op": "i", "ns": "d.c", "ui": %1, "o": {"_id": 3}, "stmtId": 2}]}, "multiOpType": 1, )" PREVIOUS);
  assembler_.rebuild(0, second);
  EXPECT_FALSE(assembler_.oldest_open(0));
  EXPECT_EQ(text(assembler_.feed(0, second)), R"(insert d.c { "_id" : 3 })");
}

TEST_F(VersionsTest, Of80BucketsChangeByBytes) {
  auto update = ops(R"("op": "u", "ns": "d.c", "ui": %1, "o": {"$v": 2, "diff": {"sdata": {"b": {"x": {"o": 1, "d": {"$binary": {"base64": "//8=", "subType": "00"}}}}}}}, "o2": {"_id": 1}, "checkExistenceForDiffInsert": true)");
  ASSERT_EQ(update.size(), 1u);
  auto after = apply_delta(bson::Document::from_json(R"({"_id": 1, "data": {"x": {"$binary": {"base64": "AAAA", "subType": "07"}}}})"), update[0].o);
  EXPECT_EQ(bson::to_json(after), bson::to_json(bson::Document::from_json(R"({"_id": 1, "data": {"x": {"$binary": {"base64": "AP//", "subType": "07"}}}})")));
}

TEST_F(VersionsTest, OfLaterOnesWhatTheServerKeepsForItselfIsPassedOver) {
  EXPECT_EQ(tell(R"("op": "c", "ns": "d.$cmd", "ui": %2, "o": {"create": "e", "idIndex": {"v": 2, "key": {"_id": 1}, "name": "_id_"}},
      "o2": {"catalogId": {"$numberLong": "33"}, "ident": "collection-1", "idIndexIdent": "index-1", "directoryPerDB": false}, "versionContext": {"OFCV": "8.0"})"), "create d.e");
  EXPECT_EQ(tell(R"("op": "c", "ns": "d.$cmd", "ui": %2, "o": {"createIndexes": "e", "spec": {"v": 2, "key": {"a": 1}, "name": "a_1"}}, "o2": {"indexIdent": "index-2"})"), "createIndexes d.e a_1");
  EXPECT_EQ(tell(R"("op": "i", "ns": "d.e", "ui": %2, "o": {"_id": 1}, "o2": {"_id": 1}, "rid": {"$numberLong": "7"}, "fromTenantMigration": %7)"), R"(insert d.e { "_id" : 1 })");
  EXPECT_EQ(tell(R"("op": "c", "ns": "d.$cmd", "o": {"createDatabaseMetadata": "d", "db": {"_id": "d", "primary": "rs0"}})"), "");
  EXPECT_EQ(tell(R"("op": "c", "ns": "d.$cmd", "o": {"dropDatabaseMetadata": "d"})"), "");
}

TEST_F(VersionsTest, OfLaterOnesWhatIsNotKnownStopsByName) {
  for (const char* fields : {R"("op": "c", "ns": "d.$cmd", "ui": %1, "o": {"truncateRange": "d.c", "minRecordId": 1, "maxRecordId": 2})", R"("op": "c", "ns": "d.$cmd", "ui": %1, "o": {"importCollection": "d.c"})",
                             R"("op": "ci", "ns": "d.c", "container": "index-1", "o": {"k": 1, "v": 2})"}) {
    try {
      (void)tell(fields);
      FAIL() << fields;
    } catch (const Error& e) {
      EXPECT_EQ(e.remedy(), Remedy::pause) << e.what();
    }
  }
}

TEST_F(ShardedVersionsTest, Of80MoveCollectionIsAReshardingToOneShard) {
  EXPECT_EQ(tell(R"("op": "c", "ns": "d.$cmd", "ui": %2, "o": {"create": "system.resharding.01010101-0101-0101-0101-010101010101"})", 1), "");
  EXPECT_EQ(tell(R"("op": "i", "ns": "d.system.resharding.01010101-0101-0101-0101-010101010101", "ui": %2, "o": {"_id": 1})", 1), "");
  EXPECT_EQ(tell(R"("op": "c", "ns": "d.$cmd", "ui": %2, "o": {"renameCollection": "d.system.resharding.01010101-0101-0101-0101-010101010101", "to": "d.c", "stayTemp": false})", 1), "");
  EXPECT_EQ(tell(R"("op": "c", "ns": "d.$cmd", "ui": %1, "o": {"drop": "c"}, "o2": {"numRecords": 1}, "fromMigrate": true)"), "");
  EXPECT_EQ(tell(R"("op": "i", "ns": "d.c", "ui": %2, "o": {"_id": 2})", 1), R"(insert d.c { "_id" : 2 })");
}

}  // namespace
}  // namespace mongotwin::oplog
