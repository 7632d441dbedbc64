// SPDX-License-Identifier: Apache-2.0
// CatalogReader: what the source has, shard by shard, with a position that it is exact for: no DDL happened between
// that position and the end of the reading. Pure function; thread-safe.
#pragma once

#include <stop_token>

#include "mongo/cluster.h"
#include "oplog/catalog.h"

namespace mongotwin::source {

// A collection as the initial copy sees it.
struct SourceCollection {
  std::string ns;
  oplog::Uuid uuid;
  bson::Document options;
  std::vector<bson::Document> indexes;      // specifications without the _id index
  std::optional<bson::Document> shard_key;  // where the source has it sharded
  bool shard_key_unique = false;
  std::vector<oplog::ShardIndex> shards;    // that hold a part of it
};

struct SourceView {
  std::string ns;
  bson::Document definition;  // viewOn, pipeline, collation
};

struct SourceCatalog {
  std::vector<oplog::Catalog::Listed> listed;    // for oplog::Catalog
  std::vector<SourceCollection> collections;     // real ones, filtered or not
  std::vector<SourceView> views;
  std::vector<oplog::Timestamp> listed_up_to;    // per shard
};

[[nodiscard]] SourceCatalog read_catalog(mongo::Cluster& source, std::stop_token stop);

}  // namespace mongotwin::source
