// SPDX-License-Identifier: Apache-2.0
#include "copy/twins.h"

#include <bson/bson.h>
#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <cstring>

#include "bson/order.h"
#include "mongo/cursor.h"
#include "plan/doc_key.h"

namespace mongotwin::copy {
namespace {

constexpr int kLooks = 3;
constexpr std::uint64_t kSeed = 0x7477696e;

// Splitmix64, by which no two of them are the same.
std::uint64_t of_whole(std::int64_t number) {
  auto z = static_cast<std::uint64_t>(number) + 0x9e3779b97f4a7c15ULL;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
  return z ^ (z >> 31);
}

std::uint64_t of_double(double number) {
  constexpr double kWholeMost = 9.2e18;
  if (std::trunc(number) == number && std::abs(number) < kWholeMost) return of_whole(static_cast<std::int64_t>(number));
  return plan::hash_id(bson::Builder().number("", number).finish()[""], kSeed);
}

// A double can't hold every whole number of a decimal.
std::uint64_t of_decimal(const bson::Element& number) {
  bson_decimal128_t decimal;
  std::memcpy(&decimal.low, number.value_bytes().data(), 8);
  std::memcpy(&decimal.high, number.value_bytes().data() + 8, 8);
  char buffer[BSON_DECIMAL128_STRING];
  bson_decimal128_to_string(&decimal, buffer);
  std::string text = buffer;
  if (text.find('.') != std::string::npos && text.find('E') == std::string::npos) text.erase(text.find_last_not_of('0') + 1);
  if (text.ends_with('.')) text.pop_back();
  std::int64_t whole = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), whole);
  if (error == std::errc() && end == text.data() + text.size()) return of_whole(whole);
  return of_double(std::strtod(text.c_str(), nullptr));
}

}  // namespace

void refuse_twin(mongo::Client& router, const source::CollectionPlace& place, const CollectionCopy& collection, const bson::Element& id) {
  auto find = bson::Builder().string("find", place.name).open_document("filter").open_document("_id").value("$eq", id).close().close().open_document("projection").int32("_id", 1).close().int32("limit", 2).finish();
  for (int look = 0; look < kLooks; ++look)
    if (mongo::fetch_all(router, place.database, find).size() < 2) return;
  throw Error(Remedy::pause, fmt::format("source: {} has two documents with _id {} on different shards", collection.from.ns, bson::to_json(id)), "remove one of them, then start again");
}

std::uint64_t fingerprint(const bson::Element& id) {
  if (id.type() == bson::Type::Decimal128) return of_decimal(id);
  if (id.type() == bson::Type::Double) {
    double number = 0;
    std::memcpy(&number, id.value_bytes().data(), sizeof number);
    return of_double(number);
  }
  if (id.is_number()) return of_whole(*id.integer());
  return plan::hash_id(id, kSeed);
}

void SeenIds::begin(bool exact) {
  exact_ = exact;
  fingerprints_.clear();
  ids_.clear();
}

bool SeenIds::take(const bson::Element& id) {
  auto print = fingerprint(id);
  if (!exact_) return fingerprints_.insert(print).second;
  for (auto [it, end] = ids_.equal_range(print); it != end; ++it)
    if (bson::compare(it->second[""], id) == 0) return false;
  ids_.emplace(print, bson::Builder().value("", id).finish());
  return true;
}

}  // namespace mongotwin::copy
