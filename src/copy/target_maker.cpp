// SPDX-License-Identifier: Apache-2.0
#include "copy/target_maker.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "base/log.h"
#include "copy/presplit.h"
#include "copy/primaries.h"
#include "mongo/cursor.h"

namespace mongotwin::copy {

std::optional<apply::ShardKey> TargetMaker::shard_key(const Wanted& collection) const {
  if (!target_.sharded()) return {};
  const auto& key = collection.from->shard_key;
  return ddl_.rules().shard_key(collection.ns, key ? key->view() : bson::View(), collection.from->shard_key_unique);
}

void TargetMaker::prepare(const std::vector<Wanted>& collections) {
  layout_.refresh();
  beforehand_.clear();
  for (const auto& c : collections)
    if (!layout_.shard_key(c.ns).empty()) beforehand_.insert(c.ns);
  if (!target_.sharded()) return;
  zones_ = read_zones(source_);
  auto there = read_zones(target_);
  zone_shards_.clear();
  for (const auto& [ns, ranges] : zones_.ranges)
    for (const auto& range : ranges) zone_shards_[range.zone] = shards_for(range.zone, ddl_.rules().zones, zones_, there, target_.shard_names());
  place_databases(collections);
}

void TargetMaker::place_databases(const std::vector<Wanted>& collections) {
  std::map<std::string, std::uint64_t> bytes;
  for (const auto& c : collections) {
    auto& of_database = bytes[c.ns.substr(0, c.ns.find('.'))];
    if (!shard_key(c)) of_database += size_of(source_, c.from->ns).bytes;
  }
  auto client = target_.router().acquire();
  for (const auto& doc : mongo::fetch_all(client, "config", bson::Builder().string("find", "databases").finish())) bytes.erase(std::string(doc.view().string("_id").value_or("")));
  for (const auto& [database, shard] : choose_primaries(bytes, shards_to_fill(target_))) {
    try {
      client.run("admin", bson::Builder().string("enableSharding", database).string("primaryShard", shard).finish());
      log::info("copy", "target: the database {} has its unsharded collections on the shard {}", database, shard);
    } catch (const mongo::CommandError& e) {
      if (e.code() != mongo::code::kUnauthorized) throw;
      return log::warn("copy", "target: which shards hold the unsharded collections is left to the target: {} (the role enableSharding lets mongotwin spread them)", e.what());
    }
  }
}

void TargetMaker::make(const Wanted& c) {
  if (beforehand_.contains(c.ns)) return;
  auto by = shard_key(c);
  bool zoned = by && c.from->shard_key && apply::same_key(*c.from->shard_key, by->key) && zones_.ranges.contains(c.from->ns);
  if (zoned) set_zones(c);
  ddl_.create_unsharded(c.ns, c.from->options, true);
  if (!by) return;
  create_index_of(*by, c);
  ddl_.shard_collection(c.ns, *by);
  presplit(source_, target_, *c.from, c.ns, *by);
}

// Before the sharding, by which the server would make one of its own.
void TargetMaker::create_index_of(const apply::ShardKey& by, const Wanted& c) {
  const bson::Document* unique = nullptr;
  for (const auto& index : c.from->indexes) {
    if (!apply::serves(index, by.key)) continue;
    if (!index["unique"].truthy() && !index["prepareUnique"].truthy()) return ddl_.create_indexes(c.ns, {index}, false);
    unique = &index;
  }
  if (!unique) return;
  // With `unique` the server would make that of the key at once: then it is the source's own, name and all.
  bool at_once = by.unique && apply::same_key(unique->view().fields("key"), by.key);
  ddl_.create_indexes(c.ns, {*unique}, at_once);
}

// Before the collection is sharded: the server then makes a chunk of every range, where it belongs.
void TargetMaker::set_zones(const Wanted& c) {
  auto client = target_.router().acquire();
  for (const auto& range : zones_.ranges.at(c.from->ns)) {
    const auto& shards = zone_shards_.at(range.zone);
    if (shards.empty())
      throw Error(Remedy::fix_config, fmt::format("the source's zone {} of {} has no shard on the target", range.zone, c.from->ns), "name its shards in `zones`");
    for (const auto& shard : shards) client.run("admin", bson::Builder().string("addShardToZone", shard).string("zone", range.zone).finish());
    client.run("admin", bson::Builder().string("updateZoneKeyRange", c.ns).document("min", range.min).document("max", range.max).string("zone", range.zone).finish());
  }
  log::info("copy", "target: {}: zones as on the source", c.ns);
}

}  // namespace mongotwin::copy
