// SPDX-License-Identifier: Apache-2.0
// Assembler: turns entries of the merged order into operations. applyOps are unwrapped, chains and prepared
// transactions held until they commit, distributed ones given out whole at their first commit entry: every prepare
// has a smaller ts than every commit entry, so in the merged order all participants have been seen by then
// (docs/ARCHITECTURE names the server facts). DDL goes through the Catalog.
// Owned by one thread (merge). The Catalog must outlive it.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <vector>

#include "oplog/catalog.h"

namespace mongotwin::oplog {

class Assembler {
 public:
  // A participant of a distributed transaction whose operations were given out at another shard's commit entry.
  struct AwaitedCommit {
    ShardIndex shard;
    std::string transaction;
  };

  // How a part of an open transaction is kept; it may be for long, and must not keep a reader's whole batch alive.
  using Keep = std::function<bson::Document(bson::View)>;

  // `listed_up_to[shard]`: the catalog was read after this position: DDL up to there is in it already, and an
  // operation up to there on an unknown collection belongs to one that was dropped before the copy began.
  Assembler(Catalog& catalog, std::vector<std::string> shard_names, std::vector<Timestamp> listed_up_to, Keep keep = bson::Document::copy_of)
      : catalog_(catalog), shard_names_(std::move(shard_names)), listed_up_to_(std::move(listed_up_to)), keep_(std::move(keep)) {}

  // True if the entry must be the first of its epoch and its operations be applied alone.
  [[nodiscard]] bool is_barrier(ShardIndex shard, const Entry& entry) const;
  // The operations that become visible with this entry, in order; those of a large transaction one part after the
  // other: the rest must be taken, until has_more() is false, before anything else is asked.
  [[nodiscard]] std::vector<Op> feed(ShardIndex shard, const Entry& entry);
  [[nodiscard]] bool has_more() const { return !rest_.parts.empty(); }
  [[nodiscard]] std::vector<Op> more();
  // For entries up to the checkpoint's frontier, read again after a restart: only open transactions are taken up.
  void rebuild(ShardIndex shard, const Entry& entry);

  // Where a restart must begin to read so that no open transaction loses its start.
  [[nodiscard]] std::optional<Timestamp> oldest_open(ShardIndex shard) const;
  [[nodiscard]] std::vector<AwaitedCommit> awaited_commits() const;
  void restore_awaited(const std::vector<AwaitedCommit>& awaited);
  // False while a transaction may be on the target in part: prepared before the copy began on all shards, it may have
  // been committed by then on some, where it was copied, and still be open here. Its removes are marked: if it moves a
  // document, the copy may have it from its new shard already.
  [[nodiscard]] bool whole() const;
  // What is prepared from here on has no part in the copy.
  void become_exact() { exact_ = true; }

 private:
  using Key = std::pair<ShardIndex, std::string>;
  struct Open {
    Timestamp first;
    std::deque<Entry> parts;  // the applyOps entries, in order
    bool prepared = false;
    bool emitted = false;
    bool maybe_half = false;  // see whole()
  };

  void feed_write(ShardIndex shard, const Entry& entry, Timestamp visible, bool in_transaction, std::vector<Op>& out);
  void feed_ddl(ShardIndex shard, const Entry& entry, Timestamp visible, std::vector<Op>& out);
  void feed_apply_ops(ShardIndex shard, const Entry& entry, std::vector<Op>& out);
  void feed_commit(ShardIndex shard, const Entry& entry, std::vector<Op>& out);
  void unwrap(ShardIndex shard, const Entry& part, Timestamp visible, bool in_transaction, std::vector<Op>& out);
  Open& hold(ShardIndex shard, const Entry& entry);
  [[nodiscard]] bool in_listing(ShardIndex shard, Timestamp ts) const { return ts <= listed_up_to_.at(shard); }

  Catalog& catalog_;
  std::vector<std::string> shard_names_;
  std::vector<Timestamp> listed_up_to_;
  Keep keep_;
  std::map<Key, Open> open_;
  // Of the transaction that has just become visible: what is not given out yet.
  struct Rest {
    ShardIndex shard;
    Timestamp visible;
    std::deque<Entry> parts;
  };
  Rest rest_{};
  bool exact_ = false;
};

}  // namespace mongotwin::oplog
