// SPDX-License-Identifier: Apache-2.0
#include "copy/primaries.h"

#include <gtest/gtest.h>

namespace mongotwin::copy {
namespace {

using Chosen = std::map<std::string, std::string>;

TEST(Primaries, the_heaviest_stands_alone) {
  EXPECT_EQ(choose_primaries({{"a", 10}, {"b", 100}, {"c", 20}, {"d", 30}}, {"x", "y"}), (Chosen{{"a", "y"}, {"b", "x"}, {"c", "y"}, {"d", "y"}}));
}

TEST(Primaries, empty_ones_are_spread_too) {
  EXPECT_EQ(choose_primaries({{"a", 0}, {"b", 0}, {"c", 0}}, {"x", "y", "z"}), (Chosen{{"a", "x"}, {"b", "y"}, {"c", "z"}}));
}

}  // namespace
}  // namespace mongotwin::copy
