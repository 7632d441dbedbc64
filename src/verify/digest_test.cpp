// SPDX-License-Identifier: Apache-2.0
// What the server makes of it is tested in tests/e2e/verify.
#include "verify/digest.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace mongotwin::verify {
namespace {

int depth_of(bson::View v) {
  int deepest = 0;
  for (const auto& e : v)
    if (auto inner = e.document()) deepest = std::max(deepest, depth_of(*inner));
  return deepest + 1;
}

bson::Document pipeline() {
  bson::Builder b;
  b.open_array("pipeline");
  append_digest_stages(b, 0);
  return b.close().finish();
}

TEST(Digest, stages_are_well_formed_and_shallow_enough_for_a_server) {
  auto p = pipeline();
  EXPECT_TRUE(bson::validate(p.view().data(), p.size()));
  EXPECT_LT(depth_of(p), 150);  // a server takes 200 levels, and a router may wrap it
  EXPECT_LT(p.size(), 32'768u);
}

TEST(Digest, reads_a_group) {
  auto d = read_digest(bson::Document::from_json(R"({"_id": null, "n": 3, "s": {"$numberLong": "120"}, "lo": {"$numberLong": "-7"}, "hi": 5000000000.0})"));
  EXPECT_EQ(d.documents, 3u);
  EXPECT_EQ(d.bytes, 120u);
  EXPECT_EQ(d.low, -7);
  EXPECT_EQ(d.high, 5e9);
  auto other = d;
  other.low = -8;
  EXPECT_FALSE(d == other);
}

}  // namespace
}  // namespace mongotwin::verify
