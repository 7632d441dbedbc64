// SPDX-License-Identifier: Apache-2.0
#include "verify/fields.h"

#include <gtest/gtest.h>

#include "bson/document.h"

namespace mongotwin::verify {
namespace {

std::string difference(const char* source, const char* target) { return describe_difference(bson::Document::from_json(source), bson::Document::from_json(target)); }

TEST(DescribeDifference, says_nothing_of_equal_documents) { EXPECT_EQ(difference(R"({"_id": 1, "a": [1, {"b": 2}]})", R"({"_id": 1, "a": [1, {"b": 2}]})"), ""); }

TEST(DescribeDifference, names_fields_down_to_the_innermost) {
  EXPECT_EQ(difference(R"({"_id": 1, "a": [1, {"b": 2}]})", R"({"_id": 1, "a": [1, {"b": 3}]})"), "field a.1.b has another value");
  EXPECT_EQ(difference(R"({"_id": 1, "a": {"b": 2}})", R"({"_id": 1, "a": {"b": {"$numberLong": "2"}}})"), "field a.b is int on the source, long on the target");
  EXPECT_EQ(difference(R"({"_id": 1, "a": 2})", R"({"_id": 1, "b": 2})"), "field a is missing on the target; field b is only on the target");
}

TEST(DescribeDifference, sees_the_order_of_fields) {
  EXPECT_EQ(difference(R"({"_id": 1, "a": 1, "b": 2})", R"({"_id": 1, "b": 2, "a": 1})"), "the order of fields in the document");
  EXPECT_EQ(difference(R"({"_id": 1, "x": {"a": 1, "b": 2}})", R"({"_id": 1, "x": {"b": 2, "a": 1}})"), "the order of fields in x");
}

TEST(DescribeDifference, shows_no_values) { EXPECT_EQ(difference(R"({"secret": "hunter2"})", R"({"secret": "hunter3"})").find("hunter"), std::string::npos); }

TEST(DescribeDifference, a_name_that_comes_twice) {
  auto twice = [](int first) { return bson::Builder().int32("a", 1).int32("a", first).finish(); };
  EXPECT_EQ(describe_difference(twice(1), twice(2)), "the document in bytes that no field shows, such as a name that comes twice");
}

TEST(DescribeDifference, names_a_few) {
  bson::Builder many, none;
  for (int n = 0; n < 20; ++n) many.int32("f" + std::to_string(n), n);
  auto text = describe_difference(many.finish(), none.finish());
  EXPECT_NE(text.find("and 12 more"), std::string::npos) << text;
}

}  // namespace
}  // namespace mongotwin::verify
