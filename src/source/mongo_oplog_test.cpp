// SPDX-License-Identifier: Apache-2.0
#include "source/mongo_oplog.h"

#include <gtest/gtest.h>

namespace mongotwin::source {
namespace {

using oplog::Timestamp;

TEST(EndOfPiece, PiecesCoverAllThereIsAndHaveAnEnd) {
  Timestamp from{1'000, 7}, up_to{4'000, 3};
  int pieces = 0;
  while (from < up_to) {
    auto end = end_of_piece(from, up_to);
    ASSERT_LT(from, end);
    ASSERT_LE(end, up_to);
    ASSERT_LE(end.t - from.t, kPieceSeconds);
    from = end;
    ++pieces;
  }
  EXPECT_EQ(from, up_to);
  EXPECT_EQ(pieces, 3'000 / static_cast<int>(kPieceSeconds));
}

TEST(EndOfPiece, WhatIsShortIsOne) { EXPECT_EQ(end_of_piece({1'000, 7}, {1'000, 9}), (Timestamp{1'000, 9})); }

}  // namespace
}  // namespace mongotwin::source
