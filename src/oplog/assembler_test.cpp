// SPDX-License-Identifier: Apache-2.0
#include "oplog/assembler.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "oplog/test_entries.h"

namespace mongotwin::oplog {
namespace {

using namespace testing;

std::string text(const std::vector<Op>& ops) {
  std::string out;
  for (const auto& op : ops) {
    if (!out.empty()) out += ", ";
    if (op.ddl) out += std::string(to_string(op.ddl->kind)) + " " + op.ddl->ns;
    else out += std::string(to_string(op.kind)) + " " + op.collection->ns + " " + bson::to_json(op.id());
  }
  return out;
}

std::vector<Op> feed(Assembler& assembler, ShardIndex shard, const Entry& entry) {
  auto ops = assembler.feed(shard, entry);
  while (assembler.has_more())
    for (auto& op : assembler.more()) ops.push_back(std::move(op));
  return ops;
}

constexpr auto kInsert1 = R"({"op": "i", "ns": "d.c", "ui": %1, "o": {"_id": 1}})";
constexpr auto kInsert2 = R"({"op": "i", "ns": "d.c", "ui": %1, "o": {"_id": 2}})";
constexpr auto kDelete1 = R"({"op": "d", "ns": "d.c", "ui": %1, "o": {"k": 5, "_id": 1}})";
constexpr auto kOutside = R"({"op": "i", "ns": "out.c", "ui": %2, "o": {"_id": 9}})";
constexpr auto kPrepare = R"(, "prepare": true)";
constexpr auto kPartial = R"(, "partialTxn": true)";

class AssemblerTest : public ::testing::Test {
 protected:
  Catalog catalog{NamespaceFilter({"d.*"}, {})};
  std::vector<Timestamp> listed_up_to{at(10), at(10)};
  Assembler assembler = make();

  Assembler make() { return {catalog, {"rs0", "rs1"}, listed_up_to}; }
  AssemblerTest() {
    for (ShardIndex s : {0u, 1u}) {
      catalog.add({s, "d.c", uuid(1), {}, {}, true});
      catalog.add({s, "out.c", uuid(2), {}, {}, true});
    }
  }
  static Entry part(std::uint32_t t, const std::string& ops, const std::string& flags, Timestamp previous = {}, const char* lsid = "s") {
    return apply_ops(at(t), ops, flags, {{}, false, lsid, previous});
  }
  static Entry decision(std::uint32_t t, const char* name, const char* lsid = "s") {
    return entry(at(t), "c", "admin.$cmd", {}, std::string("{\"") + name + "\": 1}", {{}, false, lsid, at(t - 1)});
  }
  static Entry write(std::uint32_t t, const char* op, int id, const std::string& o, const Extra& extra = {}) { return entry(at(t), op, "d.c", uuid(id), o, extra); }
};

// ---- single operations

TEST_F(AssemblerTest, WritesBecomeOperationsWithTheirDocumentKey) {
  auto update = feed(assembler, 0, write(11, "u", 1, R"({"$v": 2, "diff": {}})", {R"({"k": 5, "_id": 1})", false, {}, {}}));
  ASSERT_EQ(text(update), "update d.c 1");
  EXPECT_EQ(update[0].key["k"].integer(), 5);
  EXPECT_EQ(update[0].ts, at(11));
  EXPECT_EQ(text(feed(assembler, 0, write(12, "d", 1, R"({"k": 5, "_id": 1})"))), "delete d.c 1");
}

TEST_F(AssemblerTest, WhatTheBalancerCopiesOrClearsAwayIsSkipped) {
  EXPECT_EQ(text(feed(assembler, 1, write(11, "i", 1, R"({"_id": 1})", {{}, true, {}, {}}))), "");
  EXPECT_EQ(text(feed(assembler, 1, write(12, "i", 77, R"({"_id": 1})", {{}, true, {}, {}}))), "") << "its collection may be unknown";
}

TEST_F(AssemblerTest, UnknownCollectionIsOneDroppedBeforeTheListingOrStops) {
  EXPECT_EQ(text(feed(assembler, 0, write(10, "i", 77, R"({"_id": 1})"))), "");
  EXPECT_THROW((void)feed(assembler, 0, write(11, "i", 77, R"({"_id": 1})")), Error);
}

TEST_F(AssemblerTest, WriteOutsideTheFilterIsNotReplicated) {
  EXPECT_EQ(text(feed(assembler, 0, entry(at(11), "i", "out.c", uuid(2), R"({"_id": 1})"))), "");
}

TEST_F(AssemblerTest, InsertThatACappedCopyHoldsIsNotRepeated) {
  catalog.set_copied_up_to(uuid(1), at(20));
  EXPECT_EQ(text(feed(assembler, 0, write(20, "i", 1, R"({"_id": 1})"))), "");
  EXPECT_EQ(text(feed(assembler, 0, write(20, "d", 1, R"({"_id": 1})"))), "delete d.c 1");
  EXPECT_EQ(text(feed(assembler, 0, write(21, "i", 1, R"({"_id": 2})"))), "insert d.c 2");
}

TEST_F(AssemblerTest, DdlThatIsInTheListingIsNotRepeated) {
  auto before = command(at(10), "d", uuid(5), R"({"create": "e"})"), after = command(at(11), "d", uuid(5), R"({"create": "e"})");
  EXPECT_FALSE(assembler.is_barrier(0, before));
  EXPECT_EQ(text(feed(assembler, 0, before)), "");
  EXPECT_TRUE(assembler.is_barrier(0, after));
  EXPECT_EQ(text(feed(assembler, 0, after)), "create d.e");
}

// ---- transactions of one shard

TEST_F(AssemblerTest, TransactionOfOneEntryIsUnwrappedAndFilteredOneByOne) {
  auto ops = feed(assembler, 0, part(11, std::string(kInsert1) + "," + kOutside + "," + kInsert2, ""));
  EXPECT_EQ(text(ops), "insert d.c 1, insert d.c 2");
  EXPECT_TRUE(ops[0].in_transaction);
}

TEST_F(AssemblerTest, CollectionMadeInATransactionComesBeforeItsDocuments) {
  auto ops = feed(assembler, 0, part(11, R"({"op": "c", "ns": "d.$cmd", "ui": %5, "o": {"create": "e"}}, {"op": "i", "ns": "d.e", "ui": %5, "o": {"_id": 1}})", ""));
  EXPECT_EQ(text(ops), "create d.e, insert d.e 1");
}

TEST_F(AssemblerTest, ChainIsHeldUntilItsLastEntry) {
  EXPECT_EQ(text(feed(assembler, 0, part(11, kInsert1, kPartial))), "");
  EXPECT_EQ(assembler.oldest_open(0), at(11));
  EXPECT_FALSE(assembler.oldest_open(1));
  EXPECT_EQ(text(feed(assembler, 0, write(12, "d", 1, R"({"_id": 8})"))), "delete d.c 8") << "others go on meanwhile";
  auto ops = feed(assembler, 0, part(13, kInsert2, "", at(11)));
  EXPECT_EQ(text(ops), "insert d.c 1, insert d.c 2");
  EXPECT_EQ(ops[0].ts, at(13)) << "visible at the commit";
  EXPECT_FALSE(assembler.oldest_open(0));
}

TEST_F(AssemblerTest, ALargeTransactionIsGivenOutPartByPart) {
  for (const char* flags : {"", kPrepare}) {
    auto fresh = make();
    EXPECT_EQ(text(fresh.feed(0, part(11, kInsert1, kPartial))), "");
    EXPECT_EQ(text(fresh.feed(0, part(12, kInsert2, kPartial, at(11)))), "");
    auto ops = fresh.feed(0, part(13, kDelete1, flags, at(12)));
    if (*flags) ops = fresh.feed(0, decision(14, "commitTransaction"));
    EXPECT_EQ(text(ops), "insert d.c 1");
    ASSERT_TRUE(fresh.has_more());
    EXPECT_EQ(text(fresh.more()), "insert d.c 2");
    EXPECT_EQ(text(fresh.more()), "delete d.c 1");
    EXPECT_FALSE(fresh.has_more());
    EXPECT_FALSE(fresh.oldest_open(0));
  }
}

TEST_F(AssemblerTest, PartsOfOpenTransactionsAreKeptAsTheOwnerSays) {
  std::vector<std::uint32_t> kept;
  Assembler keeping(catalog, {"rs0", "rs1"}, listed_up_to, [&](bson::View part) {
    kept.push_back(part.size());
    return bson::Document::copy_of(part);
  });
  auto first = part(11, kInsert1, kPartial);
  (void)feed(keeping, 0, first);
  EXPECT_EQ(kept, std::vector{first.doc.size()});
}

TEST_F(AssemblerTest, ChainThatBeganBeforeTheStartAsksForANewCopy) {
  try {
    (void)feed(assembler, 0, part(13, kInsert2, "", at(9)));
    FAIL() << "half a transaction was given out";
  } catch (const Error& e) {
    EXPECT_EQ(e.remedy(), Remedy::resync);
  }
}

TEST_F(AssemblerTest, BatchOfRetryableWritesIsCompleteInItself) {
  EXPECT_EQ(text(feed(assembler, 0, apply_ops(at(13), kInsert1, "", {{}, false, "s", at(9), 1}))), "insert d.c 1");
}

TEST_F(AssemblerTest, PreparedTransactionWaitsForItsDecision) {
  EXPECT_EQ(text(feed(assembler, 0, part(11, kInsert1, kPrepare))), "");
  EXPECT_EQ(text(feed(assembler, 0, decision(13, "commitTransaction"))), "insert d.c 1");
  EXPECT_FALSE(assembler.oldest_open(0));
}

TEST_F(AssemblerTest, AbortedTransactionLeavesNothing) {
  (void)feed(assembler, 0, part(11, kInsert1, kPrepare));
  EXPECT_EQ(text(feed(assembler, 0, decision(13, "abortTransaction"))), "");
  EXPECT_FALSE(assembler.oldest_open(0));
}

TEST_F(AssemblerTest, NewTryUnderTheSameNumberReplacesWhatAnEarlierOneLeft) {
  (void)feed(assembler, 0, part(11, kInsert1, kPartial));
  (void)feed(assembler, 0, part(14, kInsert2, kPrepare));
  EXPECT_EQ(assembler.oldest_open(0), at(14));
  EXPECT_EQ(text(feed(assembler, 0, decision(15, "commitTransaction"))), "insert d.c 2");
}

TEST_F(AssemblerTest, CommitWithoutItsPrepareAsksForANewCopy) {
  try {
    (void)feed(assembler, 0, decision(13, "commitTransaction"));
    FAIL() << "a transaction was passed over";
  } catch (const Error& e) {
    EXPECT_EQ(e.remedy(), Remedy::resync);
  }
}

TEST_F(AssemblerTest, SessionsDoNotMix) {
  (void)feed(assembler, 0, part(11, kInsert1, kPrepare, {}, "a"));
  (void)feed(assembler, 0, part(12, kInsert2, kPrepare, {}, "b"));
  EXPECT_EQ(text(feed(assembler, 0, decision(13, "commitTransaction", "b"))), "insert d.c 2");
  EXPECT_EQ(assembler.oldest_open(0), at(11));
}

// ---- transactions of several shards

TEST_F(AssemblerTest, DistributedTransactionIsGivenOutOnceWholeAtItsFirstCommit) {
  (void)feed(assembler, 0, part(11, kInsert1, kPrepare));
  (void)feed(assembler, 1, part(12, kInsert2, kPrepare));
  auto ops = feed(assembler, 1, decision(14, "commitTransaction"));
  EXPECT_EQ(text(ops), "insert d.c 1, insert d.c 2");
  ASSERT_EQ(assembler.awaited_commits().size(), 1u);
  EXPECT_EQ(assembler.awaited_commits()[0].shard, 0u);
  EXPECT_FALSE(assembler.oldest_open(0)) << "its start is not needed any more";
  EXPECT_EQ(text(feed(assembler, 0, decision(15, "commitTransaction"))), "");
  EXPECT_TRUE(assembler.awaited_commits().empty());
}

TEST_F(AssemblerTest, DocumentMovedByItsShardKeyIsRemovedBeforeItIsInserted) {
  (void)feed(assembler, 0, part(11, kInsert1, kPrepare));
  (void)feed(assembler, 1, part(12, kDelete1, kPrepare));
  EXPECT_EQ(text(feed(assembler, 0, decision(14, "commitTransaction"))), "delete d.c 1, insert d.c 1");
}

TEST_F(AssemblerTest, ParticipantThatOnlyReadDoesNotDisturb) {
  (void)feed(assembler, 0, part(11, kInsert1, kPrepare));
  (void)feed(assembler, 1, part(12, "", kPrepare));
  EXPECT_EQ(text(feed(assembler, 1, decision(14, "commitTransaction"))), "insert d.c 1");
  EXPECT_EQ(text(feed(assembler, 0, decision(15, "commitTransaction"))), "");
}

// ---- restarts

TEST_F(AssemblerTest, RestartTakesUpOpenTransactionsAndForgetsDecidedOnes) {
  assembler.rebuild(0, part(11, kInsert1, kPartial, {}, "a"));
  assembler.rebuild(0, part(12, kInsert2, kPrepare, {}, "b"));
  assembler.rebuild(0, decision(13, "commitTransaction", "b"));
  EXPECT_EQ(assembler.oldest_open(0), at(11));
  EXPECT_EQ(text(feed(assembler, 0, part(14, kInsert2, kPrepare, at(11), "a"))), "");
  EXPECT_EQ(text(feed(assembler, 0, decision(15, "commitTransaction", "a"))), "insert d.c 1, insert d.c 2");
}

TEST_F(AssemblerTest, RestartBetweenTheCommitsOfADistributedTransactionGivesNothingOutTwice) {
  (void)feed(assembler, 0, part(11, kInsert1, kPrepare));
  (void)feed(assembler, 1, part(12, kInsert2, kPrepare));
  (void)feed(assembler, 1, decision(14, "commitTransaction"));
  auto again = make();
  again.restore_awaited(assembler.awaited_commits());
  again.rebuild(0, part(11, kInsert1, kPrepare));
  again.rebuild(1, part(12, kInsert2, kPrepare));
  again.rebuild(1, decision(14, "commitTransaction"));
  EXPECT_FALSE(again.oldest_open(0));
  EXPECT_EQ(text(feed(again, 0, decision(15, "commitTransaction"))), "");
  EXPECT_TRUE(again.awaited_commits().empty());
}

}  // namespace
}  // namespace mongotwin::oplog
