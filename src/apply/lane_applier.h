// SPDX-License-Identifier: Apache-2.0
// LaneApplier: writes one lane's batches to the target. Two ways:
//   fast   the target's documents are in the state that the operations expect: inserts, `$set`s and deletes go out as
//          unordered bulks, and the counts that come back prove that every document was met;
//   exact  the documents are read, the final states computed in memory and written. For everything that an update
//          command can't say exactly, for retries after a lost answer, and for a catch-up, where the target may
//          already be newer than the operations.
// A document that clashes on a unique index is parked together with all that follows for it, see ParkingLot.
// Retries for ever on passing trouble. Anything else throws Error(pause) naming namespace and _id.
// Owned by one thread (lane.NN); what is handed in must outlive it.
#pragma once

#include <functional>
#include <memory>
#include <stop_token>

#include "apply/parking_lot.h"
#include "apply/target_writer.h"
#include "plan/planner.h"

namespace mongotwin::apply {

// Told while a write waits for passing trouble to end; an empty text when it has ended. Thread-safe.
using WaitReport = std::function<void(const std::string& reason)>;

class LaneApplier {
 public:
  LaneApplier(plan::LaneQueue& queue, plan::Frontier& frontier, ParkingLot& lot, std::unique_ptr<TargetWriter> writer, WaitReport report)
      : queue_(queue), frontier_(frontier), lot_(lot), writer_(std::move(writer)), report_(std::move(report)) {}
  [[nodiscard]] Step step(std::stop_token stop);

 private:
  using Writes = std::vector<plan::DocWrite*>;
  bool apply_round(plan::Round& round, bool tolerant, std::stop_token stop);
  void apply_fast(const std::string& ns, Writes& writes);
  void apply_capped(const std::string& ns, Writes& writes, bool tolerant);
  bool with_retry(const std::string& ns, Writes& writes, bool tolerant, std::stop_token stop);

  plan::LaneQueue& queue_;
  plan::Frontier& frontier_;
  ParkingLot& lot_;
  std::unique_ptr<TargetWriter> writer_;
  WaitReport report_;
};

// The exact way for some documents of one collection. Returns those that clash on a unique secondary index.
// strict: a document that should be there and is not, or the other way round, is a divergence: throws Error(pause).
[[nodiscard]] std::vector<plan::DocWrite*> apply_exact(TargetWriter& writer, const std::string& ns, std::vector<plan::DocWrite*> writes, bool strict);

// A document key as a query: the target's shard key as far as `source` has it, and _id.
[[nodiscard]] bson::Document key_query(const std::vector<std::string>& shard_key, bson::View source);

}  // namespace mongotwin::apply
