// SPDX-License-Identifier: Apache-2.0
// ParkingLot: documents whose write clashed on a unique index. Two documents may swap a unique value in operations
// that run in different lanes; each document's later operations are folded onto its parked write, and once every
// lane has drained all of them are brought to their final states together: one by one as long as one succeeds, the
// rest in one transaction. What still clashes then is a real divergence. Thread-safe.
#pragma once

#include <atomic>
#include <map>
#include <memory>

#include "apply/target_writer.h"
#include "base/annotations.h"
#include "plan/batch.h"

namespace mongotwin::apply {

class ParkingLot {
 public:
  [[nodiscard]] bool empty() const { return count_ == 0; }
  void park(plan::DocWrite write);
  // Folds the write onto the parked one of the same document; false if none is parked.
  [[nodiscard]] bool follow(plan::DocWrite& write);
  // Called with all lanes drained. Throws Error(pause) naming a document that can't be written.
  void resolve(TargetWriter& writer);

 private:
  using Key = std::pair<std::uint64_t, std::string>;  // collection id, _id as bytes
  static Key key_of(const plan::DocWrite& write);
  Mutex m_;
  std::map<Key, plan::DocWrite> parked_ GUARDED_BY(m_);
  std::atomic<std::size_t> count_{0};
};

}  // namespace mongotwin::apply
