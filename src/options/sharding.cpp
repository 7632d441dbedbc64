// SPDX-License-Identifier: Apache-2.0
#include "options/sharding.h"

#include <algorithm>

#include "options/rules.h"

namespace mongotwin::options {
namespace {

constexpr int kChunksMost = 8192;
constexpr const char* kAllowed = "{\"db.collection\": unsharded} or {\"db.collection\": {key: {field: 1, other: hashed}, unique: false, chunks: 32}}";
constexpr const char* kKeyAllowed = "{field: 1} or {field: hashed}, several fields in their order, at most one of them hashed";

std::vector<std::pair<std::string, bool>> shard_key(const Field& field) {
  std::vector<std::pair<std::string, bool>> out;
  for (const auto& [name, value] : field.entries(kKeyAllowed)) {
    if (auto wrong = wrong_with_key_field(name); !wrong.empty()) value.refuse(wrong, kKeyAllowed);
    auto how = value.text(kKeyAllowed);
    if (how != "1" && how != "hashed") value.refuse(value.quoted(how) + " is neither 1 nor hashed", kKeyAllowed);
    out.emplace_back(name, how == "hashed");
  }
  auto hashed = std::count_if(out.begin(), out.end(), [](const auto& part) { return part.second; });
  if (hashed > 1) field.refuse("several fields are hashed", kKeyAllowed);
  return out;
}

ShardingRule rule(const Field& field) {
  ShardingRule out;
  if (!field.is_map()) {
    if (auto word = field.text(kAllowed); word != "unsharded") field.refuse(field.quoted(word) + " is neither unsharded nor a group of keys", kAllowed);
    out.sharded = false;
    return out;
  }
  auto fields = field.fields({"key", "unique", "chunks"});
  if (fields.empty()) field.refuse("says nothing", kAllowed);
  if (auto key = fields.find("key"); key != fields.end()) out.key = shard_key(key->second);
  if (auto chunks = fields.find("chunks"); chunks != fields.end()) out.chunks = chunks->second.whole_number(1, kChunksMost);
  auto unique = fields.find("unique");
  if (unique == fields.end()) return out;
  out.unique = unique->second.choice<bool>({{"true", true}, {"false", false}});
  if (out.key.empty()) unique->second.refuse("stands without a key", "unique beside key; without a key both are the source's");
  if (out.unique && std::any_of(out.key.begin(), out.key.end(), [](const auto& part) { return part.second; })) unique->second.refuse("a hashed key can't be unique", "unique: false, or a key of fields with 1");
  return out;
}

}  // namespace

Sharding read_sharding(const Field& field) {
  Sharding out;
  for (const auto& [ns, value] : field.entries(kAllowed)) {
    if (auto wrong = wrong_with_collection(ns); !wrong.empty()) value.refuse(value.quoted(ns) + ": " + wrong, kAllowed);
    out.emplace(ns, rule(value));
  }
  return out;
}

Zones read_zones(const Field& field) {
  static const std::string kZonesAllowed = "{zone: [shard of the target, …]}";
  Zones out;
  for (const auto& [zone, list] : field.entries(kZonesAllowed)) {
    if (zone.empty()) list.refuse("the name of the zone is empty", kZonesAllowed);
    auto& shards = out[zone];
    for (const auto& element : list.elements(kZonesAllowed)) {
      auto shard = element.text(kZonesAllowed);
      if (std::find(shards.begin(), shards.end(), shard) != shards.end()) element.refuse(element.quoted(shard) + " is there twice", "each shard once");
      shards.push_back(std::move(shard));
    }
  }
  return out;
}

}  // namespace mongotwin::options
