// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <limits>

#include "bson/document.h"

namespace mongotwin::bson {
namespace {

Document json(const char* text) { return Document::from_json(text); }

// ---- Builder

TEST(BuilderTest, WritesWhatTheSpecificationSays) {
  auto doc = Builder().int32("a", 1).string("s", "x").open_document("o").boolean("b", true).close().open_array("l").null("0").close().finish();
  const std::string expected{"\x2c\0\0\0" "\x10" "a\0\1\0\0\0" "\x02" "s\0\2\0\0\0x\0" "\x03" "o\0\x09\0\0\0\x08" "b\0\1\0" "\x04" "l\0\x08\0\0\0\x0a" "0\0\0" "\0", 44};
  EXPECT_EQ(doc.view().bytes(), expected);
}

TEST(BuilderTest, FinishClosesWhatIsOpenAndLeavesAnEmptyBuilder) {
  Builder b;
  b.open_document("a").open_array("b").int32("0", 7);
  EXPECT_EQ(b.finish(), json(R"({"a": {"b": [7]}})"));
  EXPECT_EQ(b.int32("again", 1).finish(), json(R"({"again": 1})"));
}

TEST(BuilderTest, ArrayUnderAnEmptyKeyIsAnArray) {
  auto doc = Builder().open_array("").int32("0", 1).close().finish();
  EXPECT_TRUE(doc[""].is_array());
}

TEST(BuilderTest, TakesElementsOverByteForByte) {
  auto from = json(R"({"d": {"$numberDecimal": "1.10"}, "r": {"$regularExpression": {"pattern": "a", "options": "i"}}, "m": {"$minKey": 1}, "b": {"$binary": {"base64": "AAEC", "subType": "80"}}})");
  Builder same, renamed;
  for (const auto& e : from) {
    same.element(e);
    renamed.value(std::string(e.key()) + "2", e);
  }
  EXPECT_EQ(same.finish(), from);
  auto other = renamed.finish();
  EXPECT_TRUE(other["d2"].same_value(from["d"]));
  EXPECT_TRUE(other["r2"].same_value(from["r"]));
  EXPECT_EQ(Builder().fields_of(from).finish(), from);
}

// ---- View and Element

TEST(ViewTest, EveryTypeIsSteppedOver) {
  auto doc = json(R"({"a": 1.5, "b": "x", "c": {"y": 1}, "d": [1], "e": {"$binary": {"base64": "AA==", "subType": "00"}}, "f": {"$undefined": true},
    "g": {"$oid": "0123456789abcdef01234567"}, "h": true, "i": {"$date": {"$numberLong": "5"}}, "j": null, "k": {"$regularExpression": {"pattern": "p", "options": "i"}},
    "l": {"$dbPointer": {"$ref": "r", "$id": {"$oid": "0123456789abcdef01234567"}}}, "m": {"$code": "f"}, "n": {"$symbol": "s"}, "o": {"$code": "f", "$scope": {"z": 1}}, "p": 7,
    "q": {"$timestamp": {"t": 3, "i": 4}}, "r": {"$numberLong": "8"}, "s": {"$numberDecimal": "1"}, "t": {"$minKey": 1}, "u": {"$maxKey": 1}, "end": 9})");
  std::string keys;
  for (const auto& e : doc) keys += e.key();
  EXPECT_EQ(keys, "abcdefghijklmnopqrstuend");
  EXPECT_EQ(doc["end"].integer(), 9);
  EXPECT_EQ(doc["q"].timestamp(), (Timestamp{3, 4}));
  EXPECT_EQ(doc["i"].date_ms(), 5);
}

TEST(ViewTest, NameIsExactAndTheFirstOneWins) {
  auto doc = Builder().int32("a.b", 1).int32("a", 2).int32("a", 3).int32("", 4).finish();
  EXPECT_EQ(doc["a.b"].integer(), 1);
  EXPECT_EQ(doc["a"].integer(), 2);
  EXPECT_EQ(doc[""].integer(), 4);
  EXPECT_FALSE(doc["b"]);
}

TEST(ViewTest, PathGoesThroughObjectsButNotThroughArrays) {
  auto doc = json(R"({"a": {"b": {"c": 1}, "l": [{"c": 2}]}})");
  EXPECT_EQ(doc.view().at_path("a.b.c").integer(), 1);
  EXPECT_FALSE(doc.view().at_path("a.l.c"));
  EXPECT_FALSE(doc.view().at_path("a.l.0"));
  EXPECT_FALSE(doc.view().at_path("a.x.c"));
  EXPECT_TRUE(doc.view().at_path("a").is_object());
}

TEST(ElementTest, MissingFieldHasNoTypeAndNoValue) {
  Element none;
  EXPECT_FALSE(none);
  EXPECT_FALSE(none.integer());
  EXPECT_FALSE(none.string());
  EXPECT_FALSE(none.truthy());
  EXPECT_TRUE(none.fields().empty());
}

TEST(ElementTest, IntegerComesFromEveryWholeNumber) {
  auto doc = Builder().int32("i", -1).int64("l", 1LL << 40).number("d", 3.0).number("half", 0.5).number("huge", 1e300).number("nan", std::numeric_limits<double>::quiet_NaN()).string("s", "1").finish();
  EXPECT_EQ(doc["i"].integer(), -1);
  EXPECT_EQ(doc["l"].integer(), 1LL << 40);
  EXPECT_EQ(doc["d"].integer(), 3);
  for (const char* name : {"half", "huge", "nan", "s"}) EXPECT_FALSE(doc[name].integer()) << name;
}

TEST(ElementTest, TruthIsTheServersForFlags) {
  auto doc = json(R"({"t": true, "f": false, "one": 1, "zero": 0, "d": 0.1, "s": "true", "n": null})");
  for (const char* name : {"t", "one", "d"}) EXPECT_TRUE(doc[name].truthy()) << name;
  for (const char* name : {"f", "zero", "s", "n"}) EXPECT_FALSE(doc[name].truthy()) << name;
}

TEST(ElementTest, SameValueMeansTypeAndBytes) {
  auto doc = Builder().int32("i", 1).number("d", 1).int32("j", 1).number("zero", 0.0).number("minus", -0.0).finish();
  EXPECT_TRUE(doc["i"].same_value(doc["j"]));
  EXPECT_FALSE(doc["i"].same_value(doc["d"]));
  EXPECT_FALSE(doc["zero"].same_value(doc["minus"]));
}

TEST(ElementTest, StringMayHoldANullCharacter) {
  auto doc = Builder().string("s", std::string_view("a\0b", 3)).finish();
  EXPECT_EQ(doc["s"].string(), std::string_view("a\0b", 3));
}

// ---- Document

TEST(DocumentTest, PartKeepsTheWholeAliveAndDetachedHasItsOwnBytes) {
  Document part, own;
  {
    auto whole = std::make_shared<Document>(json(R"({"reply": {"x": 1}})"));
    part = Document(whole, whole->view().fields("reply"));
    own = part.detached();
  }
  EXPECT_EQ(part["x"].integer(), 1);
  EXPECT_EQ(own, part);
  EXPECT_NE(own.view().data(), part.view().data());
}

TEST(DocumentTest, DefaultIsTheEmptyDocument) {
  Document d;
  EXPECT_TRUE(d.empty());
  EXPECT_EQ(d, Builder().finish());
  EXPECT_EQ(d.size(), 5u);
}

// ---- input from outside

TEST(ValidateTest, BrokenBytesAreRefused) {
  auto good = json(R"({"a": {"b": "text"}, "c": [1, 2]})");
  auto* data = good.view().data();
  ASSERT_TRUE(validate(data, good.size()));
  for (std::size_t size = 0; size < good.size(); ++size) EXPECT_FALSE(validate(data, size)) << size;
  std::vector<std::uint8_t> longer(data, data + good.size());
  longer.push_back(0);
  EXPECT_FALSE(validate(longer.data(), longer.size()));
  std::vector<std::uint8_t> unknown_type(data, data + good.size());
  unknown_type[4] = 0x55;
  EXPECT_FALSE(validate(unknown_type.data(), unknown_type.size()));
  std::vector<std::uint8_t> inner_length(data, data + good.size());
  inner_length[7] = 0xff;
  EXPECT_FALSE(validate(inner_length.data(), inner_length.size()));
}

TEST(JsonTest, IsCutToItsLimitAndSaysSo) {
  auto doc = Builder().string("s", std::string(1000, 'x')).finish();
  EXPECT_LT(to_json(doc.view(), 50).size(), 60u);
  EXPECT_TRUE(to_json(doc.view(), 50).ends_with("…"));
  EXPECT_EQ(to_json(json(R"({"_id": {"a": 1}})")["_id"]), R"({ "a" : 1 })");
  EXPECT_EQ(to_json(Element()), "(none)");
}

}  // namespace
}  // namespace mongotwin::bson
