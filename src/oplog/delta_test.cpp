// SPDX-License-Identifier: Apache-2.0
#include "oplog/delta.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace mongotwin::oplog {
namespace {

using bson::Document;
using bson::to_json;

Document j(const std::string& json) { return Document::from_json(json); }

// Applies, and once more: an entry on its own result must change nothing.
std::string applied(const std::string& before, const std::string& o) {
  auto once = apply_delta(j(before), j(o));
  EXPECT_EQ(apply_delta(once, j(o)), once) << o;
  return to_json(once, 4000);
}

#define EXPECT_APPLIED(before, o, after) EXPECT_EQ(applied(before, o), to_json(j(after), 4000))

void expect_not_understood(const std::string& o, const std::string& named) {
  try {
    (void)apply_delta(j("{\"_id\": 1, \"a\": {\"x\": 1}, \"l\": [1]}"), j(o));
    FAIL() << o;
  } catch (const Error& e) {
    EXPECT_EQ(e.remedy(), Remedy::pause);
    EXPECT_NE(std::string(e.what()).find(named), std::string::npos) << e.what();
  }
}

std::string updates(const std::string& o) {
  auto update = as_update(j(o));
  if (!update) return "none";
  return (update->form == Update::Form::pipeline ? "pipeline " : "") + to_json(update->document, 4000);
}

TEST(Classify, TellsTheKindsApart) {
  EXPECT_EQ(classify(j(R"({"$v": 2, "diff": {"u": {"a": 1}}})")), UpdateKind::delta_v2);
  EXPECT_EQ(classify(j(R"({"$v": 1, "$set": {"a": 1}})")), UpdateKind::delta_v1);
  EXPECT_EQ(classify(j(R"({"$v": 1, "$unset": {"a": true}, "$set": {"b": 1}})")), UpdateKind::delta_v1);
  EXPECT_EQ(classify(j(R"({"$set": {"a": 1}})")), UpdateKind::delta_v1);
  EXPECT_EQ(classify(j(R"({"_id": 1, "a": 1})")), UpdateKind::replacement);
  EXPECT_EQ(classify(j(R"({"a": 1, "_id": 1})")), UpdateKind::replacement);
}

TEST(Classify, AnIdMakesItAReplacementWhateverElseThereIs) {
  EXPECT_EQ(classify(j(R"({"_id": 1, "$v": 2, "diff": {"u": {"a": 1}}})")), UpdateKind::replacement);
  EXPECT_EQ(classify(j(R"({"$set": {"a": 1}, "_id": 1})")), UpdateKind::replacement);
}

TEST(Classify, NamesWhatItDoesNotKnow) {
  expect_not_understood(R"({"$v": 3, "diff": {"u": {"a": 1}}})", "$v: 3");
  expect_not_understood(R"({"$v": 2, "patch": {}})", "patch");
  expect_not_understood(R"({"$v": 2})", "no diff");
  expect_not_understood(R"({"$v": 1, "$inc": {"a": 1}})", "$inc");
  expect_not_understood(R"({"a": 1})", "neither");
  expect_not_understood(R"({})", "neither");
  expect_not_understood(R"({"$v": 2, "diff": {"q": {"a": 1}}})", "section 'q'");
  expect_not_understood(R"({"$v": 2, "diff": {"sa": {"x": {"a": 1}}}})", "section 'x'");
  expect_not_understood(R"({"$v": 2, "diff": {"i": {"z": 1}, "u": {"a": 1}}})", "section 'u'");
  expect_not_understood(R"({"$v": 2, "diff": {"u": {"a": 1}, "i": {"a": 1}}})", "'a' twice");
  expect_not_understood(R"({"$v": 2, "diff": {"u": {"a": 1, "a": 2}}})", "'a' twice");
  expect_not_understood(R"({"$v": 2, "diff": {"sl": {"a": true, "d0": false}}})", "'d0'");
  expect_not_understood(R"({"$v": 2, "diff": {"sl": {"a": true, "ux": 1}}})", "'ux'");
  expect_not_understood(R"({"$v": 2, "diff": {"sl": {"a": true, "u2": 1, "u1": 1}}})", "out of order");
  expect_not_understood(R"({"$v": 2, "diff": {"sl": {"a": true, "l": 1, "u1": 1}}})", "new length");
  expect_not_understood(R"({"$v": 2, "diff": {}})", "empty");
  expect_not_understood(R"({"_id": 1})", "whole document");
}

TEST(ApplyV2, KeepsPlaceOnUpdateAndMovesToTheEndOnInsert) {
  EXPECT_APPLIED(R"({"_id": 1, "a": 1, "b": 2, "c": 3})", R"({"$v": 2, "diff": {"u": {"a": "x"}}})",
                 R"({"_id": 1, "a": "x", "b": 2, "c": 3})");
  EXPECT_APPLIED(R"({"_id": 1, "a": 1, "b": 2, "c": 3})", R"({"$v": 2, "diff": {"i": {"a": 9}}})",
                 R"({"_id": 1, "b": 2, "c": 3, "a": 9})");
  EXPECT_APPLIED(R"({"_id": 1, "b": 2})", R"({"$v": 2, "diff": {"u": {"z": 1, "b": 3}, "i": {"y": 1, "a": 2}}})",
                 R"({"_id": 1, "b": 3, "z": 1, "y": 1, "a": 2})");
  EXPECT_APPLIED(R"({"_id": 1, "a": 1, "b": 2, "c": 3})", R"({"$v": 2, "diff": {"d": {"b": false, "gone": false}}})",
                 R"({"_id": 1, "a": 1, "c": 3})");
}

TEST(ApplyV2, SubDiffsOfObjects) {
  EXPECT_APPLIED(R"({"_id": 1, "a": {"b": {"c": 1, "d": 2}, "e": 1}, "z": 0})",
                 R"({"$v": 2, "diff": {"sa": {"d": {"e": false}, "sb": {"u": {"c": 5}, "i": {"n": 1}}}}})",
                 R"({"_id": 1, "a": {"b": {"c": 5, "d": 2, "n": 1}}, "z": 0})");
}

TEST(ApplyV2, TheIdStaysFirst) {
  EXPECT_APPLIED(R"({"_id": 1, "a": 1})", R"({"$v": 2, "diff": {"i": {"b": 1, "_id": 1, "c": 1}}})", R"({"_id": 1, "a": 1, "b": 1, "c": 1})");
  EXPECT_APPLIED(R"({"_id": 1, "a": 1})", R"({"$v": 2, "diff": {"d": {"_id": false, "a": false}}})", R"({"_id": 1})");
}

TEST(ApplyV2, NamesThatPathsCantHold) {
  EXPECT_APPLIED(R"({"_id": 1})", R"({"$v": 2, "diff": {"i": {"do.t": 1, "": 2, "$x": 3}}})",
                 R"({"_id": 1, "do.t": 1, "": 2, "$x": 3})");
  EXPECT_APPLIED(R"({"_id": 1, "n": {"0": {"p": 1}}})", R"({"$v": 2, "diff": {"sn": {"s0": {"u": {"p": 2}}}}})",
                 R"({"_id": 1, "n": {"0": {"p": 2}}})");
  EXPECT_APPLIED(R"({"_id": 1, "": {"p": 1}, "ss": 1})", R"({"$v": 2, "diff": {"u": {"ss": 2}, "s": {"u": {"p": 2}}}})",
                 R"({"_id": 1, "": {"p": 2}, "ss": 2})");
}

TEST(ApplyV2, Arrays) {
  EXPECT_APPLIED(R"({"_id": 1, "l": [1, 2, 3]})", R"({"$v": 2, "diff": {"sl": {"a": true, "l": 2}}})", R"({"_id": 1, "l": [1, 2]})");
  EXPECT_APPLIED(R"({"_id": 1, "l": [1, 2, 3]})", R"({"$v": 2, "diff": {"sl": {"a": true, "l": 2, "u0": 9}}})",
                 R"({"_id": 1, "l": [9, 2]})");
  EXPECT_APPLIED(R"({"_id": 1, "l": [1]})", R"({"$v": 2, "diff": {"sl": {"a": true, "u1": 2, "u4": 5}}})",
                 R"({"_id": 1, "l": [1, 2, null, null, 5]})");
  EXPECT_APPLIED(R"({"_id": 1, "l": [1]})", R"({"$v": 2, "diff": {"sl": {"a": true, "l": 3}}})", R"({"_id": 1, "l": [1, null, null]})");
  EXPECT_APPLIED(R"({"_id": 1, "l": [0, {"x": 1}, [1, 2]]})",
                 R"({"$v": 2, "diff": {"sl": {"a": true, "s1": {"u": {"x": 2}}, "s2": {"a": true, "u0": 7}}}})",
                 R"({"_id": 1, "l": [0, {"x": 2}, [7, 2]]})");
  EXPECT_APPLIED(R"({"_id": 1, "l": [0,1,2,3,4,5,6,7,8,9,10]})", R"({"$v": 2, "diff": {"sl": {"a": true, "u9": "n", "u10": "t"}}})",
                 R"({"_id": 1, "l": [0,1,2,3,4,5,6,7,8,"n","t"]})");
  EXPECT_APPLIED(R"({"_id": 1, "l": [1]})", R"({"$v": 2, "diff": {"sl": {"a": true, "l": 0}}})", R"({"_id": 1, "l": []})");
}

TEST(ApplyV2, ADiffFromThePastIsTolerated) {
  const char* object = R"({"$v": 2, "diff": {"sa": {"u": {"x": 2}}}})";
  EXPECT_APPLIED(R"({"_id": 1, "b": 1})", object, R"({"_id": 1, "b": 1})");
  EXPECT_APPLIED(R"({"_id": 1, "a": 5, "b": 1})", object, R"({"_id": 1, "a": null, "b": 1})");
  EXPECT_APPLIED(R"({"_id": 1, "a": [{"x": 1}], "b": 1})", object, R"({"_id": 1, "a": null, "b": 1})");
  const char* array = R"({"$v": 2, "diff": {"sa": {"a": true, "u0": 2}}})";
  EXPECT_APPLIED(R"({"_id": 1, "b": 1})", array, R"({"_id": 1, "b": 1})");
  EXPECT_APPLIED(R"({"_id": 1, "a": {"0": 1}, "b": 1})", array, R"({"_id": 1, "a": null, "b": 1})");
  const char* element = R"({"$v": 2, "diff": {"sa": {"a": true, "s1": {"u": {"x": 2}}, "u3": 3}}})";
  EXPECT_APPLIED(R"({"_id": 1, "a": [7]})", element, R"({"_id": 1, "a": [7, null, null, 3]})");
  EXPECT_APPLIED(R"({"_id": 1, "a": [7, 7]})", element, R"({"_id": 1, "a": [7, null, null, 3]})");
}

TEST(ApplyV2, ManyFieldsAtOnce) {
  std::string before = "{\"_id\": 1", diff = "{\"$v\": 2, \"diff\": {\"u\": {\"x\": 1", after = "{\"_id\": 1";
  for (int i = 0; i < 100; ++i) {
    auto name = "\"f" + std::to_string(i) + "\": ";
    before += ", " + name + "0";
    after += ", " + name + (i % 3 == 0 ? "1" : "0");
    if (i % 3 == 0) diff += ", " + name + "1";
  }
  EXPECT_APPLIED(before + "}", diff + "}}}", after + ", \"x\": 1}");
}

TEST(ApplyV2, BinaryDiffsOf80) {
  // 0x010203 (subtype 7) kept up to 2, then 0x0908: 0x01020908
  EXPECT_APPLIED(R"({"_id": 1, "d": {"t": {"$binary": {"base64": "AQID", "subType": "07"}}, "z": 1}})",
                 R"({"$v": 2, "diff": {"sd": {"b": {"t": {"o": 2, "d": {"$binary": {"base64": "CQg=", "subType": "00"}}}}}}})",
                 R"({"_id": 1, "d": {"t": {"$binary": {"base64": "AQIJCA==", "subType": "07"}}, "z": 1}})");
  EXPECT_APPLIED(R"({"_id": 1, "t": 5})", R"({"$v": 2, "diff": {"b": {"t": {"o": 0, "d": {"$binary": {"base64": "CQg=", "subType": "00"}}}}}})",
                 R"({"_id": 1, "t": 5})");
  EXPECT_APPLIED(R"({"_id": 1})", R"({"$v": 2, "diff": {"b": {"t": {"o": 0, "d": {"$binary": {"base64": "CQg=", "subType": "00"}}}}}})",
                 R"({"_id": 1})");
  expect_not_understood(R"({"$v": 2, "diff": {"b": {"a": {"o": 1}}}})", "binary diff");
}

TEST(ApplyV1, DottedPathsAsA44SecondaryAppliesThem) {
  EXPECT_APPLIED(R"({"_id": 1, "a": {"b": 1}, "c": 1})", R"({"$v": 1, "$set": {"a.b": 2, "a.z": 1, "a.d": 1}, "$unset": {"c": true}})",
                 R"({"_id": 1, "a": {"b": 2, "d": 1, "z": 1}})");
  EXPECT_APPLIED(R"({"_id": 1})", R"({"$v": 1, "$set": {"z.b": 1, "y": 1, "z.a": 1, "x": 1}})",
                 R"({"_id": 1, "x": 1, "y": 1, "z": {"a": 1, "b": 1}})");
  EXPECT_APPLIED(R"({"_id": 1})", R"({"$v": 1, "$set": {"10": 1, "9": 1}})", R"({"_id": 1, "10": 1, "9": 1})");
  EXPECT_APPLIED(R"({"_id": 1, "x": 1})", R"({"$set": {"x": 2}})", R"({"_id": 1, "x": 2})");
}

TEST(ApplyV1, Arrays) {
  EXPECT_APPLIED(R"({"_id": 1, "l": [1, {"x": 1}]})", R"({"$v": 1, "$set": {"l.1.x": 2, "l.3": 9}, "$unset": {"l.0": true}})",
                 R"({"_id": 1, "l": [null, {"x": 2}, null, 9]})");
  EXPECT_APPLIED(R"({"_id": 1, "l": []})", R"({"$v": 1, "$set": {"l.1.x": 2}})", R"({"_id": 1, "l": [null, {"x": 2}]})");
  EXPECT_APPLIED(R"({"_id": 1, "l": [0]})", R"({"$v": 1, "$set": {"l.10": "t", "l.9": "n"}})",
                 R"({"_id": 1, "l": [0, null, null, null, null, null, null, null, null, "n", "t"]})");
  EXPECT_APPLIED(R"({"_id": 1, "l": [0]})", R"({"$v": 1, "$unset": {"l.5": true, "gone.x": true}})", R"({"_id": 1, "l": [0]})");
}

TEST(ApplyV1, PathsThatAreNotViableAreIgnored) {
  EXPECT_APPLIED(R"({"_id": 1, "a": 5, "l": [1]})", R"({"$v": 1, "$set": {"a.b": 1, "l.x": 1, "c": 1}, "$unset": {"a.c": true}})",
                 R"({"_id": 1, "a": 5, "l": [1], "c": 1})");
  expect_not_understood(R"({"$v": 1, "$set": {"a": 1, "a.b": 1}})", "two changes");
  expect_not_understood(R"({"$v": 1, "$set": {"a": 1}, "$unset": {"a": true}})", "two changes");
}

TEST(Replacement, PutsTheIdFirst) {
  EXPECT_EQ(replacement(j(R"({"a": 1, "_id": 7, "b": 2})")), j(R"({"_id": 7, "a": 1, "b": 2})"));
  EXPECT_EQ(replacement(j(R"({"_id": 7, "a": 1})")), j(R"({"_id": 7, "a": 1})"));
}

TEST(AsUpdate, PlainDeltas) {
  EXPECT_EQ(updates(R"({"$v": 2, "diff": {"d": {"c": false}, "u": {"a": 1}, "sb": {"u": {"x": 2}, "sy": {"d": {"z": false}}}}})"),
            to_json(j(R"({"$set": {"b.x": 2, "a": 1}, "$unset": {"b.y.z": true, "c": true}})")));
  EXPECT_EQ(updates(R"({"$v": 2, "diff": {"sl": {"a": true, "u3": 1, "s4": {"u": {"x": 1}}, "s5": {"a": true, "u0": 1}}}})"),
            to_json(j(R"({"$set": {"l.3": 1, "l.4.x": 1, "l.5.0": 1}})")));
  EXPECT_EQ(updates(R"({"$v": 2, "diff": {"sl": {"a": true, "l": 3}}})"),
            to_json(j(R"({"$push": {"l": {"$each": [], "$slice": 3}}})")));
  EXPECT_EQ(updates(R"({"$v": 2, "diff": {"sn": {"s0": {"u": {"p": 2}}}}})"), to_json(j(R"({"$set": {"n.0.p": 2}})")));
}

TEST(AsUpdate, NewFieldsGoByPipeline) {
  EXPECT_EQ(updates(R"({"$v": 2, "diff": {"d": {"c": false}, "u": {"a": "$x"}, "i": {"z": 1, "y": {"k": 1}}, "sb": {"i": {"n": 1}}}})"),
            "pipeline " + to_json(j(R"({"0": {"$unset": ["c", "b.n", "z", "y"]}, "1": {"$set": {"a": {"$literal": "$x"}}},
                "2": {"$set": {"b": {"$mergeObjects": ["$b", {"$literal": {"n": 1}}]}}},
                "3": {"$replaceWith": {"$mergeObjects": ["$$ROOT", {"$literal": {"z": 1, "y": {"k": 1}}}]}}})"), 4000));
}

TEST(AsUpdate, NothingWhereNoUpdateIsExact) {
  EXPECT_EQ(updates(R"({"$v": 2, "diff": {"u": {"do.t": 1}}})"), "none");
  EXPECT_EQ(updates(R"({"$v": 2, "diff": {"u": {"": 1}}})"), "none");
  EXPECT_EQ(updates(R"({"$v": 2, "diff": {"u": {"00": 1}}})"), "none");
  EXPECT_EQ(updates(R"({"$v": 2, "diff": {"d": {"$x": false}}})"), "none");
  EXPECT_EQ(updates(R"({"$v": 2, "diff": {"u": {"a": {"b": [{"$x": 1}]}}}})"), "none");
  EXPECT_EQ(updates(R"({"$v": 2, "diff": {"u": {"_id": 1}}})"), "none");
  EXPECT_EQ(updates(R"({"$v": 2, "diff": {"i": {"x": 1}, "sl": {"a": true, "u0": 1}}})"), "none");
  EXPECT_EQ(updates(R"({"$v": 2, "diff": {"sl": {"a": true, "s0": {"i": {"x": 1}}}}})"), "none");
  EXPECT_EQ(updates(R"({"$v": 2, "diff": {"sl": {"a": true, "l": 2, "u0": 1}}})"), "none");
  EXPECT_EQ(updates(R"({"$v": 2, "diff": {"sl": {"a": true}}})"), "none");
  EXPECT_EQ(updates(R"({"$v": 2, "diff": {"b": {"t": {"o": 0, "d": {"$binary": {"base64": "CQg=", "subType": "00"}}}}}})"), "none");
  EXPECT_EQ(updates(R"({"_id": 1, "a": 1})"), "none");
}

TEST(AsUpdate, V1) {
  EXPECT_EQ(updates(R"({"$v": 1, "$set": {"b.c": 1, "a": 2}, "$unset": {"d": true}})"),
            to_json(j(R"({"$set": {"a": 2, "b.c": 1}, "$unset": {"d": true}})")));
  EXPECT_EQ(updates(R"({"$v": 1, "$set": {"l.3": 1}})"), to_json(j(R"({"$set": {"l.3": 1}})")));
  EXPECT_EQ(updates(R"({"$v": 1, "$set": {"10": 1, "9": 1}})"), "none");
  EXPECT_EQ(updates(R"({"$v": 1, "$set": {"a..b": 1}})"), "none");
}

TEST(Touches, V2) {
  auto o = j(R"({"$v": 2, "diff": {"d": {"x": false}, "u": {"a": 1}, "sb": {"u": {"c": 1}, "sl": {"a": true, "u0": 1}}}})");
  for (const char* path : {"x", "x.y", "a", "a.z", "b", "b.c", "b.c.d", "b.l", "b.l.7"}) EXPECT_TRUE(touches(o, path)) << path;
  for (const char* path : {"_id", "y", "b.d", "b.cc", "aa"}) EXPECT_FALSE(touches(o, path)) << path;
  EXPECT_TRUE(touches(j(R"({"_id": 1, "q": 1})"), "a"));
}

TEST(Touches, V1) {
  auto o = j(R"({"$v": 1, "$set": {"a.b": 1}, "$unset": {"c": true}})");
  for (const char* path : {"a", "a.b", "a.b.c", "c", "c.d"}) EXPECT_TRUE(touches(o, path)) << path;
  for (const char* path : {"_id", "a.c", "ab", "d"}) EXPECT_FALSE(touches(o, path)) << path;
}

TEST(NeedsLiteral, DollarNamesAndEmptyTimestampsAtTheTopOnly) {
  auto dollar = j(R"({"_id": 1, "$x": 1})");
  auto empty = j(R"({"_id": 1, "t": {"$timestamp": {"t": 0, "i": 0}}})");
  auto below = j(R"({"_id": 1, "s": {"$x": 1, "t": {"$timestamp": {"t": 0, "i": 0}}}, "t": {"$timestamp": {"t": 0, "i": 1}}})");
  EXPECT_TRUE(replacement_needs_literal(dollar));
  EXPECT_TRUE(replacement_needs_literal(empty));
  EXPECT_FALSE(replacement_needs_literal(below));
  EXPECT_FALSE(insert_needs_literal(dollar));
  EXPECT_TRUE(insert_needs_literal(empty));
  EXPECT_FALSE(insert_needs_literal(below));
}

}  // namespace
}  // namespace mongotwin::oplog
