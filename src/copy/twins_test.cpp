// SPDX-License-Identifier: Apache-2.0
#include "copy/twins.h"

#include <gtest/gtest.h>

namespace mongotwin::copy {
namespace {

bson::Document id(const std::string& json) { return bson::Document::from_json(R"({"_id": )" + json + "}"); }
std::uint64_t print(const std::string& json) { return fingerprint(id(json)["_id"]); }

TEST(Fingerprint, IsTheSameForEqualValuesOfAnyNumericType) {
  EXPECT_EQ(print("1"), print(R"({"$numberLong": "1"})"));
  EXPECT_EQ(print("1"), print(R"({"$numberDouble": "1.0"})"));
  EXPECT_EQ(print("1"), print(R"({"$numberDecimal": "1.00"})"));
  EXPECT_EQ(print("1.5"), print(R"({"$numberDecimal": "1.5"})"));
  EXPECT_EQ(print("1.5"), print(R"({"$numberDecimal": "1.50"})"));
  EXPECT_EQ(print(R"({"$numberDouble": "-0.0"})"), print("0"));
  EXPECT_EQ(print(R"({"$numberLong": "1541815603606036481"})"), print(R"({"$numberDecimal": "1541815603606036481"})"));
  EXPECT_EQ(print(R"({"$numberLong": "1000000000000000000"})"), print(R"({"$numberDecimal": "1E+18"})"));
}

TEST(Fingerprint, TellsValuesApartThatADoubleDoesNot) {
  EXPECT_NE(print(R"({"$numberLong": "1541815603606036480"})"), print(R"({"$numberLong": "1541815603606036481"})"));
  EXPECT_NE(print("1"), print("1.5"));
  EXPECT_NE(print("1"), print(R"("1")"));
}

TEST(SeenIds, TakesEachValueOnce) {
  for (bool exact : {false, true}) {
    SeenIds seen;
    seen.begin(exact);
    EXPECT_TRUE(seen.take(id("1.5")["_id"]));
    EXPECT_TRUE(seen.take(id("1")["_id"]));
    EXPECT_FALSE(seen.take(id(R"({"$numberDecimal": "1.5"})")["_id"]));
    seen.begin(exact);
    EXPECT_TRUE(seen.take(id("1.5")["_id"]));
  }
}

TEST(SeenIds, ExactTellsApartWhatHasOneFingerprint) {
  auto one = id(R"({"a": {"$numberLong": "1541815603606036480"}})"), other = id(R"({"a": {"$numberLong": "1541815603606036481"}})");
  ASSERT_EQ(fingerprint(one["_id"]), fingerprint(other["_id"]));
  SeenIds seen;
  seen.begin(true);
  EXPECT_TRUE(seen.take(one["_id"]));
  EXPECT_TRUE(seen.take(other["_id"]));
  EXPECT_FALSE(seen.take(one["_id"]));
}

}  // namespace
}  // namespace mongotwin::copy
