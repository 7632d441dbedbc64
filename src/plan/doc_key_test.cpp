// SPDX-License-Identifier: Apache-2.0
#include "plan/doc_key.h"

#include <gtest/gtest.h>

#include <limits>

#include "bson/document.h"

namespace mongotwin::plan {
namespace {

std::uint64_t hash(const char* json, std::uint64_t seed = 1) { return hash_id(bson::Document::from_json(json)["_id"], seed); }

TEST(DocKeyTest, NumbersThatTheServerHoldsEqualAreOneDocument) {
  auto one = hash(R"({"_id": {"$numberInt": "1"}})");
  EXPECT_EQ(hash(R"({"_id": {"$numberLong": "1"}})"), one);
  EXPECT_EQ(hash(R"({"_id": {"$numberDouble": "1.0"}})"), one);
  EXPECT_EQ(hash(R"({"_id": {"$numberDecimal": "1.000"}})"), one);
  EXPECT_NE(hash(R"({"_id": {"$numberInt": "2"}})"), one);
}

TEST(DocKeyTest, ZeroHasNoSignAndNaNIsOneValue) {
  EXPECT_EQ(hash(R"({"_id": {"$numberDouble": "-0.0"}})"), hash(R"({"_id": {"$numberInt": "0"}})"));
  EXPECT_EQ(hash(R"({"_id": {"$numberDouble": "NaN"}})"), hash(R"({"_id": {"$numberDecimal": "NaN"}})"));
  EXPECT_EQ(hash(R"({"_id": {"$numberDouble": "Infinity"}})"), hash(R"({"_id": {"$numberDecimal": "Infinity"}})"));
}

TEST(DocKeyTest, NumbersInsideAnIdAreComparedTheSameWay) {
  EXPECT_EQ(hash(R"({"_id": {"a": {"$numberInt": "1"}, "b": [{"$numberLong": "2"}]}})"), hash(R"({"_id": {"a": {"$numberDouble": "1.0"}, "b": [{"$numberInt": "2"}]}})"));
}

TEST(DocKeyTest, FieldOrderAndNamesOfAnIdCount) {
  EXPECT_NE(hash(R"({"_id": {"a": 1, "b": 2}})"), hash(R"({"_id": {"b": 2, "a": 1}})"));
  EXPECT_NE(hash(R"({"_id": {"a": 1}})"), hash(R"({"_id": {"b": 1}})"));
}

TEST(DocKeyTest, SymbolIsTheStringOfItsName) {
  EXPECT_EQ(hash(R"({"_id": {"$symbol": "x"}})"), hash(R"({"_id": "x"})"));
  EXPECT_NE(hash(R"({"_id": {"$code": "x"}})"), hash(R"({"_id": "x"})"));
}

TEST(DocKeyTest, CollectionsDiffer) { EXPECT_NE(hash(R"({"_id": 1})", 1), hash(R"({"_id": 1})", 2)); }

TEST(DocKeyTest, SuccessiveIdsSpreadOverLanes) {
  std::vector<int> lanes(8);
  for (int n = 0; n < 8000; ++n) ++lanes[hash_id(bson::Builder().int32("_id", n).finish()["_id"], 1) % 8];
  for (int n : lanes) EXPECT_NEAR(n, 1000, 200);
}

}  // namespace
}  // namespace mongotwin::plan
