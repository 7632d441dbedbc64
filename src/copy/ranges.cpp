// SPDX-License-Identifier: Apache-2.0
#include "copy/ranges.h"

#include <algorithm>
#include <cstdlib>

#include "base/log.h"
#include "bson/order.h"
#include "mongo/cursor.h"
#include "source/ownership.h"

namespace mongotwin::copy {
namespace {

constexpr std::size_t kSamplesPerRange = 10;
constexpr int kUuidParameterSince = 6;  // find takes collectionUUID since 6.0
constexpr std::size_t kRangesMax = 20'000;
constexpr std::size_t kScatterSamples = 10;
constexpr int kScatterRun = 50;
constexpr std::int64_t kNearRecords = 2'000;   // some leaf pages of documents of a few hundred bytes
constexpr std::size_t kScatterRangesLeast = 3;  // less is read in no time either way

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

// The greatest {_id: …} of now; unknown where its name may be another collection's by now, or it is not there.
struct LastId {
  bool known = false;
  std::optional<bson::Document> id;  // none: it is empty
};

LastId last_id(mongo::Cluster& source, const source::SourceCollection& collection) {
  if (source.sharded() && source.major() < kUuidParameterSince) return {};
  auto [database, name] = split(collection.ns);
  auto client = source.router().acquire();
  bson::Builder b;
  if (source.sharded()) b.string("find", name).uuid("collectionUUID", collection.uuid.view());
  else b.uuid("find", collection.uuid.view());
  b.open_document("projection").int32("_id", 1).close().open_document("sort").int32("_id", -1).close().open_document("hint").int32("_id", 1).close();
  b.int32("limit", 1).boolean("singleBatch", true).open_document("readConcern").string("level", "majority").close();
  try {
    auto found = mongo::fetch_all(client, database, b.finish());
    if (found.empty()) return {true, {}};
    return {true, found.front().detached()};
  } catch (const mongo::CommandError& e) {
    if (e.code() == mongo::code::kNamespaceNotFound || e.code() == mongo::code::kCollectionUuidMismatch || e.code() == mongo::code::kCommandNotSupportedOnView) return {};
    throw;
  }
}

// Equal to the server, which refuses a range between the two.
bool is_same(const std::optional<bson::Document>& a, const bson::Document& b) { return a && bson::compare((*a)["_id"], b["_id"]) == 0; }

// Whether documents that are neighbours by _id lie far from each other in the shard's files.
bool is_scattered(mongo::Shard& shard, const std::string& ns) {
  auto [database, name] = split(ns);
  auto client = shard.pool->acquire();
  std::size_t near = 0, far = 0;
  for (const auto& start : sample(shard, ns, kScatterSamples)) {
    bson::Builder b;
    b.string("find", name).open_document("hint").int32("_id", 1).close().document("min", start).open_document("projection").int32("_id", 1).close();
    auto run = mongo::fetch_all(client, database, b.boolean("showRecordId", true).int32("limit", kScatterRun).boolean("singleBatch", true).finish());
    for (std::size_t n = 1; n < run.size(); ++n) {
      auto distance = run[n]["$recordId"].integer().value_or(0) - run[n - 1]["$recordId"].integer().value_or(0);
      ++(std::abs(distance) <= kNearRecords ? near : far);
    }
  }
  return far > near;
}

bool is_read_naturally(mongo::Shard& shard, const source::SourceCollection& collection, std::size_t wanted, Reading reading) {
  if (reading != Reading::automatic) return reading == Reading::natural;
  // Documents of one _id on two shards are found when a range of _ids is read on all of them.
  bool one_owner_per_id = collection.shards.size() == 1 || (collection.shard_key && source::ShardKey(*collection.shard_key).is_id());
  if (wanted < kScatterRangesLeast || !one_owner_per_id || !is_scattered(shard, collection.ns)) return false;
  log::info("copy", "source: {}: neighbours by _id lie far from each other: it is read in natural order", collection.ns);
  return true;
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

std::vector<Range> cut(mongo::Cluster& source, const source::SourceCollection& collection, std::size_t index, Size size, std::uint64_t range_bytes, Reading reading) {
  auto options = collection.options.view();
  if (options["capped"].truthy() || options["clusteredIndex"]) return {{index, Range::By::order, {}, {}, false, 0, {}, false}};
  auto [known, last] = last_id(source, collection);
  if (known && !last) return {};
  auto wanted = std::clamp<std::size_t>(size.bytes / range_bytes, 1, kRangesMax);
  wanted = std::min<std::size_t>(wanted, size.documents / 100 + 1);
  auto largest = *std::max_element(collection.shards.begin(), collection.shards.end(), [&](auto a, auto b) {
    return size_on(source.shards()[a], collection.ns).documents < size_on(source.shards()[b], collection.ns).documents;
  });
  if (is_read_naturally(source.shards()[largest], collection, wanted, reading)) {
    std::vector<Range> ranges;
    for (auto shard : collection.shards) ranges.push_back({index, Range::By::natural, {}, {}, false, shard, {}, false});
    return ranges;
  }
  // One shard's sample is good enough: boundaries need not be exact.
  std::vector<bson::Document> samples;
  if (wanted > 1) samples = sample(source.shards()[largest], collection.ns, wanted * kSamplesPerRange);
  std::vector<Range> ranges;
  std::optional<bson::Document> lower;
  for (std::size_t n = 1; n < wanted; ++n) {
    auto at = n * samples.size() / wanted;
    if (at >= samples.size()) break;
    auto bound = bson::Document::copy_of(samples[at]);
    if (is_same(lower, bound)) continue;
    ranges.push_back({index, Range::By::id, lower, bound, false, 0, {}, false});
    lower = bound;
  }
  // Without an end it would run after a source that inserts faster than it is copied.
  if (!last) {
    ranges.push_back({index, Range::By::id, lower, {}, false, 0, {}, false});
    return ranges;
  }
  if (!is_same(lower, *last)) ranges.push_back({index, Range::By::id, lower, last, false, 0, {}, false});
  ranges.push_back({index, Range::By::id, last, {}, true, 0, {}, false});
  return ranges;
}

}  // namespace mongotwin::copy
