// SPDX-License-Identifier: Apache-2.0
#include "bson/order.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <limits>

namespace mongotwin::bson {
namespace {

__extension__ using Int128 = __int128;
__extension__ using Uint128 = unsigned __int128;

constexpr int kDecimalDigits = 34;
constexpr int kDecimalBias = 6176;

template <class T>
T load(const char* at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

template <class T>
int three_way(const T& a, const T& b) {
  return a < b ? -1 : (b < a ? 1 : 0);
}

int compare_bytes(std::string_view a, std::string_view b) { return three_way(a.compare(b), 0); }

// sign * coefficient * 10^exponent, or one of the others.
struct Decimal {
  enum Kind { nan, negative_infinity, finite, positive_infinity } kind = finite;
  bool negative = false;
  Uint128 coefficient = 0;
  int exponent = 0;
};

Decimal from_integer(std::int64_t v) {
  Decimal d;
  d.negative = v < 0;
  d.coefficient = v < 0 ? -static_cast<Uint128>(v) : static_cast<Uint128>(v);
  return d;
}

// To 34 digits, which is all that a decimal can tell; `beyond`: whether its exact value is more or less than that.
Decimal from_double(double v, int& beyond) {
  constexpr int kExactDigits = 770;  // no double has more
  beyond = 0;
  if (std::isnan(v)) return {Decimal::nan, false, 0, 0};
  if (std::isinf(v)) return {v < 0 ? Decimal::negative_infinity : Decimal::positive_infinity, false, 0, 0};
  char text[kExactDigits + 16];
  std::snprintf(text, sizeof text, "%.*e", kExactDigits - 1, std::fabs(v));
  Decimal d;
  d.negative = v < 0;
  int digits = 0;
  const char* at = text;
  for (; *at != 'e'; ++at) {
    if (*at == '.') continue;
    if (digits++ < kDecimalDigits) d.coefficient = d.coefficient * 10 + static_cast<unsigned>(*at - '0');
    else if (*at != '0') beyond = d.negative ? -1 : 1;
  }
  d.exponent = std::atoi(at + 1) - (kDecimalDigits - 1);
  return d;
}

// IEEE 754-2008 decimal128 in its binary encoding.
Decimal from_decimal128(std::string_view bytes) {
  auto low = load<std::uint64_t>(bytes.data()), high = load<std::uint64_t>(bytes.data() + 8);
  Decimal d;
  d.negative = (high >> 63) != 0;
  auto combination = (high >> 58) & 0x1f;
  if (combination == 0x1f) return {Decimal::nan, false, 0, 0};
  if (combination == 0x1e) return {d.negative ? Decimal::negative_infinity : Decimal::positive_infinity, false, 0, 0};
  if ((combination >> 3) == 3) {  // a coefficient beyond 34 digits, which counts as zero
    d.exponent = static_cast<int>((high >> 47) & 0x3fff) - kDecimalBias;
    return d;
  }
  d.exponent = static_cast<int>((high >> 49) & 0x3fff) - kDecimalBias;
  d.coefficient = (static_cast<Uint128>(high & 0x1ffffffffffffULL) << 64) | low;
  constexpr Uint128 kTen17 = 100'000'000'000'000'000ULL;
  if (d.coefficient >= kTen17 * kTen17) d.coefficient = 0;
  return d;
}

// Not for doubles.
Decimal decimal_of(const Element& e) {
  auto bytes = e.value_bytes();
  switch (e.type()) {
    case Type::Int32: return from_integer(load<std::int32_t>(bytes.data()));
    case Type::Int64: return from_integer(load<std::int64_t>(bytes.data()));
    default: return from_decimal128(bytes);
  }
}

int digits_of(Uint128 v) {
  int n = 0;
  for (; v != 0; v /= 10) ++n;
  return n;
}

int compare_magnitudes(const Decimal& a, const Decimal& b) {
  auto place_a = digits_of(a.coefficient) + a.exponent, place_b = digits_of(b.coefficient) + b.exponent;
  if (place_a != place_b) return three_way(place_a, place_b);
  // The same first digit's place: the one with fewer digits grows to no more than the other has.
  auto x = a.coefficient, y = b.coefficient;
  for (auto n = a.exponent; n > b.exponent; --n) x *= 10;
  for (auto n = b.exponent; n > a.exponent; --n) y *= 10;
  return three_way(x, y);
}

int compare(const Decimal& a, const Decimal& b) {
  if (a.kind != b.kind) return three_way(a.kind, b.kind);
  if (a.kind != Decimal::finite) return 0;
  bool zero_a = a.coefficient == 0, zero_b = b.coefficient == 0;
  int sign_a = zero_a ? 0 : (a.negative ? -1 : 1), sign_b = zero_b ? 0 : (b.negative ? -1 : 1);
  if (sign_a != sign_b) return three_way(sign_a, sign_b);
  return sign_a == 0 ? 0 : sign_a * compare_magnitudes(a, b);
}

int compare_to_double(const Decimal& a, double b) {
  int beyond = 0;
  auto c = compare(a, from_double(b, beyond));
  return c != 0 ? c : -beyond;
}

int compare_doubles(double a, double b) {
  if (std::isnan(a) || std::isnan(b)) return three_way(!std::isnan(a), !std::isnan(b));  // NaN comes before all numbers
  return three_way(a, b);
}

int compare_to_double(std::int64_t a, double b) {
  constexpr double kTwo63 = 9223372036854775808.0;
  if (std::isnan(b)) return 1;
  if (b >= kTwo63) return -1;
  if (b < -kTwo63) return 1;
  auto whole = static_cast<std::int64_t>(b);
  if (a != whole) return three_way(a, whole);
  return three_way(0.0, b - static_cast<double>(whole));
}

bool is_integer(Type type) { return type == Type::Int32 || type == Type::Int64; }

std::int64_t integer_of(const Element& e) {
  return e.type() == Type::Int32 ? load<std::int32_t>(e.value_bytes().data()) : load<std::int64_t>(e.value_bytes().data());
}

int compare_numbers(const Element& a, const Element& b) {
  if (is_integer(a.type()) && is_integer(b.type())) return three_way(integer_of(a), integer_of(b));
  if (a.type() == Type::Double && b.type() == Type::Decimal128) return -compare_to_double(decimal_of(b), load<double>(a.value_bytes().data()));
  if (a.type() == Type::Decimal128 && b.type() == Type::Double) return compare_to_double(decimal_of(a), load<double>(b.value_bytes().data()));
  if (a.type() == Type::Decimal128 || b.type() == Type::Decimal128) return compare(decimal_of(a), decimal_of(b));
  if (is_integer(a.type())) return compare_to_double(integer_of(a), load<double>(b.value_bytes().data()));
  if (is_integer(b.type())) return -compare_to_double(integer_of(b), load<double>(a.value_bytes().data()));
  return compare_doubles(load<double>(a.value_bytes().data()), load<double>(b.value_bytes().data()));
}

int compare_fields(View a, View b) {
  auto x = a.begin(), y = b.begin();
  for (; x != nullptr && y != nullptr; ++x, ++y) {
    if (auto c = three_way(canonical_rank(x->type()), canonical_rank(y->type()))) return c;
    if (auto c = compare_bytes(x->key(), y->key())) return c;
    if (auto c = compare(*x, *y)) return c;
  }
  return three_way(x != nullptr, y != nullptr);
}

// A string's text without its length and its end.
std::string_view text_of(std::string_view bytes) { return bytes.substr(4, bytes.size() - 5); }

int compare_code_with_scope(std::string_view a, std::string_view b) {
  auto parts = [](std::string_view v) {
    auto length = load<std::int32_t>(v.data() + 4);
    auto scope = v.substr(8 + static_cast<std::size_t>(length));
    return std::pair(v.substr(8, static_cast<std::size_t>(length) - 1), View(reinterpret_cast<const std::uint8_t*>(scope.data()), static_cast<std::uint32_t>(scope.size())));
  };
  auto x = parts(a), y = parts(b);
  if (auto c = compare_bytes(x.first, y.first)) return c;
  return compare_fields(x.second, y.second);
}

int compare_by_size(std::string_view a, std::string_view b, std::size_t from) {
  if (a.size() != b.size()) return three_way(a.size(), b.size());
  return compare_bytes(a.substr(from), b.substr(from));
}

}  // namespace

int canonical_rank(Type type) {
  switch (type) {
    case Type::MinKey: return -1;
    case Type::Undefined: return 0;
    case Type::Eod:
    case Type::Null: return 5;
    case Type::Double:
    case Type::Int32:
    case Type::Int64:
    case Type::Decimal128: return 10;
    case Type::String:
    case Type::Symbol: return 15;
    case Type::Object: return 20;
    case Type::Array: return 25;
    case Type::Binary: return 30;
    case Type::ObjectId: return 35;
    case Type::Bool: return 40;
    case Type::Date: return 45;
    case Type::Timestamp: return 47;
    case Type::Regex: return 50;
    case Type::DbPointer: return 55;
    case Type::Code: return 60;
    case Type::CodeWithScope: return 65;
    case Type::MaxKey: return 127;
  }
  return 127;
}

int compare(const Element& a, const Element& b) {
  auto rank = canonical_rank(a.type());
  if (auto c = three_way(rank, canonical_rank(b.type()))) return c;
  if (!a || !b) return 0;
  auto x = a.value_bytes(), y = b.value_bytes();
  switch (a.type()) {
    case Type::Double:
    case Type::Int32:
    case Type::Int64:
    case Type::Decimal128: return compare_numbers(a, b);
    case Type::String:
    case Type::Symbol:
    case Type::Code: return compare_bytes(text_of(x), text_of(y));
    case Type::Object:
    case Type::Array: return compare_fields(a.fields(), b.fields());
    case Type::Binary: return compare_by_size(x, y, 4);
    case Type::DbPointer: return compare_by_size(x, y, 0);
    case Type::ObjectId:
    case Type::Bool:
    case Type::Regex: return compare_bytes(x, y);  // two strings that end in a zero, which nothing is less than
    case Type::Date: return three_way(load<std::int64_t>(x.data()), load<std::int64_t>(y.data()));
    case Type::Timestamp: return three_way(load<std::uint64_t>(x.data()), load<std::uint64_t>(y.data()));
    case Type::CodeWithScope: return compare_code_with_scope(x, y);
    default: return 0;
  }
}

int compare(const Element& a, std::int64_t b) {
  if (auto c = three_way(canonical_rank(a.type()), canonical_rank(Type::Int64))) return c;
  if (is_integer(a.type())) return three_way(integer_of(a), b);
  if (a.type() == Type::Double) return -compare_to_double(b, load<double>(a.value_bytes().data()));
  return compare(decimal_of(a), from_integer(b));
}

std::int64_t whole_number(const Element& number) {
  constexpr auto kLeast = std::numeric_limits<std::int64_t>::min(), kMost = std::numeric_limits<std::int64_t>::max();
  if (is_integer(number.type())) return integer_of(number);
  if (number.type() == Type::Double) {
    auto v = load<double>(number.value_bytes().data());
    if (std::isnan(v)) return 0;
    if (v > 9223372036854775808.0) return kMost;
    if (v == 9223372036854775808.0) return kLeast;  // an old overflow that hashes have kept
    return v < -9223372036854775808.0 ? kLeast : static_cast<std::int64_t>(v);
  }
  auto d = decimal_of(number);
  if (d.kind == Decimal::nan) return 0;
  if (d.kind != Decimal::finite) return d.kind == Decimal::positive_infinity ? kMost : kLeast;
  auto v = d.coefficient;
  if (d.coefficient != 0 && digits_of(v) + d.exponent > 19) return d.negative ? kLeast : kMost;
  int cut = 0;          // the digit cut off last
  bool behind = false;  // anything but zeros behind it
  for (auto n = d.exponent; n < 0; ++n) {
    behind |= cut != 0;
    cut = static_cast<int>(v % 10);
    v /= 10;
  }
  for (auto n = d.exponent; n > 0 && v != 0; --n) v *= 10;
  if (cut > 5 || (cut == 5 && (behind || v % 2 == 1))) ++v;
  if (d.negative) return v > static_cast<Uint128>(kMost) + 1 ? kLeast : static_cast<std::int64_t>(-static_cast<Int128>(v));
  return v > static_cast<Uint128>(kMost) ? kMost : static_cast<std::int64_t>(v);
}

}  // namespace mongotwin::bson
