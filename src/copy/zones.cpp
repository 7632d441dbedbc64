// SPDX-License-Identifier: Apache-2.0
#include "copy/zones.h"

#include <algorithm>

#include "mongo/cursor.h"

namespace mongotwin::copy {

Zones read_zones(mongo::Cluster& cluster) {
  Zones out;
  if (!cluster.sharded()) return out;
  auto client = cluster.router().acquire();
  for (const auto& doc : mongo::fetch_all(client, "config", bson::Builder().string("find", "tags").open_document("sort").int32("ns", 1).int32("min", 1).close().finish())) {
    auto text = [&](const char* name) { return std::string(doc.view().string(name).value_or("")); };
    out.ranges[text("ns")].push_back({bson::Document::copy_of(doc.view().fields("min")), bson::Document::copy_of(doc.view().fields("max")), text("tag")});
  }
  for (const auto& doc : mongo::fetch_all(client, "config", bson::Builder().string("find", "shards").open_document("sort").int32("_id", 1).close().finish()))
    for (const auto& zone : doc.view().fields("tags")) out.shards[std::string(zone.string().value_or(""))].emplace_back(doc.view().string("_id").value_or(""));
  return out;
}

std::vector<std::string> shards_for(const std::string& zone, const std::map<std::string, std::vector<std::string>>& configured, const Zones& source, const Zones& target,
                                    const std::vector<std::string>& target_shards) {
  if (auto it = configured.find(zone); it != configured.end()) return it->second;
  if (auto it = target.shards.find(zone); it != target.shards.end()) return it->second;
  std::vector<std::string> same;
  if (auto it = source.shards.find(zone); it != source.shards.end())
    for (const auto& shard : it->second)
      if (std::find(target_shards.begin(), target_shards.end(), shard) != target_shards.end()) same.push_back(shard);
  return same;
}

}  // namespace mongotwin::copy
