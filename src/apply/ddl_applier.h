// SPDX-License-Identifier: Apache-2.0
// DdlApplier: carries out DDL on the target. Expiry and, while the target is not yet consistent, unique indexes are
// held back (Holds). In tolerant mode what is already as it should be is no error: after a crash one DDL may be seen
// again. Thread-safe; what is handed in must outlive it.
#pragma once

#include <chrono>

#include "apply/holds.h"
#include "apply/index_builds.h"
#include "apply/layout.h"
#include "apply/sharding_rules.h"
#include "mongo/cluster.h"
#include "oplog/op.h"

namespace mongotwin::apply {

class DdlApplier {
 public:
  DdlApplier(mongo::Cluster& target, TargetLayout& layout, Holds& holds, const ShardingRules& rules, IndexBuilds& builds) : target_(target), layout_(layout), holds_(holds), rules_(rules), builds_(builds) {}

  // `consistent`: unique indexes may be built at once.
  void apply(const oplog::Ddl& ddl, bool tolerant, bool consistent);
  // Creates several indexes of one collection in one command (one scan). Unless consistent, unique ones are held back,
  // and those that the documents of now refuse.
  void create_indexes(const std::string& ns, const std::vector<bson::Document>& specs, bool consistent);
  void create_collection(const std::string& ns, bson::View options, bool tolerant);
  // The same without what the rules say of its sharding.
  void create_unsharded(const std::string& ns, bson::View options, bool tolerant);
  void create_view(const std::string& ns, bson::View definition, bool tolerant);
  // Shards an empty collection unless it is sharded already. Only for a sharded target.
  void shard_collection(const std::string& ns, const ShardKey& by);
  [[nodiscard]] const ShardingRules& rules() const { return rules_; }
  // Builds the indexes that waited for a consistent target. One that fails does not stop the others; in the end they are
  // all named in one Error.
  void build_held_unique();
  // Gives the target back what was held (expiry, hidden indexes). Each command may take so long, and is to be tried again
  // (Error(retry)) if it takes longer: a reader's transaction may stand in its way.
  void restore_held(std::chrono::milliseconds at_most = kNoLimit);
  // The way back: holds again, on the server, what the Holds list. What is gone meanwhile is passed over.
  void hold_again(std::chrono::milliseconds at_most = kNoLimit);
  static constexpr std::chrono::milliseconds kNoLimit{0};

 private:
  // False if it was done already: the server answered one of `fine`, which is no error in tolerant mode.
  bool run(const std::string& database, bson::View command, bool tolerant, std::initializer_list<int> fine);
  void run_within(std::chrono::milliseconds at_most, const std::string& database, bson::Builder& command, std::initializer_list<int> fine);
  void change_index(std::chrono::milliseconds at_most, const std::string& ns, const std::string& name, bson::View change);
  void drop(const std::string& ns, bool tolerant);
  void rename(const oplog::Ddl& ddl, bool tolerant);
  void drop_index(const oplog::Ddl& ddl, bool tolerant);
  void coll_mod(const oplog::Ddl& ddl, bool tolerant, bool consistent);
  void build(const std::string& ns, const std::vector<bson::Document>& specs);
  void build_one_by_one(const std::string& ns, const std::vector<bson::Document>& specs, std::vector<std::string>& failures);
  void remove_plain(const std::string& ns, const bson::Document& spec);
  void build_or_hold(const std::string& ns, const bson::Document& spec);
  [[nodiscard]] bson::Document time_series_of(const std::string& buckets);
  [[nodiscard]] std::optional<bson::Document> find_index(const std::string& ns, const std::string& name);
  [[nodiscard]] std::vector<bson::Document> list_indexes(const std::string& ns);
  void create_stand_in(const std::string& ns, bson::View shard_key);
  void drop_stand_in(const std::string& ns);
  void make_way(const std::string& ns, bson::View index);
  [[nodiscard]] bool make_way_to_held(const std::string& ns, const std::string& index);
  [[nodiscard]] bool make_way_for(const std::vector<bson::Document>& specs, const std::string& ns, bson::View shard_key);
  void hold_back_unique(const std::string& ns, const std::string& index, bson::View changes);
  bool change_held_unique(const std::string& ns, const std::string& index, bson::View changes);
  mongo::Cluster& target_;
  TargetLayout& layout_;
  Holds& holds_;
  const ShardingRules& rules_;
  IndexBuilds& builds_;
};

}  // namespace mongotwin::apply
