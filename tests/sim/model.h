// SPDX-License-Identifier: Apache-2.0
// What both sides of a comparison are made of, and the events by which the source tells the reference what happened.
// The reference's state at a cut is computed from the events alone: what the code under test makes of the oplog has no
// part in it.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "oplog/entry.h"
#include "value.h"

namespace mongotwin::sim {

using oplog::ShardIndex;
using oplog::Timestamp;

struct Index {
  std::string name;
  std::vector<std::string> keys;
  bool unique = false;
  bool operator==(const Index&) const = default;
};

struct Stored {
  Value doc;
  std::uint64_t order = 0;  // natural order, compared for capped collections only
};

struct CollectionState {
  std::string ns;
  bool capped = false;
  std::map<std::string, Stored> docs;  // by id_key()
  std::map<std::string, Index> indexes;
};
using State = std::map<std::string, CollectionState>;  // by namespace

struct Effect {
  enum Kind { put, remove, create, drop, rename, create_index, drop_index };
  Kind kind = put;
  int collection = 0;   // stays through renames
  std::string key;      // put, remove
  Value doc;            // put
  std::string ns;       // create, rename
  bool capped = false;  // create
  Index index;          // create_index, drop_index
};

// Becomes visible with the entry at (ts, shard); a distributed transaction with its first commit entry.
struct Event {
  Timestamp ts;
  ShardIndex shard = 0;
  std::vector<Effect> effects;
};

class Reference {
 public:
  std::shared_ptr<Event> add(Event event);
  [[nodiscard]] State at(const std::vector<Timestamp>& positions) const;

 private:
  std::deque<std::shared_ptr<Event>> events_;
};

// The first difference between two states, in words; empty if there is none.
[[nodiscard]] std::string difference(const State& target, const State& expected);

}  // namespace mongotwin::sim
