// SPDX-License-Identifier: Apache-2.0
#include "copy/zones.h"

#include <gtest/gtest.h>

namespace mongotwin::copy {
namespace {

using Names = std::vector<std::string>;

TEST(Zones, the_shards_of_a_zone_on_the_target) {
  Zones source{{}, {{"EU", {"a", "b", "c"}}}};
  const Names there = {"b", "c", "d"};
  EXPECT_EQ(shards_for("EU", {{"EU", {"d"}}}, source, {{}, {{"EU", {"b"}}}}, there), Names{"d"}) << "what is configured";
  EXPECT_EQ(shards_for("EU", {{"US", {"d"}}}, source, {{}, {{"EU", {"d"}}}}, there), Names{"d"}) << "what the target has";
  EXPECT_EQ(shards_for("EU", {}, source, {}, there), (Names{"b", "c"})) << "what is called the same";
  EXPECT_EQ(shards_for("EU", {}, source, {}, {"x"}), Names());
}

}  // namespace
}  // namespace mongotwin::copy
