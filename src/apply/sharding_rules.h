// SPDX-License-Identifier: Apache-2.0
// ShardingRules: where the target's layout shall be another than the source's. Namespaces are the target's.
// Immutable once made, therefore thread-safe.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "bson/document.h"

namespace mongotwin::apply {

// The user's name of a time-series collection, from that of its buckets; other names as they are.
[[nodiscard]] std::string user_namespace(const std::string& ns);

struct ShardKey {
  bson::Document key;
  bool unique = false;
  std::optional<int> chunks;  // to begin with; by default as many as the data and the shards ask for
};

// One collection's. An empty key is the source's.
struct ShardingRule {
  bool sharded = true;
  ShardKey by;
};

struct ShardingRules {
  std::map<std::string, ShardingRule> collections;
  std::map<std::string, std::vector<std::string>> zones;  // zone → shards of the target

  // How the collection shall be sharded on the target, if it shall; `source_key` is empty where the source has none.
  [[nodiscard]] std::optional<ShardKey> shard_key(const std::string& ns, bson::View source_key, bool source_unique) const {
    auto rule = collections.find(user_namespace(ns));
    ShardKey by{bson::Document::copy_of(source_key), source_unique, {}};
    if (rule != collections.end()) {
      if (!rule->second.sharded) return {};
      if (!rule->second.by.key.empty()) return rule->second.by;
      by.chunks = rule->second.by.chunks;
    }
    if (by.key.empty()) return {};
    return by;
  }
};

// 1, 1.0 and NumberLong(1) mean the same in a key.
[[nodiscard]] inline bool same_key(bson::View one, bson::View other) {
  auto theirs = other.begin();
  for (const auto& ours : one) {
    if (theirs == nullptr || ours.key() != theirs->key() || ours.string() != theirs->string() || ours.integer() != theirs->integer()) return false;
    ++theirs;
  }
  return theirs == nullptr;
}

// Whether the server takes this index, by its key and collation, for what a collection with that shard key must have.
[[nodiscard]] inline bool serves(bson::View index, bson::View shard_key) {
  if (index["sparse"].truthy() || index["partialFilterExpression"]) return false;
  if (index.fields("collation").string("locale").value_or("simple") != "simple") return false;
  auto field = index.fields("key").begin();
  for (const auto& part : shard_key) {
    if (field == nullptr || field->key() != part.key() || field->string() != part.string() || field->integer() != part.integer()) return false;
    ++field;
  }
  return true;
}

// Whether the key's values are spread by their hashes alone: then the server splits an empty collection by itself.
[[nodiscard]] inline bool begins_hashed(bson::View key) { return !key.empty() && key.begin()->string() == "hashed"; }

}  // namespace mongotwin::apply
