// SPDX-License-Identifier: Apache-2.0
#include "source/cluster_map.h"

namespace mongotwin::source {
namespace {

bool is_unsplittable(const bson::Document& entry) { return entry["unsplittable"].truthy() && !entry["dropped"].truthy(); }

}  // namespace

ClusterMap::ClusterMap(const std::vector<bson::Document>& collections, const std::vector<bson::Document>& chunks, const std::vector<bson::Document>& databases) {
  std::map<oplog::Uuid, std::string> shard_of;
  for (const auto& chunk : chunks)
    if (auto uuid = oplog::Uuid::from(chunk["uuid"])) shard_of[*uuid] = chunk.view().string("shard").value_or("");
  for (const auto& entry : collections) {
    auto uuid = oplog::Uuid::from(entry["uuid"]);
    if (!uuid || entry["dropped"].truthy()) continue;
    if (!is_unsplittable(entry)) sharded_[*uuid] = entry.detached();
    else if (auto shard = shard_of.find(*uuid); shard != shard_of.end()) placed_[*uuid] = shard->second;
  }
  for (const auto& entry : databases) primary_shard_[std::string(entry.view().string("_id").value_or(""))] = std::string(entry.view().string("primary").value_or(""));
}

bool ClusterMap::is_real_on(const std::string& shard, const oplog::Uuid& uuid, const std::string& database) const {
  if (sharded_.contains(uuid)) return true;
  if (auto placed = placed_.find(uuid); placed != placed_.end()) return placed->second == shard;
  auto primary = primary_shard_.find(database);
  return primary != primary_shard_.end() && primary->second == shard;
}

const bson::Document* ClusterMap::sharded(const oplog::Uuid& uuid) const {
  auto entry = sharded_.find(uuid);
  return entry == sharded_.end() ? nullptr : &entry->second;
}

std::optional<bson::Document> chunks_needed(const std::vector<bson::Document>& collections) {
  bson::Builder b;
  b.open_document("uuid").open_array("$in");
  std::size_t count = 0;
  for (const auto& entry : collections)
    if (is_unsplittable(entry)) b.value(std::to_string(count++), entry["uuid"]);
  if (count == 0) return {};
  return b.close().close().finish();
}

}  // namespace mongotwin::source
