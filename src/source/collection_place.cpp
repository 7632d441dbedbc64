// SPDX-License-Identifier: Apache-2.0
#include "source/collection_place.h"

#include <fmt/format.h>

#include <algorithm>

#include "mongo/cursor.h"

namespace mongotwin::source {
namespace {

// The cluster's metadata. With majority: what was seen of a migration's effects on a shard lies behind its commit on a
// majority of the config servers, so that this can't miss it.
class Metadata {
 public:
  explicit Metadata(mongo::Client& router) : router_(router) {}

  std::vector<bson::Document> find(const char* collection, const bson::Document& filter, const char* sort = nullptr, int direction = 1, int limit = 0) {
    bson::Builder b;
    b.string("find", collection).document("filter", filter);
    if (sort != nullptr) b.open_document("sort").int32(sort, direction).close();
    if (limit > 0) b.int32("limit", limit);
    auto command = b.open_document("readConcern").string("level", "majority").close().finish();
    std::vector<bson::Document> out;
    mongo::Cursor cursor(router_, "config", command);
    while (auto batch = cursor.next()) {
      as_of_ = std::max(as_of_, time_of(batch->reply));
      for (const auto& e : batch->array) out.emplace_back(std::make_shared<bson::Document>(batch->reply), *e.document());
    }
    return out;
  }
  std::optional<bson::Document> find_one(const char* collection, const bson::Document& filter) { return first_of(find(collection, filter)); }
  // A time at which all that was found had happened.
  [[nodiscard]] oplog::Timestamp as_of() const { return as_of_; }

  static std::optional<bson::Document> first_of(std::vector<bson::Document> found) {
    if (found.empty()) return {};
    return found.front().detached();
  }

 private:
  static oplog::Timestamp time_of(const bson::Document& reply) {
    if (auto time = reply["operationTime"].timestamp()) return *time;
    return reply.view().fields("$clusterTime")["clusterTime"].timestamp().value_or(oplog::Timestamp());
  }
  mongo::Client& router_;
  oplog::Timestamp as_of_;
};

bool is_tracked(const bson::Document& entry) { return !entry["dropped"].truthy(); }

mongo::CommandError moving(const std::string& ns) { return {Remedy::retry, 0, false, fmt::format("source: {} moved while it was looked for", ns)}; }

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

std::optional<bson::Document> tracked(std::optional<bson::Document> entry) { return entry && is_tracked(*entry) ? entry : std::nullopt; }

std::optional<bson::Document> entry_of(Metadata& metadata, const oplog::Uuid& uuid) { return tracked(metadata.find_one("collections", bson::Builder().uuid("uuid", uuid.view()).finish())); }

// A split leaves the major version alone, a migration raises it; refining or resharding gives another epoch.
std::string tracked_version(Metadata& metadata, const bson::Document& entry, const CollectionPlace& place) {
  auto newest = Metadata::first_of(metadata.find("chunks", chunks_of(place), "lastmod", -1, 1));
  auto major = newest ? (*newest)["lastmod"].timestamp().value_or(bson::Timestamp()).t : 0;
  return fmt::format("{} {}", bson::to_json(entry["lastmodEpoch"]), major);
}

std::string unsharded_version(const std::optional<bson::Document>& database) { return database ? std::string(database->view().string("primary").value_or("")) : std::string(); }

std::optional<bson::Document> database_entry(Metadata& metadata, const std::string& database) { return metadata.find_one("databases", bson::Builder().string("_id", database).finish()); }

void take_chunks(mongo::Cluster& source, Metadata& metadata, const bson::Document& entry, CollectionPlace& place) {
  place.version = tracked_version(metadata, entry, place);
  std::vector<Ownership::Chunk> chunks;
  for (const auto& chunk : metadata.find("chunks", chunks_of(place), "min")) {
    auto shard = index_of(source, chunk.view().string("shard").value_or(""));
    if (!shard) place.through_router = true;
    chunks.push_back({bson::Document::copy_of(chunk.view().fields("min")), shard.value_or(0)});
  }
  if (chunks.empty() || place.version != tracked_version(metadata, entry, place)) throw moving(place.database + "." + place.name);
  Ownership ownership(entry.view().fields("key"), std::move(chunks));
  place.shards = ownership.shards();
  // The only chunk of an unsharded collection, which 8.0 can put on any shard, has no key to tell documents apart by.
  if (!entry["unsplittable"].truthy()) place.ownership = std::make_shared<Ownership>(std::move(ownership));
}

// A listing of one shard's database, or of the whole replica set's.
std::optional<bson::Document> listed(mongo::Client& client, const std::string& database, bson::View filter) {
  return Metadata::first_of(mongo::fetch_all(client, database, bson::Builder().int32("listCollections", 1).document("filter", filter).finish()));
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

// What the metadata say of a collection, which may have another UUID by now.
struct Look {
  std::optional<bson::Document> database, by_uuid, by_name;
  bool operator==(const Look&) const = default;
};

Look look_at(Metadata& metadata, const std::string& database, const std::string& ns, const oplog::Uuid& uuid) {
  return {database_entry(metadata, database), entry_of(metadata, uuid), tracked(metadata.find_one("collections", bson::Builder().string("_id", ns).finish()))};
}

std::optional<CollectionPlace> find_tracked(mongo::Cluster& source, Metadata& metadata, const bson::Document& entry, CollectionPlace place) {
  auto name = entry.view().string("_id").value_or("");
  place.name = std::string(name.substr(name.find('.') + 1));
  place.uuid = oplog::Uuid::from(entry["uuid"]).value_or(place.uuid);
  take_chunks(source, metadata, entry, place);
  return place;
}

std::optional<CollectionPlace> find_looked_at(mongo::Cluster& source, Metadata& metadata, const Look& look, CollectionPlace place) {
  if (look.by_uuid) return find_tracked(source, metadata, *look.by_uuid, std::move(place));
  if (!look.database) return {};
  auto primary = index_of(source, unsharded_version(look.database));
  auto client = primary ? source.shards()[*primary].pool->acquire() : source.router().acquire();
  auto doc = listed(client, place.database, bson::Builder().uuid("info.uuid", place.uuid.view()).finish());
  if (!doc && look.by_name) return find_tracked(source, metadata, *look.by_name, std::move(place));
  if (!doc) doc = listed(client, place.database, bson::Builder().string("name", place.name).finish());
  if (!doc || !take_listing(*doc, place)) return {};
  place.version = unsharded_version(look.database);
  place.through_router = !primary;
  if (primary) place.shards = {*primary};
  return place;
}

}  // namespace

std::optional<CollectionPlace> find_place(mongo::Cluster& source, mongo::Client& router, const std::string& ns, const oplog::Uuid& uuid) {
  auto dot = ns.find('.');
  CollectionPlace place{ns.substr(0, dot), ns.substr(dot + 1), uuid, {}, {}, {}, {}, false};
  if (!source.sharded()) return find_in_set(source, std::move(place));
  Metadata metadata(router);
  auto look = look_at(metadata, place.database, ns, uuid);
  auto found = find_looked_at(source, metadata, look, place);
  if (!found) {
    // Gone, or on its way from one shard to another: then it is where nobody looked.
    if (look_at(metadata, place.database, ns, uuid) != look) throw moving(ns);
    return {};
  }
  found->as_of = metadata.as_of();
  return found;
}

std::string version_now(mongo::Cluster& source, mongo::Client& router, const CollectionPlace& place) {
  if (!source.sharded()) return {};
  Metadata metadata(router);
  if (auto entry = entry_of(metadata, place.uuid)) return tracked_version(metadata, *entry, place);
  return unsharded_version(database_entry(metadata, place.database));
}

}  // namespace mongotwin::source
