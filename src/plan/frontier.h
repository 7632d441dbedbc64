// SPDX-License-Identifier: Apache-2.0
// Frontier: knows which epochs are whole on the target. Epochs are opened in order; each has a number of parts (lane
// batches) that finish in any order. The frontier moves over an epoch when all its parts and all earlier epochs are
// done; its cut then is a state that the source has had, and what a checkpoint may save. Thread-safe.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/annotations.h"
#include "base/worker.h"
#include "oplog/assembler.h"

namespace mongotwin::plan {

// A consistent cut. Per source shard: `positions`, everything up to there is contained; `resume`, where reading must
// begin again so that no open transaction loses its start (resume ≤ positions).
struct Cut {
  std::vector<oplog::Timestamp> positions, resume;
  std::vector<oplog::Assembler::AwaitedCommit> awaited;
  std::optional<bson::Document> catalog;  // set when it changed since the cut before
  std::map<std::string, std::uint64_t> ops_by_kind;  // operations since the cut before
  std::uint64_t ops = 0;
};

class Frontier {
 public:
  // `on_move` is notified when an epoch is done; must outlive the Frontier.
  explicit Frontier(Signal& on_move) : on_move_(on_move) {}

  // Before the first epoch: what was applied by an earlier run.
  void start_at(std::vector<oplog::Timestamp> applied);
  // `parts` may be 0. Without a cut (the middle of a transaction with DDL) the frontier does not stop there.
  std::uint64_t open(std::size_t parts, std::optional<Cut> cut, std::size_t bytes = 0);
  void part_done(std::uint64_t epoch);
  // The part is done but for documents that were set aside: the epoch stays open until unpark_all().
  void part_parked(std::uint64_t epoch);
  void unpark_all();

  [[nodiscard]] std::size_t in_flight() const;
  // The newest epoch that is done has no cut: the target stands in the middle of an entry's operations.
  [[nodiscard]] bool between_cuts() const;
  // Epochs that lanes still work on; those that only wait for parked documents don't count.
  [[nodiscard]] std::size_t active() const;
  [[nodiscard]] std::size_t active_bytes() const;
  // The newest reached cut; its catalog is the newest one not yet taken by take_cut().
  [[nodiscard]] std::optional<Cut> take_cut();
  [[nodiscard]] std::vector<oplog::Timestamp> applied() const;
  [[nodiscard]] std::uint64_t ops_applied() const;
  [[nodiscard]] std::map<std::string, std::uint64_t> ops_by_kind() const;

 private:
  struct Epoch {
    std::size_t parts;
    std::size_t parked = 0;
    std::size_t bytes = 0;
    std::optional<Cut> cut;
  };
  void advance() REQUIRES(m_);

  Signal& on_move_;
  mutable Mutex m_;
  std::uint64_t next_ GUARDED_BY(m_) = 1;
  std::uint64_t first_ GUARDED_BY(m_) = 1;
  std::deque<Epoch> epochs_ GUARDED_BY(m_);
  std::optional<Cut> reached_ GUARDED_BY(m_);
  bool between_cuts_ GUARDED_BY(m_) = false;
  std::vector<oplog::Timestamp> applied_ GUARDED_BY(m_);
  std::map<std::string, std::uint64_t> ops_by_kind_ GUARDED_BY(m_);
  std::uint64_t ops_ GUARDED_BY(m_) = 0;
};

}  // namespace mongotwin::plan
