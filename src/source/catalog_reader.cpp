// SPDX-License-Identifier: Apache-2.0
#include "source/catalog_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "base/backoff.h"
#include "base/log.h"
#include "base/worker.h"
#include "mongo/cursor.h"
#include "source/cluster_map.h"
#include "source/mongo_oplog.h"

namespace mongotwin::source {
namespace {

using oplog::Timestamp;
using oplog::Uuid;

constexpr int kTriesMax = 200;

struct ShardListing {
  struct One {
    std::string ns;
    Uuid uuid;
    bson::Document options;
    std::vector<bson::Document> indexes;
  };
  std::vector<One> collections;
  std::vector<SourceView> views;
};

std::vector<std::string> database_names(mongo::Client& client) {
  auto reply = client.run("admin", bson::Builder().int32("listDatabases", 1).boolean("nameOnly", true).finish());
  std::vector<std::string> names;
  for (const auto& e : reply.view().fields("databases")) {
    auto name = std::string(e.fields().string("name").value_or(""));
    if (!oplog::NamespaceFilter::is_internal_database(name)) names.push_back(name);
  }
  return names;
}

std::vector<bson::Document> list_indexes(mongo::Client& client, const std::string& database, const std::string& collection) {
  try {
    auto specs = mongo::fetch_all(client, database, bson::Builder().string("listIndexes", collection).boolean("includeBuildUUIDs", true).finish());
    // One that is still being built is listed too (seen on 6.0), as {buildUUID, spec}; it may yet be aborted, and if it
    // is not, its commitIndexBuild is in the oplog.
    std::erase_if(specs, [](const auto& spec) { return static_cast<bool>(spec["buildUUID"]); });
    return specs;
  } catch (const mongo::CommandError& e) {
    if (e.code() == mongo::code::kNamespaceNotFound) return {};  // dropped just now: the listing is taken again
    throw;
  }
}

ShardListing list_shard(mongo::Client& client) {
  ShardListing out;
  for (const auto& database : database_names(client))
    for (const auto& doc : mongo::fetch_all(client, database, bson::Builder().int32("listCollections", 1).finish())) {
      auto name = std::string(doc.view().string("name").value_or(""));
      auto ns = database + "." + name;
      auto options = bson::Document::copy_of(doc.view().fields("options"));
      auto type = doc.view().string("type").value_or("collection");
      if (type == "view") out.views.push_back({ns, options});
      auto uuid = Uuid::from(doc.view().fields("info")["uuid"]);
      if (type != "collection" || !uuid || name == "system.profile") continue;
      ShardListing::One one{ns, *uuid, options, {}};
      for (const auto& spec : list_indexes(client, database, name)) one.indexes.push_back(bson::Document::copy_of(spec));
      out.collections.push_back(std::move(one));
    }
  return out;
}

// DDL in the oplog after `from`? Then a listing made since may be half old and half new.
bool ddl_since(mongo::Client& client, Timestamp from) {
  auto filter = bson::Document::from_json(fmt::format(
      R"({{"ts": {{"$gt": {{"$timestamp": {{"t": {}, "i": {}}}}}}}, "$or": [
           {{"op": "c", "o.applyOps": {{"$exists": false}}, "o.commitTransaction": {{"$exists": false}}, "o.abortTransaction": {{"$exists": false}}}},
           {{"o.applyOps.op": "c"}}, {{"op": {{"$in": ["i", "u", "d"]}}, "ns": {{"$regularExpression": {{"pattern": "\\.system\\.views$", "options": ""}}}}}}]}})",
      from.t, from.i));
  auto command = bson::Builder().string("find", "oplog.rs").document("filter", filter).int32("limit", 1).boolean("singleBatch", true).finish();
  return !mongo::fetch_all(client, "local", command).empty();
}

ClusterMap read_cluster_map(mongo::Cluster& source) {
  if (!source.sharded()) return {{}, {}, {}};
  auto client = source.router().acquire();
  auto collections = mongo::fetch_all(client, "config", bson::Builder().string("find", "collections").finish());
  std::vector<bson::Document> chunks;
  if (auto needed = chunks_needed(collections)) chunks = mongo::fetch_all(client, "config", bson::Builder().string("find", "chunks").document("filter", *needed).finish());
  return {collections, chunks, mongo::fetch_all(client, "config", bson::Builder().string("find", "databases").finish())};
}

// One shard, again until nothing changed while it was listed.
ShardListing stable_listing(mongo::Shard& shard, Timestamp& listed_up_to, std::stop_token stop) {
  Backoff backoff(std::chrono::milliseconds(10), std::chrono::milliseconds(300));
  auto client = shard.pool->acquire();
  for (int n = 0; n < kTriesMax; ++n) {
    auto before = newest_position(client);
    auto listing = list_shard(client);
    auto after = newest_position(client);
    if (!ddl_since(client, before)) {
      listed_up_to = after;
      return listing;
    }
    log::debug("source", "shard {}: collections changed while they were listed; listing them again", shard.name);
    if (!sleep_for(stop, backoff.next())) break;
  }
  throw Error(Remedy::retry, fmt::format("source shard {}: collections are created, dropped or renamed faster than they can be listed", shard.name), "start the copy at a quieter time");
}

void take_in(SourceCatalog& out, const ShardListing& listing, oplog::ShardIndex shard, const std::string& shard_name, const ClusterMap& map, bool sharded_cluster) {
  for (const auto& c : listing.collections) {
    const auto* entry = map.sharded(c.uuid);
    auto database = c.ns.substr(0, c.ns.find('.'));
    bool real = !sharded_cluster || map.is_real_on(shard_name, c.uuid, database);
    oplog::Catalog::Listed listed{shard, c.ns, c.uuid, c.options, {}, real};
    for (const auto& spec : c.indexes) listed.indexes.emplace_back(spec.view().string("name").value_or(""));
    auto name = std::string_view(c.ns).substr(database.size() + 1);
    bool resharding = name.starts_with("system.resharding.");
    if (resharding) listed.specs = c.indexes;
    out.listed.push_back(listed);
    if (!real || name == "system.views" || resharding) continue;
    auto known = std::find_if(out.collections.begin(), out.collections.end(), [&](const auto& k) { return k.uuid == c.uuid; });
    if (known == out.collections.end()) {
      SourceCollection collection{c.ns, c.uuid, c.options, {}, {}, false, {}};
      if (entry != nullptr) {
        collection.shard_key = bson::Document::copy_of(entry->view().fields("key"));
        collection.shard_key_unique = (*entry)["unique"].truthy();
      }
      known = out.collections.insert(out.collections.end(), std::move(collection));
    }
    known->shards.push_back(shard);
    for (const auto& spec : c.indexes) {
      bool is_id = spec.view().string("name") == "_id_" || spec["clustered"].truthy();
      bool has = std::any_of(known->indexes.begin(), known->indexes.end(), [&](const auto& i) { return i.view().string("name") == spec.view().string("name"); });
      if (!is_id && !has) known->indexes.push_back(spec);
    }
  }
  for (const auto& view : listing.views)
    if (std::none_of(out.views.begin(), out.views.end(), [&](const auto& v) { return v.ns == view.ns; })) out.views.push_back(view);
}

}  // namespace

SourceCatalog read_catalog(mongo::Cluster& source, std::stop_token stop) {
  for (;;) {
    SourceCatalog out;
    out.listed_up_to.resize(source.shards().size());
    std::vector<ShardListing> listings;
    for (std::size_t s = 0; s < source.shards().size(); ++s) listings.push_back(stable_listing(source.shards()[s], out.listed_up_to[s], stop));
    // After the shards: a collection that became sharded meanwhile has its UUID here already, and DDL since then is seen below.
    auto map = read_cluster_map(source);
    bool changed = false;
    for (std::size_t s = 0; s < source.shards().size() && source.sharded(); ++s) {
      auto client = source.shards()[s].pool->acquire();
      changed |= ddl_since(client, out.listed_up_to[s]);
    }
    if (!changed) {
      for (std::size_t s = 0; s < listings.size(); ++s)
        take_in(out, listings[s], static_cast<oplog::ShardIndex>(s), source.shards()[s].name, map, source.sharded());
      return out;
    }
    if (!sleep_for(stop, std::chrono::milliseconds(50))) throw Error(Remedy::retry, "stopped while the source's collections were listed");
  }
}

}  // namespace mongotwin::source
