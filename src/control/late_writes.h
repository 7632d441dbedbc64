// SPDX-License-Identifier: Apache-2.0
// What was written on a cluster that should be silent: the entries of its oplogs that would be replicated. Pure
// functions but for the reading; thread-safe.
#pragma once

#include <string>
#include <vector>

#include "mongo/cluster.h"
#include "oplog/namespace_filter.h"
#include "oplog/entry.h"

namespace mongotwin::control {

struct LateWrite {
  std::string shard, ns, id;  // id: as JSON; of a command the command itself
  const char* kind;           // "insert", "update", "delete", "command"
  oplog::Timestamp ts;
};
[[nodiscard]] std::string to_string(const LateWrite& write);

// Whether a collMod changes expiry alone, as a change of roles does itself.
[[nodiscard]] bool changes_expiry_only(bson::View coll_mod);

// Of one oplog entry, as `filter` selects; several for applyOps. What the balancer moves is none, nor is a change of expiry,
// which a switch-over makes itself.
void add_late_writes(const std::string& shard, bson::View entry, const oplog::NamespaceFilter& filter, std::vector<LateWrite>& into);

// Everything after `positions` (by shard) up to now, as far as a majority has it; no more than `at_most`. A commit alone
// counts too, of whatever namespaces: what it makes visible may stand before the positions.
[[nodiscard]] std::vector<LateWrite> late_writes(mongo::Cluster& cluster, const oplog::NamespaceFilter& filter, const std::vector<oplog::Timestamp>& positions, std::size_t at_most = 1000);

}  // namespace mongotwin::control
