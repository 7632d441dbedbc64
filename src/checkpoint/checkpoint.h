// SPDX-License-Identifier: Apache-2.0
// Checkpoint: the saved state of a link, as values; and Checkpointer, which saves the frontier's newest cut.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/annotations.h"
#include "checkpoint/store.h"
#include "plan/frontier.h"

namespace mongotwin::checkpoint {

enum class Phase {
  copying,      // an interrupted copy goes on with the ranges that are left
  catching_up,  // copied, not yet consistent
  replicating,
  finishing,    // drained for good; what was held back is being restored
  finished,
  opening,      // a switch-over is decided: the roles have changed, the new source has yet to be opened for writes
  switched,     // the roles have changed: the document on the other cluster holds now
  failing_over, // the source is given up: what was read is applied, what was held is being given back
  failed_over,  // the target stands alone and is written to, until the old source is taken in again
};
[[nodiscard]] const char* to_string(Phase phase);

struct Checkpoint {
  Phase phase = Phase::copying;
  std::string source_id;
  std::string namespaces;                 // the filter it was made with
  std::vector<std::string> shards;        // of the source; positions go by this order
  std::vector<std::string> hosts;         // of the shards: one that is removed while mongotwin is down is read to its end
  std::vector<oplog::Timestamp> positions, resume, listed_up_to;
  std::vector<oplog::Assembler::AwaitedCommit> awaited;
  bson::Document catalog, held;
  std::int64_t generation = 0;            // counts changes of roles; the document with the greater one holds
  bson::Document handover;                // a change of roles under way, or how the last one ended, see control::Switchover
  bson::Document other_way;               // failed_over: the checkpoint of the link that follows the target
  std::vector<std::string> notes;         // what stays to be told for good
  std::string failure;                    // why an earlier run stopped for good; stays until the link is made anew
  std::optional<std::vector<std::string>> users;  // and roles that came from the source; none: never begun
  bson::Document balancers;               // that the copy holds, see control::BalancerHold
  bool copy_planned = false;              // copying: copy::CopyPlan says what is left to do
  std::vector<std::string> created;       // by mongotwin on the target: an interrupted copy drops them
  std::vector<std::string> emptied;       // sharded beforehand by the user: an interrupted copy empties them

  [[nodiscard]] static bson::Document fields_of_users(const std::vector<std::string>& users);
  // The source got a shard, or lost one whose entries are all applied.
  void add_shard(const std::string& name, const std::string& host, oplog::Timestamp start);
  void remove_shard(oplog::ShardIndex shard);
  [[nodiscard]] static Checkpoint parse(bson::View document);
  [[nodiscard]] bson::Document to_fields() const;  // all but failure, users, balancers, handover and notes, which are saved on their own
};

// Saves cuts in order. Thread-safe; everything handed in must outlive it.
class Checkpointer {
 public:
  // `before_save`: makes durable what a saved cut relies on.
  Checkpointer(CheckpointStore& store, plan::Frontier& frontier, std::function<bson::Document()> held, std::function<void()> before_save = [] {})
      : store_(store), frontier_(frontier), held_(std::move(held)), before_save_(std::move(before_save)) {}
  // What the store holds already.
  void start_at(std::vector<oplog::Timestamp> checkpointed) {
    Lock lock(state_m_);
    checkpointed_ = std::move(checkpointed);
  }
  // Saves if there is something new. Throws as the store does; what could not be saved is saved next time.
  void save();
  void save_phase(Phase phase);
  [[nodiscard]] std::vector<oplog::Timestamp> checkpointed() const {
    Lock lock(state_m_);
    return checkpointed_;
  }
  // Where a next run would begin to read; empty before the first save.
  [[nodiscard]] std::vector<oplog::Timestamp> resume() const {
    Lock lock(state_m_);
    return resume_;
  }

 private:
  CheckpointStore& store_;
  plan::Frontier& frontier_;
  std::function<bson::Document()> held_;
  std::function<void()> before_save_;
  Mutex save_m_;  // one save at a time: a later cut must not be overtaken by an earlier one
  std::optional<plan::Cut> pending_ GUARDED_BY(save_m_);
  bson::Document held_saved_ GUARDED_BY(save_m_);
  mutable Mutex state_m_;
  std::vector<oplog::Timestamp> checkpointed_ GUARDED_BY(state_m_), resume_ GUARDED_BY(state_m_);
};

}  // namespace mongotwin::checkpoint
