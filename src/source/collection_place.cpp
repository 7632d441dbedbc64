// SPDX-License-Identifier: Apache-2.0
#include "source/collection_place.h"

#include <fmt/format.h>

#include <algorithm>

#include "mongo/cursor.h"

namespace mongotwin::source {
namespace {

// With majority: what was seen of a migration's effects on a shard lies behind its commit on a majority of the config
// servers, so that this can't miss it.
std::vector<bson::Document> config_find(mongo::Client& router, const char* collection, const bson::Document& filter, const char* sort = nullptr, int direction = 1, int limit = 0) {
  bson::Builder b;
  b.string("find", collection).document("filter", filter);
  if (sort != nullptr) b.open_document("sort").int32(sort, direction).close();
  if (limit > 0) b.int32("limit", limit);
  b.open_document("readConcern").string("level", "majority").close();
  return mongo::fetch_all(router, "config", b.finish());
}

std::optional<bson::Document> first_of(std::vector<bson::Document> found) {
  if (found.empty()) return {};
  return found.front().detached();
}

bool is_sharded(const bson::Document& entry) { return !entry["dropped"].truthy() && !entry["unsplittable"].truthy(); }

// By UUID since 5.0, by name before.
bson::Document chunks_of(const CollectionPlace& place) {
  bson::Builder b;
  b.open_array("$or").open_document("0").uuid("uuid", place.uuid.view()).close().open_document("1").string("ns", place.database + "." + place.name).close().close();
  return b.finish();
}

std::optional<oplog::ShardIndex> index_of(mongo::Cluster& source, std::string_view name) {
  auto& shards = source.shards();
  auto found = std::find_if(shards.begin(), shards.end(), [&](const auto& s) { return s.name == name; });
  if (found == shards.end()) return {};
  return static_cast<oplog::ShardIndex>(found - shards.begin());
}

std::optional<bson::Document> sharded_entry(mongo::Client& router, const oplog::Uuid& uuid) {
  auto entry = first_of(config_find(router, "collections", bson::Builder().uuid("uuid", uuid.view()).finish()));
  return entry && is_sharded(*entry) ? entry : std::nullopt;
}

// A split leaves the major version alone, a migration raises it; refining or resharding gives another epoch.
std::string sharded_version(mongo::Client& router, const bson::Document& entry, const CollectionPlace& place) {
  auto newest = first_of(config_find(router, "chunks", chunks_of(place), "lastmod", -1, 1));
  auto major = newest ? (*newest)["lastmod"].timestamp().value_or(bson::Timestamp()).t : 0;
  return fmt::format("{} {}", bson::to_json(entry["lastmodEpoch"]), major);
}

std::string unsharded_version(const std::optional<bson::Document>& database) { return database ? std::string(database->view().string("primary").value_or("")) : std::string(); }

std::optional<bson::Document> database_entry(mongo::Client& router, const std::string& database) {
  return first_of(config_find(router, "databases", bson::Builder().string("_id", database).finish()));
}

void take_chunks(mongo::Cluster& source, mongo::Client& router, const bson::Document& entry, CollectionPlace& place) {
  place.version = sharded_version(router, entry, place);
  std::vector<Ownership::Chunk> chunks;
  for (const auto& chunk : config_find(router, "chunks", chunks_of(place), "min")) {
    auto shard = index_of(source, chunk.view().string("shard").value_or(""));
    if (!shard) place.through_router = true;
    chunks.push_back({bson::Document::copy_of(chunk.view().fields("min")), shard.value_or(0)});
  }
  if (chunks.empty() || place.version != sharded_version(router, entry, place))
    throw mongo::CommandError(Remedy::retry, 0, false, fmt::format("source: the chunks of {}.{} changed while they were read", place.database, place.name));
  place.ownership = std::make_shared<Ownership>(entry.view().fields("key"), std::move(chunks));
  place.shards = place.ownership->shards();
}

// A listing of one shard's database, or of the whole replica set's.
std::optional<bson::Document> listed(mongo::Client& client, const std::string& database, bson::View filter) {
  return first_of(mongo::fetch_all(client, database, bson::Builder().int32("listCollections", 1).document("filter", filter).finish()));
}

// False for a view.
bool take_listing(const bson::Document& doc, CollectionPlace& place) {
  auto uuid = oplog::Uuid::from(doc.view().fields("info")["uuid"]);
  if (!uuid) return false;
  place.name = std::string(doc.view().string("name").value_or(""));
  place.uuid = *uuid;
  return true;
}

std::optional<CollectionPlace> find_in_set(mongo::Cluster& source, CollectionPlace place) {
  auto client = source.shards().front().pool->acquire();
  auto doc = listed(client, place.database, bson::Builder().uuid("info.uuid", place.uuid.view()).finish());
  if (!doc || !take_listing(*doc, place)) return {};
  place.shards = {0};
  return place;
}

}  // namespace

std::optional<CollectionPlace> find_place(mongo::Cluster& source, mongo::Client& router, const std::string& ns, const oplog::Uuid& uuid) {
  auto dot = ns.find('.');
  CollectionPlace place{ns.substr(0, dot), ns.substr(dot + 1), uuid, {}, {}, {}, false};
  if (!source.sharded()) return find_in_set(source, std::move(place));
  auto entry = sharded_entry(router, uuid);
  auto database = database_entry(router, place.database);
  auto primary = index_of(source, unsharded_version(database));
  if (!entry && database) {
    auto client = primary ? source.shards()[*primary].pool->acquire() : source.router().acquire();
    auto doc = listed(client, place.database, bson::Builder().uuid("info.uuid", uuid.view()).finish());
    if (!doc) {
      if (auto by_name = first_of(config_find(router, "collections", bson::Builder().string("_id", ns).finish())); by_name && is_sharded(*by_name)) {
        place.uuid = oplog::Uuid::from((*by_name)["uuid"]).value_or(uuid);
        entry = by_name;
      } else {
        doc = listed(client, place.database, bson::Builder().string("name", place.name).finish());
      }
    }
    if (doc) {
      if (!take_listing(*doc, place)) return {};
      place.version = unsharded_version(database);
      place.through_router = !primary;
      if (primary) place.shards = {*primary};
      return place;
    }
  }
  if (!entry) return {};
  auto name = entry->view().string("_id").value_or("");
  place.name = std::string(name.substr(name.find('.') + 1));
  take_chunks(source, router, *entry, place);
  return place;
}

std::string version_now(mongo::Cluster& source, mongo::Client& router, const CollectionPlace& place) {
  if (!source.sharded()) return {};
  if (auto entry = sharded_entry(router, place.uuid)) return sharded_version(router, *entry, place);
  return unsharded_version(database_entry(router, place.database));
}

}  // namespace mongotwin::source
