// SPDX-License-Identifier: Apache-2.0
#include "verify/digest.h"

#include <cmath>
#include <limits>

namespace mongotwin::verify {
namespace {

constexpr std::int64_t kHalf = std::int64_t{1} << 32;
constexpr double kPrime = 9007199254740881.0;  // below 2^53: a remainder is a whole number that a double holds

// Any two doubles become different whole numbers: scaled by a power of two, which is exact, until nothing is left
// behind the point; the remainder by a prime then fits into a long, and no power of two is a multiple of it.
void append_exact_double(bson::Builder& b, const std::string& key, const std::string& v) {
  auto absolute_below = [&](const char* at, double limit) { b.open_array(at).open_document("0").string("$abs", v).close().number("1", limit).close(); };
  b.open_document(key).open_array("$cond");
  // Zeros differ by their sign only, infinities have no remainder, NaN is less than nothing.
  b.open_document("0").open_array("$or").open_document("0").open_array("$eq").string("0", v).number("1", 0).close().close();
  b.open_document("1").open_array("$not").open_document("0");
  absolute_below("$lt", std::numeric_limits<double>::infinity());
  b.close().close().close().close().close();
  b.open_document("1").string("$toString", v).close();
  b.open_document("2").open_array("$mod").open_document("0").open_array("$cond");
  b.open_document("0");
  absolute_below("$lt", std::ldexp(1, -100));
  b.close().open_document("1").open_array("$multiply").string("0", v).number("1", std::ldexp(1, 1000)).number("2", std::ldexp(1, 74)).close().close();
  b.open_document("2").open_array("$cond").open_document("0");
  absolute_below("$lt", 1);
  b.close().open_document("1").open_array("$multiply").string("0", v).number("1", std::ldexp(1, 152)).close().close();
  b.open_document("2").open_array("$cond").open_document("0");
  absolute_below("$lt", std::ldexp(1, 63));
  b.close().open_document("1").open_array("$multiply").string("0", v).number("1", std::ldexp(1, 52)).close().close().string("2", v).close().close();
  b.close().close();
  b.close().close().number("1", kPrime).close().close();
  b.close().close();
}

// Types, and what a long can't hold of numbers; `v` is a path such as "$$ROOT".
void append_skeleton(bson::Builder& b, const std::string& key, const std::string& v, int level) {
  auto type = "t" + std::to_string(level);
  auto is = [&](const char* at, const char* name) { b.open_document(at).open_array("$eq").string("0", "$$" + type).string("1", name).close().close(); };
  b.open_document(key).open_document("$let").open_document("vars").open_document(type).string("$type", v).close().close();
  b.open_document("in").open_document("$switch").open_array("branches");
  b.open_document("0");
  is("case", "double");
  b.open_array("then").int32("0", 1);
  append_exact_double(b, "1", v);
  b.close().close();
  b.open_document("1");
  is("case", "decimal");
  b.open_array("then").int32("0", 2).open_document("1").string("$toString", v).close().close().close();
  if (level < kDepth) {
    auto item = "v" + std::to_string(level + 1);
    b.open_document("2").open_document("case").open_array("$in").string("0", "$$" + type).open_array("1").string("0", "object").string("1", "array").close().close().close();
    b.open_array("then").open_document("0").open_array("$cond");
    is("0", "array");
    b.int32("1", 3).int32("2", 4).close().close();
    b.open_document("1").open_document("$map").open_document("input").open_array("$cond");
    is("0", "array");
    b.string("1", v).open_document("2").open_document("$let").open_document("vars").open_document("o").string("$objectToArray", v).close().close().string("in", "$$o.v").close().close();
    b.close().close().string("as", item);
    append_skeleton(b, "in", "$$" + item, level + 1);
    b.close().close().close().close();
  }
  b.close().string("default", "$$" + type).close().close().close().close();
}

}  // namespace

void append_fingerprint(bson::Builder& b, const std::string& field) {
  b.open_document(field).open_array("$toHashedIndexKey").open_document("0").string("$toHashedIndexKey", "$$ROOT").close().open_document("1").string("$bsonSize", "$$ROOT").close();
  append_skeleton(b, "2", "$$ROOT", 0);
  b.close().close();
}

void append_digest_stages(bson::Builder& b, int first) {
  b.open_document(std::to_string(first)).open_document("$project").int32("_id", 0);
  append_fingerprint(b, "h");
  b.open_document("s").string("$bsonSize", "$$ROOT").close().close().close();
  b.open_document(std::to_string(first + 1)).open_document("$group").null("_id");
  b.open_document("n").int32("$sum", 1).close().open_document("s").string("$sum", "$s").close();
  b.open_document("lo").open_document("$sum").open_array("$mod").string("0", "$h").int64("1", kHalf).close().close().close();
  b.open_document("hi").open_document("$sum").open_document("$trunc").open_array("$divide").string("0", "$h").int64("1", kHalf).close().close().close().close();
  b.close().close();
}

void append_list_stages(bson::Builder& b, int first) {
  b.open_document(std::to_string(first)).open_document("$project").int32("_id", 1);
  append_fingerprint(b, "h");
  b.open_document("s").string("$bsonSize", "$$ROOT").close().close().close();
}

Digest read_digest(bson::View group) {
  Digest d;
  d.documents = static_cast<std::uint64_t>(group.integer("n").value_or(0));
  d.bytes = static_cast<std::uint64_t>(group.integer("s").value_or(0));
  d.low = group.integer("lo").value_or(0);
  d.high = static_cast<double>(group.integer("hi").value_or(0));
  return d;
}

}  // namespace mongotwin::verify
