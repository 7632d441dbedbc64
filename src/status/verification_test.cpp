// SPDX-License-Identifier: Apache-2.0
#include "status/verification.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace mongotwin::status {
namespace {

Verification full() {
  Verification v;
  v.number = 3;
  v.verdict = Verdict::different;
  v.request = {true, true, {"shop.*"}};
  v.replicating = false;
  v.started_ms = 1000;
  v.ended_ms = 2000;
  v.collections_total = 4;
  v.collections_done = 3;
  v.documents_total = 100;
  v.documents_done = 50;
  v.eta_s = 7;
  v.differences = 2;
  v.repaired = 1;
  v.since = {10, 1};
  v.up_to = {1'700'000'000, 2};
  v.listed = {{"shop.orders", R"({"a": 1})", "fields", "field a has another value", "repair it", 1, 2, true}};
  v.notes = {"held back"};
  return v;
}

TEST(Verification, comes_back_from_json) {
  auto text = to_json(full(), Lists::with);
  EXPECT_EQ(to_json(verification_from_json(text), Lists::with), text);
  auto short_one = verification_from_json(to_json(full(), Lists::without));
  EXPECT_TRUE(short_one.listed.empty() && short_one.notes.empty());
  EXPECT_EQ(short_one.differences, 2u);
  EXPECT_THROW((void)verification_from_json("{}"), Error);
}

TEST(Verification, every_verdict_comes_back) {
  for (auto verdict : {Verdict::running, Verdict::identical, Verdict::different, Verdict::cancelled, Verdict::failed}) {
    auto v = full();
    v.verdict = verdict;
    EXPECT_EQ(verification_from_json(to_json(v, Lists::with)).verdict, verdict);
  }
}

TEST(Verification, verdicts_in_words) {
  auto v = full();
  EXPECT_EQ(verdict_text(v), "2 differences (1 repaired) as of 2023-11-14 22:13:20 UTC, in 50 documents of 3 collections; replication was not running: both were compared as they were");
  v.verdict = Verdict::identical;
  v.replicating = true;
  EXPECT_EQ(verdict_text(v), "identical up to 2023-11-14 22:13:20 UTC: 50 documents in 3 collections");
}

TEST(Verification, is_not_done_before_it_is) {
  auto v = full();
  v.verdict = Verdict::running;
  v.documents_done = 200;
  EXPECT_LT(fraction_done(v), 1);
  v.verdict = Verdict::identical;
  EXPECT_EQ(fraction_done(v), 1);
}

}  // namespace
}  // namespace mongotwin::status
