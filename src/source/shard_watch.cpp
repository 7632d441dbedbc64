// SPDX-License-Identifier: Apache-2.0
#include "source/shard_watch.h"

#include <fmt/format.h>

#include "mongo/cursor.h"
#include "oplog/namespace_filter.h"

namespace mongotwin::source {

using oplog::Timestamp;
using oplog::Uuid;

std::vector<ShardWatch::Row> ShardWatch::shards_as_of(Timestamp at, oplog::ShardIndex leader) {
  auto client = source_.shards()[leader].pool->acquire();
  // Signed by the cluster, so that the router takes it also under authentication.
  cluster_time_ = bson::Document::copy_of(client.run("admin", bson::Builder().int32("ping", 1).finish()).view().fields("$clusterTime"));
  at_ = at;
  std::vector<Row> rows;
  for (const auto& doc : find("shards", bson::View()))
    rows.push_back({std::string(doc.view().string("_id").value_or("")), std::string(doc.view().string("host").value_or("")), doc["draining"].truthy()});
  return rows;
}

bool ShardWatch::owns_nothing(const std::string& shard) {
  return find("chunks", bson::Builder().string("shard", shard).finish()).empty() && find("databases", bson::Builder().string("primary", shard).finish()).empty();
}

std::vector<bson::Document> ShardWatch::find(const char* collection, bson::View filter) {
  bson::Builder command;
  command.string("find", collection).document("filter", filter).boolean("singleBatch", true).int32("batchSize", 10'000);
  command.open_document("readConcern").string("level", "majority").timestamp("afterClusterTime", at_).close();
  auto document = command.finish();
  auto reply = cluster_time_.view().empty() ? router_.run("config", document) : router_.run_at(cluster_time_, "config", document);
  std::vector<bson::Document> out;
  for (const auto& e : reply.view().fields("cursor").fields("firstBatch")) out.push_back(bson::Document::copy_of(*e.document()));
  return out;
}

namespace {

std::optional<bson::Document> first_of(mongo::Client& client, bson::Builder& find, const char* level) {
  auto docs = mongo::fetch_all(client, "local", find.int32("limit", 1).open_document("readConcern").string("level", level).close().finish());
  return docs.empty() ? std::nullopt : std::optional(bson::Document::copy_of(docs.front()));
}

Timestamp beginning(mongo::Client& client, const std::string& shard) {
  bson::Builder first;
  auto oldest = first_of(client, first.string("find", "oplog.rs").open_document("sort").int32("$natural", 1).close(), "majority");
  if (oldest && oldest->view().fields("o").string("msg") == "initiating set") return (*oldest)["ts"].timestamp().value_or(Timestamp());
  bson::Builder identity;
  identity.string("find", "oplog.rs").open_document("filter").string("op", "i").string("ns", "admin.system.version").string("o._id", "shardIdentity").close();
  auto joined = first_of(client, identity.open_document("sort").int32("$natural", -1).close(), "majority");
  if (joined) return (*joined)["ts"].timestamp().value_or(Timestamp());
  throw Error(Remedy::resync, fmt::format("source shard {}: it was added to the cluster, and its oplog no longer holds that moment", shard), "start again with a new copy");
}

bool created_since(mongo::Client& client, Timestamp since, const Uuid& uuid) {
  bson::Builder find;
  find.string("find", "oplog.rs").open_document("filter").string("op", "c").open_document("ts").timestamp("$gte", since).close();
  find.open_array("$or").open_document("0").uuid("ui", uuid.view()).open_document("o.create").boolean("$exists", true).close().close();
  find.open_document("1").open_document("o.applyOps").open_document("$elemMatch").string("op", "c").uuid("ui", uuid.view()).close().close().close().close().close();
  return first_of(client, find, "local").has_value();  // as the listing: what was made just now counts
}

}  // namespace

Timestamp join_position(mongo::Shard& shard) {
  auto client = shard.pool->acquire();
  auto since = beginning(client, shard.name);
  auto reply = client.run("admin", bson::Builder().int32("listDatabases", 1).boolean("nameOnly", true).finish());
  for (const auto& e : reply.view().fields("databases")) {
    auto database = std::string(e.fields().string("name").value_or(""));
    if (oplog::NamespaceFilter::is_internal_database(database)) continue;
    for (const auto& doc : mongo::fetch_all(client, database, bson::Builder().int32("listCollections", 1).finish())) {
      auto uuid = Uuid::from(doc.view().fields("info")["uuid"]);
      if (uuid && !created_since(client, since, *uuid))
        throw Error(Remedy::resync, fmt::format("source shard {}: it was added to the cluster with {}.{}, whose beginning its oplog does not hold", shard.name, database, doc.view().string("name").value_or("")), "start again with a new copy");
    }
  }
  return since;
}

}  // namespace mongotwin::source
