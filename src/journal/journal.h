// SPDX-License-Identifier: Apache-2.0
// Journal: one of the five seams. What the readers have read, per shard in ts order, until it is applied and saved.
// One writer and one consumer a shard; thread-safe between them. read_up_to() is the low watermark: every entry of
// that shard with a ts up to it has been appended (also when nothing relevant was among them).
#pragma once

#include <vector>

#include "oplog/entry.h"

namespace mongotwin::journal {

using oplog::ShardIndex;
using oplog::Timestamp;

struct Record {
  Timestamp ts;
  bson::Document entry;
};

struct TakeLimits {
  std::size_t records = 256;
  std::size_t bytes = 4u << 20;
};

class Journal {
 public:
  virtual ~Journal() = default;
  // Takes the whole batch (ascending ts, all after what is there) and moves the watermark, or returns false when full.
  [[nodiscard]] virtual bool append(ShardIndex shard, std::vector<Record>& batch, Timestamp read_up_to) = 0;
  // The next records, at most so many and so many bytes, but one at least; empty when there are none.
  [[nodiscard]] virtual std::vector<Record> take(ShardIndex shard, TakeLimits limits) = 0;
  [[nodiscard]] virtual Timestamp read_up_to(ShardIndex shard) const = 0;
};

}  // namespace mongotwin::journal
