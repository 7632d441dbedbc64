// SPDX-License-Identifier: Apache-2.0
#include "verify/side.h"

#include <xxhash.h>

#include <algorithm>

#include "bson/order.h"
#include "mongo/cursor.h"

namespace mongotwin::verify {
namespace {

constexpr std::int64_t kBatchSize = 5000;

bson::Timestamp time_in(const bson::Document& reply, bool sharded) {
  auto gossiped = reply.view().fields("$clusterTime")["clusterTime"].timestamp().value_or(bson::Timestamp());
  auto own = reply["operationTime"].timestamp().value_or(bson::Timestamp());
  return sharded ? std::max(gossiped, own) : own;
}

Listed hashed(bson::View document) {
  auto hash = XXH3_128bits(document.data(), document.size());
  return {bson::Builder().value("_id", document["_id"]).finish(), hash.low64, hash.high64, document.size()};
}

bool same_bracket(const IdRange& range) {
  return range.after && range.up_to && bson::canonical_rank((*range.after)["_id"].type()) == bson::canonical_rank((*range.up_to)["_id"].type());
}

// In an $expr a comparison crosses types as the index does, and uses it; not so with a clustered collection, which only
// plain comparisons find their way in: these stay within one type.
void append_match(bson::Builder& b, const Place& place, const IdRange& range) {
  if (place.clustered && same_bracket(range)) {
    b.open_document("_id").value("$gt", (*range.after)["_id"]).value("$lte", (*range.up_to)["_id"]).close();
    return;
  }
  if (!range.after && !range.up_to) return;
  b.open_document("$expr").open_array("$and");
  int n = 0;
  auto add = [&](const char* op, const bson::Document& bound) {
    b.open_document(std::to_string(n++)).open_array(op).string("0", "$_id").open_document("1").value("$literal", bound["_id"]).close().close().close();
  };
  if (range.after) add("$gt", *range.after);
  if (range.up_to) add("$lte", *range.up_to);
  b.close().close();
}

}  // namespace

Place place_of(const std::string& ns, bool clustered) {
  auto dot = ns.find('.');
  return {ns.substr(0, dot), ns.substr(dot + 1), clustered};
}

// The driver tells each server of a pool the newest time that any connection of that pool has heard of.
bson::Timestamp Side::now() {
  auto ping = bson::Builder().int32("ping", 1).finish();
  bson::Timestamp time;
  for (auto* pool : {&cluster_.router(), &cluster_.patient()}) time = std::max(time, time_in(pool->acquire().run("admin", ping), cluster_.sharded()));
  return time;
}

void Side::append_read_concern(bson::Builder& b) const {
  b.open_document("readConcern").string("level", at_ ? "snapshot" : "majority");
  if (at_) b.timestamp("atClusterTime", *at_);
  b.close();
}

// In a find a router itself would pass over as many as are skipped; here only _ids come to where the shards are merged.
bson::Document Side::bound_over_shards(const Place& place, const IdRange& range, std::uint64_t count) const {
  auto b = aggregate(place, range);
  b.open_document("1").open_document("$sort").int32("_id", 1).close().close();
  b.open_document("2").int64("$limit", static_cast<std::int64_t>(count + 1)).close();
  b.open_document("3").int64("$skip", static_cast<std::int64_t>(count)).close();
  b.open_document("4").open_document("$project").int32("_id", 1).close().close();
  finish_aggregate(b, place);
  return b.finish();
}

bson::Document Side::bound_in_a_set(const Place& place, const IdRange& range, std::uint64_t count) const {
  bson::Builder b;
  b.string("find", place.name);
  if (place.clustered) {
    b.open_document("filter");
    if (range.after || range.up_to) {
      b.open_document("_id");
      if (range.after) b.value("$gte", (*range.after)["_id"]);
      if (range.up_to) b.value("$lt", (*range.up_to)["_id"]);
      b.close();
    }
    b.close();
    // 5.0 would sort; its only clustered collections are buckets, and a natural order is that of their _ids.
    if (cluster_.major() < 6) b.open_document("hint").int32("$natural", 1).close();
    else b.open_document("sort").int32("_id", 1).close();
  } else {
    b.open_document("hint").int32("_id", 1).close().open_document("sort").int32("_id", 1).close();
    if (range.after) b.document("min", *range.after);
    if (range.up_to) b.document("max", *range.up_to);
  }
  b.int64("skip", static_cast<std::int64_t>(count)).int32("limit", 1).boolean("singleBatch", true).open_document("projection").int32("_id", 1).close();
  append_read_concern(b);
  return b.finish();
}

std::optional<bson::Document> Side::bound(const Place& place, const IdRange& range, std::uint64_t count) {
  auto client = cluster_.router().acquire();
  auto found = mongo::fetch_all(client, place.database, cluster_.sharded() ? bound_over_shards(place, range, count) : bound_in_a_set(place, range, count));
  if (found.empty()) return {};
  return found.front().detached();
}

bson::Builder Side::aggregate(const Place& place, const IdRange& range) const {
  bson::Builder b;
  b.string("aggregate", place.name).open_array("pipeline").open_document("0").open_document("$match");
  append_match(b, place, range);
  b.close().close();
  return b;
}

void Side::finish_aggregate(bson::Builder& b, const Place& place) const {
  b.close().open_document("cursor").int64("batchSize", kBatchSize).close().boolean("allowDiskUse", true);
  if (!place.clustered) b.open_document("hint").int32("_id", 1).close();
  append_read_concern(b);
}

Digest Side::digest(const Place& place, const IdRange& range) {
  auto b = aggregate(place, range);
  append_digest_stages(b, 1);
  finish_aggregate(b, place);
  auto client = cluster_.router().acquire();
  auto found = mongo::fetch_all(client, place.database, b.finish());
  return found.empty() ? Digest() : read_digest(found.front());
}

std::vector<Listed> Side::list(const Place& place, const IdRange& range, bool bytes, std::size_t most) {
  auto b = aggregate(place, range);
  if (!bytes) append_list_stages(b, 1);
  finish_aggregate(b, place);
  auto client = cluster_.router().acquire();
  mongo::Cursor cursor(client, place.database, b.finish());
  std::vector<Listed> out;
  while (auto batch = cursor.next({}, kBatchSize))
    for (const auto& e : batch->array) {
      if (out.size() > most) return out;
      auto one = e.fields();
      if (bytes) out.push_back(hashed(one));
      else out.push_back({bson::Builder().value("_id", one["_id"]).finish(), static_cast<std::uint64_t>(one.integer("h").value_or(0)), 0, static_cast<std::uint64_t>(one.integer("s").value_or(0))});
    }
  return out;
}

std::vector<bson::Document> Side::fetch(const Place& place, const std::vector<bson::Document>& ids) {
  bson::Builder b;
  b.string("find", place.name).open_document("filter").open_document("_id").open_array("$in");
  for (std::size_t n = 0; n < ids.size(); ++n) b.value(std::to_string(n), ids[n]["_id"]);
  b.close().close().close();
  append_read_concern(b);
  auto client = cluster_.router().acquire();
  return mongo::fetch_all(client, place.database, b.finish());
}

std::vector<Listed> Side::list_in_order(const Place& place) {
  bson::Builder b;
  b.string("find", place.name).open_document("hint").int32("$natural", 1).close().int64("batchSize", kBatchSize).open_document("readConcern").string("level", "majority").close();
  auto client = cluster_.router().acquire();
  mongo::Cursor cursor(client, place.database, b.finish());
  std::vector<Listed> out;
  while (auto batch = cursor.next({}, kBatchSize))
    for (const auto& e : batch->array) out.push_back(hashed(e.fields()));
  return out;
}

std::optional<bson::Document> Side::newest(const Place& place) {
  bson::Builder b;
  b.string("find", place.name).open_document("sort").int32("$natural", -1).close().int32("limit", 1).boolean("singleBatch", true).open_document("readConcern").string("level", "majority").close();
  auto client = cluster_.router().acquire();
  auto found = mongo::fetch_all(client, place.database, b.finish());
  if (found.empty()) return {};
  return found.front();
}

std::uint64_t Side::count(const Place& place) {
  auto b = aggregate(place, {});
  b.open_document("1").open_document("$group").null("_id").open_document("n").int32("$sum", 1).close().close().close();
  finish_aggregate(b, place);
  auto client = cluster_.router().acquire();
  auto found = mongo::fetch_all(client, place.database, b.finish());
  return found.empty() ? 0 : static_cast<std::uint64_t>(found.front().view().integer("n").value_or(0));
}

std::optional<bson::Document> Side::sample(const Place& place) {
  bson::Builder b;
  b.string("aggregate", place.name).open_array("pipeline").open_document("0").open_document("$sample").int32("size", 1).close().close();
  b.open_document("1").open_document("$project").int32("_id", 1).close().close().close().open_document("cursor").close();
  auto client = cluster_.router().acquire();
  auto found = mongo::fetch_all(client, place.database, b.finish());
  if (found.empty()) return {};
  return found.front().detached();
}

Side::Size Side::estimate(const Place& place) {
  auto client = cluster_.router().acquire();
  try {
    auto stats = client.run(place.database, bson::Builder().string("collStats", place.name).finish());
    return {static_cast<std::uint64_t>(stats.view().integer("count").value_or(0)), static_cast<std::uint64_t>(stats.view().integer("size").value_or(0))};
  } catch (const mongo::CommandError& e) {
    if (e.code() == mongo::code::kNamespaceNotFound) return {};
    throw;
  }
}

}  // namespace mongotwin::verify
