// SPDX-License-Identifier: Apache-2.0
// Catalog: the source's collections as of the merged order. Names lie (movePrimary makes a second collection of the
// same name, resharding renames a third one over it), so entries are followed by UUID: a logical collection is the
// set of its incarnations (shard, UUID), and it is dropped on the target when the last of them is gone.
// DDL that every shard logs once is applied once: an index comes and goes with the first shard that says so.
// Names here are the source's; what is passed on (Collection, Ddl) has the target's: see NamespaceFilter::target.
// Owned by one thread (merge).
#pragma once

#include <map>
#include <set>
#include <unordered_map>
#include <vector>

#include "oplog/namespace_filter.h"
#include "oplog/op.h"

namespace mongotwin::oplog {

class Catalog {
 public:
  // `sharded`: fromMigrate marks what the balancer copies and clears away. In a replica set it marks real inserts:
  // those of convertToCapped and cloneCollectionAsCapped (seen on 5.0 and 6.0).
  explicit Catalog(NamespaceFilter filter, bool sharded = true) : filter_(std::move(filter)), sharded_(sharded) {}

  // What a shard has when mongotwin starts. `real` is false for a left-over that the cluster does not know of.
  struct Listed {
    ShardIndex shard;
    std::string ns;
    Uuid uuid;
    bson::Document options;
    std::vector<std::string> indexes;  // names
    bool real = true;
    std::vector<bson::Document> specs = {};  // of the indexes of a resharding's temporary collection
  };
  void add(const Listed& listed);
  void add_view(const std::string& ns, bson::Document definition);
  // The replicated ones; their names are the target's.
  struct Capped {
    ShardIndex shard;
    Uuid uuid;
    std::string ns;
  };
  [[nodiscard]] std::vector<Capped> capped() const;
  // The target holds, of a capped collection, what had been inserted up to `ts`.
  void set_copied_up_to(const Uuid& uuid, Timestamp ts);

  [[nodiscard]] CollectionRef find(ShardIndex shard, const Uuid& uuid) const;
  // The same for an entry that writes to it. A left-over that is written to without fromMigrate has become the
  // collection of its name: a movePrimary was under way when mongotwin started.
  // Throws Error(resync) if there is no such collection any more.
  [[nodiscard]] CollectionRef written(ShardIndex shard, const Entry& entry);

  // Takes in a command entry, a write to system.views or a no-op with news; says what it means for the target.
  // Throws Error(pause) on a command that it does not know.
  [[nodiscard]] std::vector<Ddl> apply(ShardIndex shard, const Entry& entry);
  // True if apply() is where this entry goes.
  [[nodiscard]] static bool is_ddl(const Entry& entry);

  // A shard has left the cluster: it will drop nothing any more. The numbers of those after it go down by one.
  void remove_shard(ShardIndex shard);

  // The whole state, for the checkpoint; only when something changed since the last call.
  [[nodiscard]] std::optional<bson::Document> take_changes();
  [[nodiscard]] bson::Document to_document() const;
  void load(bson::View document);

 private:
  using IncarnationKey = std::pair<ShardIndex, Uuid>;
  struct Logical {
    std::string ns;  // the source's name; info has the target's
    CollectionRef info;
    std::set<IncarnationKey> incarnations;
    std::map<std::string, std::set<ShardIndex>> indexes;  // name → shards that have it
    std::map<std::string, bson::Document> specs;  // of the indexes of an internal one
    bool internal = false;   // a resharding temporary
    bool replaced = false;   // renamed over: the target has none of it any more
    bool left_over = false;  // what the cluster did not know when mongotwin started
  };
  using Ddls = std::vector<Ddl>;

  Logical* logical_of(ShardIndex shard, const Entry& entry);
  Logical& add_logical(const std::string& ns, bool capped, bool simple_collation);
  void join(Logical& logical, IncarnationKey incarnation);
  // Removes one incarnation; the logical collection goes with its last one. Returns its target name if the target must drop it.
  std::optional<std::string> remove_incarnation(IncarnationKey incarnation);
  void set_name(Logical& logical, const std::string& ns);
  [[nodiscard]] bool takes_migrated(std::string_view collection) const;
  [[nodiscard]] bool is_being_resharded(const Logical& logical, const Uuid& uuid) const;
  [[nodiscard]] Logical* left_over_of(const std::string& ns);
  Logical& become_real(Logical& left_over);
  void end_resharding(ShardIndex shard, Logical& temporary, const Uuid& uuid, Logical& real, Ddls& out);

  void refuse_taken(const std::string& ns, Timestamp ts) const;
  void create(ShardIndex shard, const Entry& entry, Ddls& out);
  void drop(ShardIndex shard, const Entry& entry, Ddls& out);
  void rename(ShardIndex shard, const Entry& entry, Ddls& out);
  void create_indexes(ShardIndex shard, const Entry& entry, Ddls& out);
  void drop_indexes(ShardIndex shard, const Entry& entry, Ddls& out);
  void coll_mod(ShardIndex shard, const Entry& entry, Ddls& out);
  void view_write(const Entry& entry, Ddls& out);
  void note(const Entry& entry, Ddls& out);

  NamespaceFilter filter_;
  bool sharded_;
  std::uint64_t next_id_ = 1;
  std::map<std::uint64_t, Logical> logicals_;
  std::map<IncarnationKey, std::uint64_t> by_uuid_;
  std::map<std::string, std::uint64_t, std::less<>> by_ns_;
  std::map<std::string, bson::Document, std::less<>> views_;
  bool changed_ = false;
};

// A view's definition with the target's name of what it is on. Throws Error(fix_config) if that is in another database
// there.
[[nodiscard]] bson::Document view_on_target(const NamespaceFilter& filter, const std::string& ns, const bson::Document& definition);

}  // namespace mongotwin::oplog
