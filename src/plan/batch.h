// SPDX-License-Identifier: Apache-2.0
// DocWrite: everything that one epoch does to one document, folded into one write where that is exact.
// LaneBatch: the writes of one lane in one epoch. Rounds follow each other; inside a round no document occurs twice,
// so its writes may go to the server in any order. Owned by one thread at a time, moved between them.
#pragma once

#include <cstdint>
#include <unordered_map>
#include <vector>

#include "oplog/op.h"

namespace mongotwin::plan {

enum class WriteKind {
  put,     // the document shall be `doc`
  patch,   // apply `deltas` in order to what is there
  remove,
};

struct DocWrite {
  oplog::CollectionRef collection;
  WriteKind kind = WriteKind::put;
  bool fresh = false;          // put: the document was not there before this epoch
  bool may_be_absent = false;  // remove: it may have been inserted in this very epoch, or been evicted
  bool only_as_keyed = false;  // remove: leave a document that has another shard key than `key`
  bson::Document doc;          // put: the whole document
  bson::Document key_owner;
  bson::View key;              // the document key before this epoch: the first operation's
  std::vector<oplog::Op> deltas;
  oplog::Timestamp ts;         // of the last operation, for messages
  std::uint32_t ops = 1;       // how many operations were folded into it
  [[nodiscard]] bson::Element id() const { return key["_id"]; }
  [[nodiscard]] std::size_t bytes() const;
};

[[nodiscard]] DocWrite to_write(const oplog::Op& op);
// Folds the next operation on the same document (same _id bytes) into `write`; false if that would not be exact.
[[nodiscard]] bool fold(DocWrite& write, const oplog::Op& op);

using Round = std::vector<DocWrite>;

struct LaneBatch {
  std::uint64_t epoch = 0;
  bool tolerant = false;  // the target may already be newer than these operations
  std::vector<Round> rounds;
  std::uint64_t ops = 0;
  std::size_t bytes = 0;
};

// Collects one lane's share of the open epoch. Owned by one thread (merge).
class BatchBuilder {
 public:
  void add(const oplog::Op& op, std::uint64_t hash);
  [[nodiscard]] LaneBatch take(std::uint64_t epoch, bool tolerant);
  [[nodiscard]] bool empty() const { return batch_.ops == 0; }

 private:
  LaneBatch batch_;
  std::unordered_map<std::uint64_t, std::pair<std::size_t, std::size_t>> last_;  // hash → round, index
};

}  // namespace mongotwin::plan
