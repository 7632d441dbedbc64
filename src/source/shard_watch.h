// SPDX-License-Identifier: Apache-2.0
// ShardWatch: which shards the source has, as of a cluster time. A document's history may go on in a shard that has
// just been added, so nothing is planned that is later than the last look: whatever follows from a shard's first
// write comes after its addition, and the look at a later time shows it.
// Owned by one thread (shards); the Cluster must outlive it.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "mongo/cluster.h"
#include "oplog/entry.h"

namespace mongotwin::source {

class ShardWatch {
 public:
  struct Row {
    std::string name, host;
    bool draining = false;
  };
  explicit ShardWatch(mongo::Cluster& source) : source_(source), router_(source.router().acquire()) {}

  // config.shards with everything in it that happened up to `at`, a time that shard number `leader` has passed.
  [[nodiscard]] std::vector<Row> shards_as_of(oplog::Timestamp at, oplog::ShardIndex leader);
  // After shards_as_of(at): whether a draining shard owned nothing any more at that time.
  [[nodiscard]] bool owns_nothing(const std::string& shard);

 private:
  [[nodiscard]] std::vector<bson::Document> find(const char* collection, bson::View filter);
  mongo::Cluster& source_;
  mongo::Client router_;
  oplog::Timestamp at_;
  bson::Document cluster_time_;
};

// Where the reading of a shard begins that was added a moment ago: before the cluster's first write to it. Throws
// Error(resync) naming a collection that it brought along and whose beginning its oplog does not hold.
[[nodiscard]] oplog::Timestamp join_position(mongo::Shard& shard);

}  // namespace mongotwin::source
