// SPDX-License-Identifier: Apache-2.0
#include "copy/ranges.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>

#include "base/log.h"
#include "bson/order.h"
#include "copy/sampling.h"
#include "mongo/cursor.h"
#include "source/collection_place.h"
#include "source/member_state.h"

namespace mongotwin::copy {
namespace {

constexpr std::size_t kSamplesPerRange = 10;
constexpr std::size_t kRangesMax = 20'000, kSamplesMost = 20'000;
constexpr std::uint64_t kListedMost = 20'000;  // documents whose _ids are all read, from their index
constexpr std::int64_t kListedBatch = 1'000;   // with a collation the index can't tell the _ids themselves
constexpr int kClusteredBoundsSince = 6;       // min and max of a clustered collection since 5.3
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
    if (e.code() == mongo::code::kNamespaceNotFound || e.code() == mongo::code::kCommandNotSupportedOnView) return {};
    throw;
  }
}

// Below `end`, sorted: by the server, which knows its own order of types and collations.
std::vector<bson::Document> sample(mongo::Shard& shard, const std::string& ns, std::size_t count, const std::optional<bson::Document>& end) {
  auto [database, name] = split(ns);
  auto client = shard.pool->acquire();
  try {
    return sampled(client, database, count, [&](bson::Builder& b, std::size_t now) {
      b.string("aggregate", name).open_array("pipeline");
      b.open_document("0").open_document("$sample").int64("size", static_cast<std::int64_t>(now)).close().close();
      b.open_document("1").open_document("$project").int32("_id", 1).close().close();
      b.open_document("2").open_document("$match");
      if (end) b.open_document("$expr").open_array("$lt").string("0", "$_id").open_document("1").value("$literal", (*end)["_id"]).close().close().close();
      b.close().close();
      b.open_document("3").open_document("$sort").int32("_id", 1).close().close();
      b.close().open_document("cursor").close().boolean("allowDiskUse", true);
    });
  } catch (const mongo::CommandError& e) {
    if (e.code() == mongo::code::kNamespaceNotFound) return {};
    throw;
  }
}

// All of them, sorted, below `end`.
std::vector<bson::Document> list_ids(mongo::Shard& shard, const std::string& ns, const std::optional<bson::Document>& end) {
  auto [database, name] = split(ns);
  auto client = shard.pool->acquire();
  bson::Builder b;
  b.string("find", name).open_document("projection").int32("_id", 1).close().open_document("hint").int32("_id", 1).close().open_document("sort").int32("_id", 1).close();
  if (end) b.document("max", *end);
  b.int64("batchSize", kListedBatch);
  std::vector<bson::Document> out;
  try {
    for (const auto& doc : mongo::fetch_all(client, database, b.finish())) out.push_back(doc.detached());
  } catch (const mongo::CommandError& e) {
    if (e.code() != mongo::code::kNamespaceNotFound && e.code() != mongo::code::kCommandNotSupportedOnView) throw;
  }
  return out;
}

// The greatest {_id: …} of now; unknown where it can't be asked for.
struct LastId {
  bool known = false;
  std::optional<bson::Document> id;  // none: it is empty
};

// Of one shard, orphans included; none if nothing there is greater than `above`. `by_record`: a clustered collection of a
// server that takes neither hint nor bounds by _id there; its records are in that order.
std::optional<bson::Document> last_id_on(mongo::Client& client, std::uint32_t server, const source::CollectionPlace& place, const std::optional<bson::Document>& above, bool by_record) {
  bson::Builder b;
  b.uuid("find", place.uuid.view()).open_document("projection").int32("_id", 1).close();
  if (by_record) {
    b.open_document("sort").int32("$natural", -1).close();
    if (above) b.open_document("filter").open_document("_id").value("$gt", (*above)["_id"]).close().close();
  } else {
    b.open_document("sort").int32("_id", -1).close().open_document("hint").int32("_id", 1).close();
    if (above) b.document("min", *above);
  }
  b.int32("limit", 1).boolean("singleBatch", true).open_document("readConcern").string("level", "majority").close();
  mongo::Cursor cursor(client, server, place.database, b.finish());
  while (auto batch = cursor.next())
    for (const auto& e : batch->array) return bson::Document::copy_of(*e.document());
  return {};
}

// Each shard is asked for what it has above the greatest of those before, so that the server's own order decides.
LastId last_id(mongo::Cluster& source, const source::SourceCollection& collection, const std::vector<oplog::Timestamp>& not_before, std::stop_token stop) {
  auto router = source.router().acquire();
  auto place = source::find_place(source, router, collection.ns, collection.uuid);
  if (!place || place->through_router) return {};
  LastId last{true, {}};
  bool by_record = collection.options["clusteredIndex"] && source.major() < kClusteredBoundsSince;
  try {
    for (auto shard : place->shards) {
      auto client = source.shards()[shard].pool->acquire();
      auto server = client.select_server();
      auto needed = shard < not_before.size() ? std::max(not_before[shard], place->as_of) : place->as_of;
      source::await_state(client, server, needed, source.sharded() ? &router : nullptr, stop);
      if (auto greater = last_id_on(client, server, *place, last.id, by_record)) last.id = std::move(greater);
    }
  } catch (const mongo::CommandError& e) {
    if (e.code() == mongo::code::kNamespaceNotFound) return {};
    throw;
  }
  if (source::version_now(source, router, *place) != place->version)
    throw mongo::CommandError(Remedy::retry, 0, false, fmt::format("source: {}: documents changed their shard while its last one was looked for", collection.ns));
  return last;
}

// Equal to the server, which refuses a range between the two.
bool is_same(const std::optional<bson::Document>& a, const bson::Document& b) { return a && bson::compare((*a)["_id"], b["_id"]) == 0; }

// Whether documents that are neighbours by _id lie far from each other in the shard's files.
bool is_scattered(mongo::Shard& shard, const std::string& ns) {
  auto [database, name] = split(ns);
  auto client = shard.pool->acquire();
  std::size_t near = 0, far = 0;
  for (const auto& start : sample(shard, ns, kScatterSamples, {})) {
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

bool scattered_if_there(mongo::Shard& shard, const std::string& ns) {
  try {
    return is_scattered(shard, ns);
  } catch (const mongo::CommandError& e) {
    if (e.remedy() == Remedy::retry) throw;
    log::debug("copy", "source: {}: whether neighbours by _id lie far from each other can't be told: {}", ns, e.what());  // a view has its name now
    return false;
  }
}

bool is_read_naturally(mongo::Shard& shard, const source::SourceCollection& collection, std::size_t wanted, Reading reading) {
  if (collection.options["clusteredIndex"]) return false;  // its records have no numbers
  if (reading != Reading::automatic) return reading == Reading::natural;
  // Documents of one _id on two shards are found when a range of _ids is read on all of them.
  bool one_owner_per_id = collection.shards.size() == 1 || (collection.shard_key && source::ShardKey(*collection.shard_key).is_id());
  if (wanted < kScatterRangesLeast || !one_owner_per_id || !scattered_if_there(shard, collection.ns)) return false;
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

std::vector<Range> cut(mongo::Cluster& source, const source::SourceCollection& collection, std::size_t index, const Cutting& cutting, std::stop_token stop) {
  auto options = collection.options.view();
  if (options["capped"].truthy()) return {{index, Range::By::order, {}, {}, false, 0, {}, false}};
  auto [known, last] = last_id(source, collection, cutting.not_before, stop);
  if (known && !last) return {};
  if (options["clusteredIndex"] && source.major() < kClusteredBoundsSince) return {{index, Range::By::order, {}, last, false, 0, {}, false}};
  const auto& size = cutting.size;
  auto wanted = std::clamp<std::size_t>(size.bytes / cutting.range_bytes, 1, kRangesMax);
  wanted = std::min<std::size_t>(wanted, size.documents / 100 + 1);
  Size most;
  auto largest = collection.shards.front();
  for (auto shard : collection.shards)
    if (auto has = size_on(source.shards()[shard], collection.ns); has.documents > most.documents) most = has, largest = shard;
  if (is_read_naturally(source.shards()[largest], collection, wanted, cutting.reading)) {
    std::vector<Range> ranges;
    for (auto shard : collection.shards) ranges.push_back({index, Range::By::natural, {}, {}, false, shard, {}, false});
    return ranges;
  }
  // One shard's sample is good enough: boundaries need not be exact.
  std::vector<bson::Document> samples;
  if (wanted > 1 && most.documents <= kListedMost) samples = list_ids(source.shards()[largest], collection.ns, last);
  else if (wanted > 1) samples = sample(source.shards()[largest], collection.ns, samples_of(most, 1, std::min(wanted * kSamplesPerRange, kSamplesMost)), last);
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
  ranges.push_back({index, Range::By::id, lower, last, false, 0, {}, false});
  ranges.push_back({index, Range::By::id, last, {}, true, 0, {}, false});
  return ranges;
}

}  // namespace mongotwin::copy
