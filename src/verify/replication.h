// SPDX-License-Identifier: Apache-2.0
// Replication: what a verification asks of the one that runs. Thread-safe; must outlive who asks.
#pragma once

#include <functional>
#include <stop_token>

#include "bson/view.h"

namespace mongotwin::verify {

// A drained moment: the target is what the source was at `source`.
struct Cut {
  bson::Timestamp source;
  // No transaction over several shards was open: else one may be visible in the source's snapshot of that time although
  // its commit entries come later.
  bool clean = true;
};

class Replication {
 public:
  virtual ~Replication() = default;
  // Runs `work` at such a moment, once. Nothing is applied before it returns: keep it short. False on a stop; throws
  // Error(pause) if no such moment can come.
  [[nodiscard]] virtual bool at_cut(const std::function<void(const Cut&)>& work, std::stop_token stop) = 0;
  // False: nothing replicates, and a cut is no more than this moment.
  [[nodiscard]] virtual bool is_running() const = 0;
};

}  // namespace mongotwin::verify
