// SPDX-License-Identifier: Apache-2.0
// Source: a model of a cluster of 1 to 4 shards that lives by itself: act() does one random thing and writes the
// oplog entries that a real cluster writes for it, in real BSON. Each shard has its own clock; what depends on
// something else gets a later ts, whatever the shard, and what does not may come in any order (the router's gossip of
// $clusterTime gives a real cluster no more than that).
#pragma once

#include <functional>
#include <optional>
#include <set>

#include "model.h"

namespace mongotwin::sim {

using Tick = std::int64_t;
using Trace = std::function<void(const std::string&)>;

[[nodiscard]] Timestamp to_timestamp(Tick tick);

struct Shard {
  Tick clock = 1;
  std::vector<std::pair<Timestamp, bson::Document>> oplog;
  std::size_t majority = 0;  // that many entries are on a majority
};

constexpr int kChunks = 4;

struct SourceDoc {
  Value value;
  ShardIndex shard = 0;
};

struct SourceIndex {
  Index spec;
  std::set<ShardIndex> on;
};

struct SourceCollection {
  int id = 0;
  std::string db, name;
  bool capped = false, alive = true;
  std::string shard_key;              // empty: not sharded
  std::vector<ShardIndex> owners;     // by chunk
  std::map<ShardIndex, oplog::Uuid> incarnations;
  std::map<std::string, SourceDoc> docs;
  std::vector<std::string> order;     // capped: ids as inserted
  std::map<std::string, SourceIndex> indexes;
  std::map<std::string, Tick> touched;
  Tick ddl_tick = 0;
  std::map<std::string, int> locked;  // by open transactions
  bool writes_blocked = false, ddl_blocked = false;
  [[nodiscard]] std::string ns() const { return db + "." + name; }
  [[nodiscard]] bool sharded() const { return !shard_key.empty(); }
};

// A second set of incarnations that is being filled: by movePrimary or resharding.
struct Copying {
  enum Kind { move_primary, resharding };
  Kind kind = move_primary;
  int collection = 0;
  oplog::Uuid uuid;
  std::vector<ShardIndex> owners;  // resharding
  std::string shard_key;
  bool brings_index = false;       // resharding makes one for the new key
  ShardIndex to = 0;               // move_primary
  std::map<ShardIndex, oplog::Uuid> old;
  int phase = 0;
};

struct Migration {
  int collection = 0, chunk = 0;
  ShardIndex from = 0, to = 0;
  std::map<std::string, Value> cloned;
};

struct WriteOp {
  ShardIndex shard = 0;
  int collection = 0;
  char op = 'i';
  bson::Document o, o2;
  std::string key;
  std::optional<Value> after;
};

struct Transaction {
  std::string session;  // 16 bytes
  std::int64_t number = 1;
  struct Part {
    std::vector<std::vector<WriteOp>> pieces;  // an applyOps entry each
    std::size_t logged = 0;
    Timestamp first, last;
    bool ended = false;
  };
  std::map<ShardIndex, Part> parts;
  bool distributed = false, abort = false;
  Tick after = 0;       // of everything it depends on
  Tick commit_at = 0;
  std::shared_ptr<Event> event;
};

class Source {
 public:
  Source(Random& random, int shards, Trace trace);

  void act();
  // Brings everything that is under way to its end; true when nothing is left.
  bool settle();

  [[nodiscard]] std::vector<Shard>& shards() { return shards_; }
  [[nodiscard]] const Reference& reference() const { return reference_; }
  [[nodiscard]] std::map<int, SourceCollection>& collections() { return collections_; }
  [[nodiscard]] const std::vector<Copying>& copyings() const { return copyings_; }
  [[nodiscard]] std::string resharding_ns(const Copying& c) const;

  [[nodiscard]] std::vector<Timestamp> newest() const;
  // Per shard the start of the oldest open transaction, as config.transactions has it.
  [[nodiscard]] std::vector<Timestamp> oldest_open() const;
  void nudge(ShardIndex shard, Timestamp until);
  void all_to_majority();
  [[nodiscard]] State state() const;

 private:
  // source.cpp: the log, writes and transactions
  Tick log(ShardIndex shard, Tick after, const bson::Document& body);
  void noop();
  [[nodiscard]] bool chance_write();
  [[nodiscard]] bool swap_unique(SourceCollection& c);
  [[nodiscard]] std::vector<WriteOp> make_write(SourceCollection& c, const std::vector<WriteOp>& before);
  [[nodiscard]] std::optional<WriteOp> make_insert(SourceCollection& c, const std::vector<WriteOp>& before, const std::string& same_as);
  [[nodiscard]] std::vector<WriteOp> make_update(SourceCollection& c, const std::string& key, const SourceDoc& doc, const std::vector<WriteOp>& before);
  [[nodiscard]] bool unique_ok(const SourceCollection& c, const std::string& key, const Value& doc, const std::vector<WriteOp>& before) const;
  void write_now(SourceCollection& c, const WriteOp& w);
  void evict(SourceCollection& c);
  [[nodiscard]] bson::Document body(const WriteOp& w) const;
  void take_effect(const WriteOp& w);
  [[nodiscard]] Effect effect_of(const WriteOp& w) const;
  [[nodiscard]] Tick after_of(const WriteOp& w) const;
  void begin_transaction(std::vector<WriteOp> ops, bool may_abort);
  [[nodiscard]] bool chance_transaction();
  [[nodiscard]] bool step_transaction();
  void log_piece(Transaction& t, ShardIndex shard, Transaction::Part& part);
  void end_part(Transaction& t, ShardIndex shard, Transaction::Part& part);
  void unlock(const Transaction::Part& part);

  // source_ddl.cpp: collections and indexes
  [[nodiscard]] bool create();
  [[nodiscard]] bool drop();
  [[nodiscard]] bool rename();
  [[nodiscard]] bool create_index();
  [[nodiscard]] bool drop_index();
  [[nodiscard]] bool shard_it();
  [[nodiscard]] bool convert_to_capped();
  [[nodiscard]] bool drop_database();
  void drop_collection(SourceCollection& c);
  void log_index(SourceCollection& c, ShardIndex shard, const oplog::Uuid& uuid, const std::string& collection, const Index& index, bool migrate, Tick after, Tick* at);
  [[nodiscard]] Tick command(ShardIndex shard, Tick after, const SourceCollection& c, const oplog::Uuid& uuid, const bson::Document& o, bool migrate = false);

  // source_sharding.cpp: the balancer, movePrimary, resharding
  [[nodiscard]] bool begin_migration();
  [[nodiscard]] bool end_migration();
  [[nodiscard]] bool delete_orphans();
  void sweep(int collection, int chunk, ShardIndex shard);
  [[nodiscard]] bool begin_move_primary();
  [[nodiscard]] bool begin_resharding();
  [[nodiscard]] bool step_copying();
  void end_move_primary(Copying& c);
  void end_resharding(Copying& c);
  void migrated(ShardIndex shard, Tick after, const SourceCollection& c, const oplog::Uuid& uuid, const std::string& collection, char op, const Value& doc, bool mark);

  [[nodiscard]] SourceCollection* pick(const std::function<bool(const SourceCollection&)>& suits);
  [[nodiscard]] int chunk_of(const std::string& shard_key, const Value& doc) const;
  [[nodiscard]] ShardIndex shard_of(const SourceCollection& c, const Value& doc) const;
  [[nodiscard]] bson::Document document_key(const SourceCollection& c, const Value& doc) const;
  [[nodiscard]] std::set<ShardIndex> with_chunks(const SourceCollection& c) const;
  [[nodiscard]] bool quiet(const SourceCollection& c) const;  // DDL may run
  [[nodiscard]] Tick barrier(const SourceCollection& c) const;
  void pass(const std::set<ShardIndex>& shards, Tick tick);
  [[nodiscard]] oplog::Uuid new_uuid();
  [[nodiscard]] std::string free_name(const std::string& db);
  [[nodiscard]] Value new_doc(const SourceCollection& c, const Value& id);

  Random& random_;
  Trace trace_;
  std::vector<Shard> shards_;
  std::map<std::string, ShardIndex> primaries_;  // by database
  std::map<int, SourceCollection> collections_;
  std::vector<Transaction> transactions_;
  std::vector<Migration> migrations_;
  std::vector<Copying> copyings_;
  struct Orphans {
    int collection, chunk;
    ShardIndex shard;
    std::vector<Value> docs;
  };
  std::vector<Orphans> orphans_;
  Reference reference_;
  int next_id_ = 1, next_uuid_ = 1, next_session_ = 1, next_tmp_ = 1;
};

}  // namespace mongotwin::sim
