// SPDX-License-Identifier: Apache-2.0
// OplogSource: one of the five seams: where a shard's oplog entries come from. Owned by one thread (read.*).
// Passing trouble throws an Error with Remedy::retry; open() again at the last position then.
#pragma once

#include <chrono>
#include <vector>

#include "journal/journal.h"

namespace mongotwin::source {

class OplogSource {
 public:
  virtual ~OplogSource() = default;
  // The next entry given is the one at `position`, which must still be in the oplog.
  // Throws Error(resync) when it is not: then history is lost.
  virtual void open(oplog::Timestamp position) = 0;
  // Entries in ascending order; empty when `wait` passed without a new one.
  virtual std::vector<bson::Document> next(std::chrono::milliseconds wait) = 0;
};

}  // namespace mongotwin::source
