// SPDX-License-Identifier: Apache-2.0
// The server's order of BSON values under the simple collation, over all types: the order of chunk bounds and of
// indexes. Numbers compare by value whatever their type. Pure functions.
// Source: MongoDB manual, "Comparison/Sort Order"; proven against a real server by tests/e2e/reading_the_source.
#pragma once

#include "bson/view.h"

namespace mongotwin::bson {

// Types of one rank compare by value; -1 (MinKey) to 127 (MaxKey). Missing values count as Null.
[[nodiscard]] int canonical_rank(Type type);

// <0, 0, >0. Keys are not compared, but for those of fields inside objects.
[[nodiscard]] int compare(const Element& a, const Element& b);
[[nodiscard]] int compare(const Element& a, std::int64_t b);  // as if b were an Int64

// A number as hashed indexes see it: whole, kept in the range of 64 bits, 0 for NaN. A double is cut, a decimal rounded.
[[nodiscard]] std::int64_t whole_number(const Element& number);

}  // namespace mongotwin::bson
