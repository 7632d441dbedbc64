// SPDX-License-Identifier: Apache-2.0
#include "plan/doc_key.h"

#include <bson/bson.h>

#include <cmath>
#include <cstdlib>
#include <cstring>

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace mongotwin::plan {
namespace {

using bson::Element;
using bson::Type;

double as_double(const Element& e) {
  const char* v = e.value_bytes().data();
  if (e.type() == Type::Double) {
    double d;
    std::memcpy(&d, v, sizeof d);
    return d;
  }
  if (e.type() == Type::Decimal128) {
    bson_decimal128_t decimal;
    std::memcpy(&decimal.low, v, 8);
    std::memcpy(&decimal.high, v + 8, 8);
    char text[BSON_DECIMAL128_STRING];
    bson_decimal128_to_string(&decimal, text);
    return std::strtod(text, nullptr);
  }
  return static_cast<double>(*e.integer());
}

std::uint64_t hash_number(const Element& e, std::uint64_t seed) {
  double d = as_double(e);
  if (std::isnan(d)) d = std::numeric_limits<double>::quiet_NaN();
  if (d == 0) d = 0;  // -0.0
  return XXH3_64bits_withSeed(&d, sizeof d, seed);
}

}  // namespace

std::uint64_t hash_id(const Element& id, std::uint64_t seed) {
  if (id.is_number()) return hash_number(id, seed);
  if (id.is_object() || id.is_array()) {
    for (const auto& e : id.fields()) {
      seed = XXH3_64bits_withSeed(e.key().data(), e.key().size(), seed);
      seed = hash_id(e, seed);
    }
    return seed ^ 0x9e3779b97f4a7c15ULL;
  }
  auto type = id.type() == Type::Symbol ? Type::String : id.type();
  auto bytes = id ? id.value_bytes() : std::string_view();
  return XXH3_64bits_withSeed(bytes.data(), bytes.size(), seed + static_cast<std::uint64_t>(type));
}

}  // namespace mongotwin::plan
