// SPDX-License-Identifier: Apache-2.0
#include "oplog/entry.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "oplog/test_entries.h"

namespace mongotwin::oplog {
namespace {

using namespace testing;

TEST(EntryTest, IsTakenApart) {
  auto e = entry(at(5, 2), "u", "d.c.e", uuid(7), R"({"$v": 2})", {R"({"k": 1, "_id": 3})", true, "session", at(4, 1)});
  EXPECT_EQ(e.ts, at(5, 2));
  EXPECT_EQ(e.op, EntryOp::update);
  EXPECT_EQ(e.database(), "d");
  EXPECT_EQ(e.collection(), "c.e");
  EXPECT_EQ(e.ui, uuid(7));
  EXPECT_EQ((*e.o2)["_id"].integer(), 3);
  EXPECT_TRUE(e.from_migrate);
  EXPECT_EQ(e.previous, at(4, 1));
  EXPECT_FALSE(e.transaction.empty());
}

TEST(EntryTest, TransactionsDifferBySessionAndByNumber) {
  auto of = [](const char* lsid) { return entry(at(1), "c", "admin.$cmd", {}, R"({"applyOps": []})", {{}, false, lsid, {}}).transaction; };
  EXPECT_EQ(of("one"), of("one"));
  EXPECT_NE(of("one"), of("two"));
  EXPECT_TRUE(entry(at(1), "c", "admin.$cmd", {}, R"({"applyOps": []})").transaction.empty());
}

TEST(EntryTest, NameWithoutACollectionHasNone) {
  auto e = entry(at(1), "n", "", {}, "{}");
  EXPECT_EQ(e.database(), "");
  EXPECT_EQ(e.collection(), "");
}

TEST(EntryTest, CommandIsTheFirstField) {
  EXPECT_EQ(command(at(1), "d", {}, R"({"drop": "c", "create": "x"})").command(), "drop");
  EXPECT_EQ(command(at(1), "d", {}, "{}").command(), "");
}

TEST(EntryTest, UnknownKindAndMissingPositionStopByName) {
  try {
    (void)entry(at(1), "x", "d.c", {}, "{}");
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.remedy(), Remedy::pause);
    EXPECT_NE(std::string(e.what()).find("\"x\""), std::string::npos) << e.what();
  }
  EXPECT_THROW((void)entry({}, "i", "d.c", {}, "{}"), Error);
  EXPECT_THROW((void)parse_entry(bson::Builder().int32("op", 1).timestamp("ts", at(1)).finish()), Error);
}

TEST(EntryTest, InnerOperationHasThePositionOfTheOuterOneAndKeepsItsBytes) {
  Entry inner;
  {
    auto outer = apply_ops(at(9), R"({"op": "i", "ns": "d.c", "ui": %3, "o": {"_id": 1}})", "", {});
    inner = parse_inner(outer, *outer.o.fields("applyOps").begin()->document());
  }
  EXPECT_EQ(inner.ts, at(9));
  EXPECT_EQ(inner.ui, uuid(3));
  EXPECT_EQ(inner.o["_id"].integer(), 1);
}

TEST(UuidTest, OnlyABinaryOfSubtypeFourIsOne) {
  auto holder = bson::Builder().uuid("u", uuid(0xab).view()).string("s", "0123456789abcdef").finish();
  EXPECT_EQ(Uuid::from(holder["u"]), uuid(0xab));
  EXPECT_FALSE(Uuid::from(holder["s"]));
  EXPECT_FALSE(Uuid::from(holder["missing"]));
  EXPECT_EQ(uuid(0xab).to_string(), "abababab-abab-abab-abab-abababababab");
}

}  // namespace
}  // namespace mongotwin::oplog
