// SPDX-License-Identifier: Apache-2.0
// ClusterMap: which shards' copies of a collection are the collection, by the cluster's metadata: of a sharded one all, of
// an unsharded one that of its database's primary, or, since 8.0, of the shard that it was put on ("unsplittable", with a
// single chunk). What else a shard has under its UUID is left over or on its way. Immutable.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "oplog/entry.h"

namespace mongotwin::source {

class ClusterMap {
 public:
  // Documents of config.collections, of config.chunks (of those that are unsplittable, at least) and config.databases.
  ClusterMap(const std::vector<bson::Document>& collections, const std::vector<bson::Document>& chunks, const std::vector<bson::Document>& databases);

  [[nodiscard]] bool is_real_on(const std::string& shard, const oplog::Uuid& uuid, const std::string& database) const;
  // The entry in config.collections; nothing of an unsharded one.
  [[nodiscard]] const bson::Document* sharded(const oplog::Uuid& uuid) const;

 private:
  std::map<oplog::Uuid, bson::Document> sharded_;
  std::map<oplog::Uuid, std::string> placed_;        // unsplittable: its shard
  std::map<std::string, std::string> primary_shard_;  // by database
};

// A filter for config.chunks: those that ClusterMap needs; nothing if it needs none.
[[nodiscard]] std::optional<bson::Document> chunks_needed(const std::vector<bson::Document>& collections);

}  // namespace mongotwin::source
