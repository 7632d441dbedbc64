// SPDX-License-Identifier: Apache-2.0
// Zones: what a sharded cluster says about which shards a range of a collection may lie on (config.tags,
// config.shards), and which shards of the target stand for a zone of the source. Values; functions are thread-safe.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "mongo/cluster.h"

namespace mongotwin::copy {

struct ZoneRange {
  bson::Document min, max;  // full shard keys; min is included, max is not
  std::string zone;
};

struct Zones {
  std::map<std::string, std::vector<ZoneRange>> ranges;    // by namespace, in the order of the key
  std::map<std::string, std::vector<std::string>> shards;  // by zone
};

// Empty for a replica set.
[[nodiscard]] Zones read_zones(mongo::Cluster& cluster);

// The target's shards for a zone of the source: those configured for it, else those that carry it there already, else
// those called as the source's are. Empty: none is known. Pure.
[[nodiscard]] std::vector<std::string> shards_for(const std::string& zone, const std::map<std::string, std::vector<std::string>>& configured, const Zones& source, const Zones& target,
                                                  const std::vector<std::string>& target_shards);

}  // namespace mongotwin::copy
