// SPDX-License-Identifier: Apache-2.0
// LaneApplier: writes one lane's batches to the target. Two ways:
//   fast   the target's documents are in the state that the operations expect: inserts, `$set`s and deletes go out as
//          unordered bulks, and the counts that come back prove that every document was met;
//   exact  the documents are read, the final states computed in memory and written. For everything that an update
//          command can't say exactly, for retries after a lost answer, and for a catch-up, where the target may
//          already be newer than the operations.
// A document that clashes on a unique index is parked together with all that follows for it, see ParkingLot.
// Retries for ever on passing trouble: step() never waits, it comes back to the same documents once the back-off is
// over. Anything else throws Error(pause) naming namespace and _id.
// Owned by one thread (lane.NN); what is handed in must outlive it.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <unordered_map>

#include "apply/parking_lot.h"
#include "apply/target_writer.h"
#include "base/backoff.h"
#include "base/clock.h"
#include "plan/planner.h"

namespace mongotwin::apply {

class LaneApplier {
 public:
  LaneApplier(plan::LaneQueue& queue, plan::Frontier& frontier, ParkingLot& lot, std::unique_ptr<TargetWriter> writer, const Clock& clock, WaitReport report)
      : queue_(queue), frontier_(frontier), lot_(lot), writer_(std::move(writer)), clock_(clock), report_(std::move(report)) {}
  // Writes one group at most. A batch that a stop cuts short is not reported as done: a restart goes on from the checkpoint.
  [[nodiscard]] Step step();
  // What the next step takes of memory for as long as it lasts, beside the batch itself; about.
  [[nodiscard]] std::size_t step_bytes() const;

 private:
  using Writes = std::vector<plan::DocWrite*>;
  // One collection's share of a round.
  struct Group {
    const oplog::Collection* collection;
    Writes writes;
    bool tolerant;
    std::size_t bytes = 0, largest = 0;
    bool reads;  // what it needs for that is known only afterwards
    std::size_t done = 0;  // capped: so many have been written, one after the other
  };
  [[nodiscard]] bool take_up();          // the next batch; false if there is none
  void open_round(plan::Round& round);
  [[nodiscard]] Step write(Group& group);
  void close_batch();
  [[nodiscard]] Writes apply_exactly(const std::string& ns, const Writes& writes, bool strict);
  void apply_fast(const std::string& ns, Writes& writes);
  void apply_capped(const std::string& ns, Group& group);
  void roll(const std::string& ns, const Writes& writes, bool tolerant);
  void take_capped(const std::string& ns, plan::DocWrite& write, bool tolerant);

  plan::LaneQueue& queue_;
  plan::Frontier& frontier_;
  ParkingLot& lot_;
  std::unique_ptr<TargetWriter> writer_;
  const Clock& clock_;
  WaitReport report_;

  std::optional<plan::LaneBatch> batch_;  // in work
  std::size_t next_round_ = 0;            // of batch_
  std::deque<Group> groups_;              // of the round before that, still to be written; they point into batch_
  std::unordered_map<std::uint64_t, std::size_t> largest_read_;  // collection id → bytes, lately
  bool parked_ = false;                   // a document of batch_ was set aside
  Backoff backoff_;
  std::optional<Clock::Steady> not_before_;  // passing trouble: when the front group is tried again
};

// The exact way for some documents of one collection. Returns those that clash on a unique secondary index.
// `largest_read` becomes at least the size of the largest document that was looked at.
// strict: a document that should be there and is not, or the other way round, is a divergence: throws Error(pause).
[[nodiscard]] std::vector<plan::DocWrite*> apply_exact(TargetWriter& writer, const std::string& ns, std::vector<plan::DocWrite*> writes, bool strict, std::size_t* largest_read = nullptr);

// Deletes, in any order; throws Error(pause) if one is refused. Nothing to delete is fine.
void remove_all(TargetWriter& writer, const std::string& ns, const std::vector<bson::Document>& queries);

// A document key as a query: the target's shard key as far as `source` has it, and _id.
[[nodiscard]] bson::Document key_query(const std::vector<std::string>& shard_key, bson::View source);

}  // namespace mongotwin::apply
