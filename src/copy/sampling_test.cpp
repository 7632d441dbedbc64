// SPDX-License-Identifier: Apache-2.0
#include "copy/sampling.h"

#include <gtest/gtest.h>

namespace mongotwin::copy {
namespace {

constexpr std::uint64_t kMegabyte = 1'000'000;

TEST(Sampling, AsksForSoFewThatTheServerNeedNotReadEverything) {
  EXPECT_EQ(samples_of({1'000'000, 10'000'000 * kMegabyte}, 1, 20'000), 20'000u);
  EXPECT_EQ(samples_of({100'000, 25'600 * kMegabyte}, 1, 20'000), 4'000u) << "of 5,000 on it would read 25 GB";
  EXPECT_EQ(samples_of({100'000, 25'600 * kMegabyte}, 4, 20'000), 1'000u) << "each shard is asked for as many";
  EXPECT_EQ(samples_of({20, 300 * kMegabyte}, 1, 20'000), 0u);
}

TEST(Sampling, OfLittleDataAsManyAsAreWanted) { EXPECT_EQ(samples_of({3'000, 3 * kMegabyte}, 2, 2'000), 2'000u); }

}  // namespace
}  // namespace mongotwin::copy
