// SPDX-License-Identifier: Apache-2.0
#include "plan/batch.h"

#include <gtest/gtest.h>

#include "plan/doc_key.h"

namespace mongotwin::plan {
namespace {

using oplog::Op;
using oplog::OpKind;

class BatchTest : public ::testing::Test {
 protected:
  oplog::CollectionRef plain = std::make_shared<oplog::Collection>(oplog::Collection{1, "d.c"});
  oplog::CollectionRef capped = std::make_shared<oplog::Collection>(oplog::Collection{2, "d.cap", true, true});
  std::uint32_t now = 0;

  Op op(OpKind kind, const char* o, const char* key = nullptr, oplog::CollectionRef where = nullptr) {
    Op out{};
    out.kind = kind;
    out.collection = where ? where : plain;
    out.ts = {++now, 1};
    auto both = std::make_shared<bson::Document>(bson::Builder().document("o", bson::Document::from_json(o)).document("k", bson::Document::from_json(key ? key : o)).finish());
    out.doc = *both;
    out.o = both->view().fields("o");
    out.key = both->view().fields("k");
    return out;
  }
  Op insert(const char* o) { return op(OpKind::insert, o); }
  Op remove(const char* o) { return op(OpKind::remove, o); }
  Op set(const char* value, const char* id = R"({"_id": 1})") { return op(OpKind::update, (std::string(R"({"$v": 2, "diff": {"u": {"a": )") + value + "}}}").c_str(), id); }
  Op replace(const char* o) { return op(OpKind::update, o); }
  DocWrite folded(std::vector<Op> ops) {
    auto w = to_write(ops.front());
    for (std::size_t n = 1; n < ops.size(); ++n) EXPECT_TRUE(fold(w, ops[n]));
    return w;
  }
  static std::string json(const bson::Document& d) { return bson::to_json(d.view()); }
};

TEST_F(BatchTest, InsertAndItsUpdatesAreOneInsert) {
  auto w = folded({insert(R"({"_id": 1, "a": 1})"), set("2"), set("3")});
  EXPECT_EQ(w.kind, WriteKind::put);
  EXPECT_TRUE(w.fresh);
  EXPECT_EQ(json(w.doc), R"({ "_id" : 1, "a" : 3 })");
  EXPECT_EQ(w.ops, 3u);
  EXPECT_EQ(w.ts, (oplog::Timestamp{3, 1}));
}

TEST_F(BatchTest, UpdatesAreKeptInOrder) {
  auto w = folded({set("2"), set("3")});
  EXPECT_EQ(w.kind, WriteKind::patch);
  ASSERT_EQ(w.deltas.size(), 2u);
  EXPECT_LT(w.deltas[0].ts, w.deltas[1].ts);
}

TEST_F(BatchTest, ReplacementMakesWhatCameBeforeVoid) {
  auto w = folded({set("2"), replace(R"({"_id": 1, "b": 1})")});
  EXPECT_EQ(w.kind, WriteKind::put);
  EXPECT_FALSE(w.fresh) << "the document was there";
  EXPECT_TRUE(w.deltas.empty());
  EXPECT_EQ(json(w.doc), R"({ "_id" : 1, "b" : 1 })");
}

TEST_F(BatchTest, WhatWasInsertedAndRemovedMayBeAbsent) {
  auto w = folded({insert(R"({"_id": 1})"), remove(R"({"_id": 1})")});
  EXPECT_EQ(w.kind, WriteKind::remove);
  EXPECT_TRUE(w.may_be_absent);
  EXPECT_FALSE(folded({set("1"), remove(R"({"_id": 1})")}).may_be_absent);
}

TEST_F(BatchTest, RemovedAndInsertedAgainIsNotFresh) {
  auto w = folded({remove(R"({"_id": 1})"), insert(R"({"_id": 1, "a": 5})"), set("6")});
  EXPECT_EQ(w.kind, WriteKind::put);
  EXPECT_FALSE(w.fresh);
  EXPECT_EQ(json(w.doc), R"({ "_id" : 1, "a" : 6 })");
}

TEST_F(BatchTest, KeyIsThatOfTheDocumentBeforeTheEpoch) {
  auto w = folded({op(OpKind::update, R"({"$v": 2, "diff": {"u": {"k": 2}}})", R"({"k": 1, "_id": 1})"), op(OpKind::update, R"({"$v": 2, "diff": {"u": {"k": 3}}})", R"({"k": 2, "_id": 1})")});
  EXPECT_EQ(w.key["k"].integer(), 1);
}

TEST_F(BatchTest, IdsThatAreEqualButNotTheSameBytesAreNotFolded) {
  auto w = to_write(insert(R"({"_id": {"$numberInt": "1"}})"));
  EXPECT_FALSE(fold(w, remove(R"({"_id": {"$numberDouble": "1.0"}})")));
}

// ---- rounds

std::uint64_t hash(const Op& o) { return hash_id(o.id(), o.collection->id); }

TEST_F(BatchTest, OneDocumentIsOneWriteAndOthersStandBesideIt) {
  BatchBuilder b;
  for (const auto& o : {insert(R"({"_id": 1})"), insert(R"({"_id": 2})"), set("2")}) b.add(o, hash(o));
  auto batch = b.take(7, true);
  EXPECT_EQ(batch.epoch, 7u);
  EXPECT_TRUE(batch.tolerant);
  EXPECT_EQ(batch.ops, 3u);
  ASSERT_EQ(batch.rounds.size(), 1u);
  EXPECT_EQ(batch.rounds[0].size(), 2u);
  EXPECT_TRUE(b.empty());
}

TEST_F(BatchTest, WhatCanNotBeFoldedFollowsInALaterRound) {
  BatchBuilder b;
  for (const auto& o : {insert(R"({"_id": {"$numberInt": "1"}})"), remove(R"({"_id": {"$numberDouble": "1.0"}})"), insert(R"({"_id": {"$numberLong": "1"}})")}) b.add(o, hash(o));
  auto batch = b.take(1, false);
  ASSERT_EQ(batch.rounds.size(), 3u);
  EXPECT_EQ(batch.rounds[1][0].kind, WriteKind::remove);
}

TEST_F(BatchTest, CappedCollectionKeepsEveryWriteInOrder) {
  BatchBuilder b;
  for (int n = 0; n < 3; ++n) {
    auto o = op(OpKind::insert, R"({"_id": 1})", nullptr, capped);
    b.add(o, hash(o));
    auto d = op(OpKind::remove, R"({"_id": 1})", nullptr, capped);
    b.add(d, hash(d));
  }
  std::string order;
  for (const auto& round : b.take(1, false).rounds)
    for (const auto& w : round) order += w.kind == WriteKind::put ? 'i' : 'd';
  EXPECT_EQ(order, "ididid");
}

TEST_F(BatchTest, BatchStartsAnewAfterItWasTaken) {
  BatchBuilder b;
  auto first = insert(R"({"_id": 1})"), second = set("2");
  b.add(first, hash(first));
  (void)b.take(1, false);
  b.add(second, hash(second));
  auto batch = b.take(2, false);
  ASSERT_EQ(batch.rounds.size(), 1u);
  EXPECT_EQ(batch.rounds[0][0].kind, WriteKind::patch) << "folded onto a write that has left already";
}

}  // namespace
}  // namespace mongotwin::plan
