// SPDX-License-Identifier: Apache-2.0
// TargetMaker: makes the collections of the copy on the target, in the layout that they shall have there: the
// databases' primary shards, zones, shard keys, chunks. What the target has sharded already is left as it is.
// Each step may be called again after it broke off. Owned by one thread; what is handed in must outlive it.
#pragma once

#include <set>

#include "apply/ddl_applier.h"
#include "copy/zones.h"
#include "source/catalog_reader.h"

namespace mongotwin::copy {

class TargetMaker {
 public:
  TargetMaker(mongo::Cluster& source, mongo::Cluster& target, apply::TargetLayout& layout, apply::DdlApplier& ddl) : source_(source), target_(target), layout_(layout), ddl_(ddl) {}
  struct Wanted {
    const source::SourceCollection* from;
    std::string ns;  // on the target
  };
  // Reads what is there, and gives every database that the target does not have a primary shard.
  void prepare(const std::vector<Wanted>& collections);
  void make(const Wanted& collection);

 private:
  [[nodiscard]] std::optional<apply::ShardKey> shard_key(const Wanted& collection) const;
  void place_databases(const std::vector<Wanted>& collections);
  void create_index_of(const apply::ShardKey& by, const Wanted& collection);
  void set_zones(const Wanted& collection);
  mongo::Cluster& source_;
  mongo::Cluster& target_;
  apply::TargetLayout& layout_;
  apply::DdlApplier& ddl_;
  std::set<std::string> beforehand_;  // sharded on the target by its user
  Zones zones_;                       // of the source
  std::map<std::string, std::vector<std::string>> zone_shards_;  // of the target
};

}  // namespace mongotwin::copy
