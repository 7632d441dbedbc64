// SPDX-License-Identifier: Apache-2.0
#include "control/layout_check.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "apply/layout.h"
#include "control/rights.h"
#include "copy/zones.h"
#include "mongo/cursor.h"

namespace mongotwin::control {
namespace {

constexpr const char* kWhatToDo = "change `sharding`";
constexpr std::size_t kShardedNamespaceMax = 235;  // bytes; the server's limit for sharded collections

std::map<std::string, bson::Document> shard_keys(mongo::Cluster& cluster) {
  std::map<std::string, bson::Document> out;
  if (!cluster.sharded()) return out;
  auto client = cluster.router().acquire();
  for (const auto& doc : mongo::fetch_all(client, "config", bson::Builder().string("find", "collections").finish()))
    if (!doc["dropped"].truthy() && !doc["unsplittable"].truthy()) out[std::string(doc.view().string("_id").value_or(""))] = bson::Document::copy_of(doc.view().fields("key"));
  return out;
}

// A rule for a collection that can't be sharded, or that says too little.
void check_rule(Pair& pair, const std::string& ns, const options::ShardingRule& rule, bool has_key) {
  if (!rule.sharded) return;
  auto dot = ns.find('.');
  auto client = pair.source->router().acquire();
  auto list = bson::Builder().int32("listCollections", 1).open_document("filter").string("name", ns.substr(dot + 1)).close().finish();
  bool copies = !pair.checkpoint || pair.checkpoint->phase == checkpoint::Phase::copying;
  for (const auto& found : mongo::fetch_all(client, ns.substr(0, dot), list)) {
    auto type = found.view().string("type").value_or("collection");
    if (type != "collection") throw Error(Remedy::fix_config, fmt::format("source: {} is a {}: `sharding` can't have it sharded", ns, type), kWhatToDo);
    if (found.view().fields("options")["capped"].truthy()) throw Error(Remedy::fix_config, fmt::format("source: {} is capped: `sharding` can't have it sharded", ns), kWhatToDo);
    if (copies && rule.key.empty() && !has_key) throw Error(Remedy::fix_config, fmt::format("source: {} is not sharded, and `sharding` names no key for it", ns), "give it a key there");
  }
}

void check_rules(Pair& pair, const options::Options& options, const std::map<std::string, bson::Document>& source_keys) {
  if (!pair.target->sharded() && !(options.sharding.empty() && options.zones.empty()))
    throw Error(Remedy::fix_config, "target: it is a replica set, where nothing can be sharded", "leave out `sharding` and `zones`, or give a sharded target");
  apply::TargetLayout layout(pair.target->router(), pair.target->sharded());
  layout.refresh();
  for (const auto& [ns, rule] : options.sharding) {
    if (!pair.filter.includes(ns)) throw Error(Remedy::fix_config, fmt::format("`sharding` names {}, which is not to be replicated", ns), "use the source's name of a collection that is selected");
    check_rule(pair, ns, rule, source_keys.contains(ns));
    auto there = pair.filter.target(ns);
    if (rule.sharded && there.size() > kShardedNamespaceMax)
      throw Error(Remedy::fix_config, fmt::format("target: the name {}… has {} bytes; a sharded collection's may have {}", there.substr(0, 60), there.size(), kShardedNamespaceMax), kWhatToDo);
    if (!pair.checkpoint && !layout.shard_key(there).empty()) pair.warnings.push_back(fmt::format("target: {} is sharded there already: it stays so, whatever `sharding` says of it", there));
  }
}

void check_zones(Pair& pair, const options::Options& options, const std::map<std::string, bson::Document>& source_keys, const std::set<std::string>& collections) {
  auto shards = pair.target->shard_names();
  for (const auto& [zone, on] : options.zones)
    for (const auto& shard : on)
      if (std::find(shards.begin(), shards.end(), shard) == shards.end())
        throw Error(Remedy::fix_config, fmt::format("target: `zones` gives the zone {} to the shard {}, which is not there; there are {}", zone, shard, fmt::join(shards, ", ")), "name a shard of the target");
  bool copies = !pair.checkpoint || pair.checkpoint->phase == checkpoint::Phase::copying;
  if (!copies || !pair.target->sharded()) return;
  auto source = copy::read_zones(*pair.source), target = copy::read_zones(*pair.target);
  std::set<std::string> named;
  for (const auto& [ns, ranges] : source.ranges)
    for (const auto& range : ranges) named.insert(range.zone);
  for (const auto& [zone, on] : options.zones)
    if (!named.contains(zone)) pair.warnings.push_back(fmt::format("source: it has no range in the zone {}, which `zones` names", zone));
  bool any = false;
  for (const auto& [ns, ranges] : source.ranges) {
    auto there = pair.filter.target(ns);
    bool beforehand = std::find(pair.sharded_beforehand.begin(), pair.sharded_beforehand.end(), there) != pair.sharded_beforehand.end();
    auto key = source_keys.find(ns);
    if (!collections.contains(ns) || key == source_keys.end() || beforehand) continue;
    auto by = pair.sharding.shard_key(there, key->second, false);
    if (!by || !apply::same_key(by->key, key->second)) {
      pair.warnings.push_back(fmt::format("target: {} gets none of the source's zones, since `sharding` has it {}", there, by ? "sharded by another key" : "unsharded"));
      continue;
    }
    any = true;
    for (const auto& range : ranges)
      if (copy::shards_for(range.zone, options.zones, source, target, shards).empty())
        throw Error(Remedy::fix_config, fmt::format("target: no shard is known for the zone {} of {}; there are {}", range.zone, ns, fmt::join(shards, ", ")),
                    fmt::format("name its shards in the configuration, zones: {{{}: [{}]}}, or give a shard of the target that zone", range.zone, shards.front()));
  }
  if (any && !may(*pair.target, "config", "update"))
    throw Error(Remedy::fix_config, "target: the user may not set zones, which the source has", "grant the role clusterManager (docs/rights.md), or have the collections sharded beforehand");
}

}  // namespace

apply::ShardingRules sharding_rules(const options::Options& options, const oplog::NamespaceFilter& filter) {
  apply::ShardingRules out;
  out.zones = options.zones;
  for (const auto& [ns, rule] : options.sharding) {
    bson::Builder key;
    for (const auto& [field, hashed] : rule.key)
      if (hashed) key.string(field, "hashed");
      else key.int32(field, 1);
    out.collections[filter.target(ns)] = {rule.sharded, {key.finish(), rule.unique, rule.chunks}};
  }
  return out;
}

void check_layout(Pair& pair, const options::Options& options, const std::set<std::string>& collections) {
  auto source_keys = shard_keys(*pair.source);
  check_rules(pair, options, source_keys);
  check_zones(pair, options, source_keys, collections);
  if (collections.empty() || pair.target->shards().size() < 2) return;
  auto there = pair.filter.target(*collections.begin());
  if (!may(*pair.target, there.substr(0, there.find('.')), "moveChunk"))
    pair.warnings.push_back("target: the user may not split and move chunks: sharded collections begin on one shard, but for hashed keys (the role clusterManager lets mongotwin spread them)");
}

}  // namespace mongotwin::control
