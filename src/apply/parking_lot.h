// SPDX-License-Identifier: Apache-2.0
// ParkingLot: documents whose write clashed on a unique index. Two documents may swap a unique value in operations
// that run in different lanes; each document's later operations are folded onto its parked write, and once every
// lane has drained all of them are brought to their final states together: each for itself as long as that gets on, the
// rest in one transaction. What still clashes then is a real divergence. Thread-safe; the Clock must outlive it.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <optional>

#include "apply/target_writer.h"
#include "base/annotations.h"
#include "base/backoff.h"
#include "base/clock.h"
#include "plan/batch.h"

namespace mongotwin::apply {

// Told while a write waits for passing trouble to end; an empty text when it has ended. Thread-safe.
using WaitReport = std::function<void(const std::string& reason)>;

class ParkingLot {
 public:
  ParkingLot(const Clock& clock, WaitReport report) : clock_(clock), report_(std::move(report)) {}
  [[nodiscard]] bool empty() const { return count_ == 0; }
  void park(plan::DocWrite write);
  // Folds the write onto the parked one of the same document; false if none is parked.
  [[nodiscard]] bool follow(plan::DocWrite& write);
  // Called with all lanes drained. Returns false on passing trouble: the rest stays parked, call again later.
  // Throws Error(pause) naming a document that can't be written.
  [[nodiscard]] bool resolve(TargetWriter& writer);

 private:
  using Key = std::pair<std::uint64_t, std::uint64_t>;  // collection id, hash of _id: 1 and 1.0 are one document
  static Key key_of(const plan::DocWrite& write);
  void resolve_all(TargetWriter& writer) REQUIRES(m_);
  void settle_some(TargetWriter& writer) REQUIRES(m_);

  const Clock& clock_;
  WaitReport report_;
  Mutex m_;
  std::map<Key, plan::DocWrite> parked_ GUARDED_BY(m_);
  std::atomic<std::size_t> count_{0};
  Backoff backoff_ GUARDED_BY(m_);
  std::optional<Clock::Steady> not_before_ GUARDED_BY(m_);
};

}  // namespace mongotwin::apply
