// SPDX-License-Identifier: Apache-2.0
#include "copy/ranges.h"

#include <algorithm>

#include "mongo/cursor.h"

namespace mongotwin::copy {
namespace {

constexpr std::size_t kSamplesPerRange = 10;
constexpr std::size_t kRangesMax = 2'000;

std::pair<std::string, std::string> split(const std::string& ns) {
  auto dot = ns.find('.');
  return {ns.substr(0, dot), ns.substr(dot + 1)};
}

Size size_on(mongo::Shard& shard, const std::string& ns) {
  auto [database, name] = split(ns);
  auto client = shard.pool->acquire();
  try {
    auto stats = client.run(database, bson::Builder().string("collStats", name).finish());
    return {static_cast<std::uint64_t>(stats.view().integer("count").value_or(0)), static_cast<std::uint64_t>(stats.view().integer("size").value_or(0))};
  } catch (const mongo::CommandError& e) {
    if (e.code() == mongo::code::kNamespaceNotFound) return {};
    throw;
  }
}

// Sorted by the server, which knows its own order of types and collations.
std::vector<bson::Document> sample(mongo::Shard& shard, const std::string& ns, std::size_t count) {
  auto [database, name] = split(ns);
  auto client = shard.pool->acquire();
  bson::Builder b;
  b.string("aggregate", name).open_array("pipeline");
  b.open_document("0").open_document("$sample").int64("size", static_cast<std::int64_t>(count)).close().close();
  b.open_document("1").open_document("$project").int32("_id", 1).close().close();
  b.open_document("2").open_document("$sort").int32("_id", 1).close().close();
  b.close().open_document("cursor").close().boolean("allowDiskUse", true);
  try {
    return mongo::fetch_all(client, database, b.finish());
  } catch (const mongo::CommandError& e) {
    if (e.code() == mongo::code::kNamespaceNotFound) return {};
    throw;
  }
}

}  // namespace

Size estimate(mongo::Cluster& source, const source::SourceCollection& collection) {
  Size total;
  for (auto shard : collection.shards) {
    auto one = size_on(source.shards()[shard], collection.ns);
    total.documents += one.documents;
    total.bytes += one.bytes;
  }
  return total;
}

std::vector<Range> cut(mongo::Cluster& source, const source::SourceCollection& collection, std::size_t index, Size size, std::uint64_t range_bytes) {
  auto options = collection.options.view();
  if (options["capped"].truthy() || options["clusteredIndex"]) return {{index, {}, {}, true}};
  auto wanted = std::clamp<std::size_t>(size.bytes / range_bytes, 1, kRangesMax);
  wanted = std::min<std::size_t>(wanted, size.documents / 100 + 1);
  if (wanted == 1) return {{index, {}, {}, false}};
  // One shard's sample is good enough: boundaries need not be exact.
  auto largest = *std::max_element(collection.shards.begin(), collection.shards.end(), [&](auto a, auto b) {
    return size_on(source.shards()[a], collection.ns).documents < size_on(source.shards()[b], collection.ns).documents;
  });
  auto samples = sample(source.shards()[largest], collection.ns, wanted * kSamplesPerRange);
  std::vector<Range> ranges;
  std::optional<bson::Document> lower;
  for (std::size_t n = 1; n < wanted; ++n) {
    auto at = n * samples.size() / wanted;
    if (at >= samples.size()) break;
    auto bound = bson::Document::copy_of(samples[at]);
    if (lower && *lower == bound) continue;
    ranges.push_back({index, lower, bound, false});
    lower = bound;
  }
  ranges.push_back({index, lower, {}, false});
  return ranges;
}

}  // namespace mongotwin::copy
