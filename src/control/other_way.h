// SPDX-License-Identifier: Apache-2.0
// The other direction of a pair: what a switch-over and a failover need to know to follow the target from a moment at
// which nobody writes to it. Thread-safe.
#pragma once

#include <stop_token>
#include <vector>

#include "apply/ddl_applier.h"
#include "control/preflight.h"

namespace mongotwin::control {

// A document of the link on the pair's source may belong to another pair, of which that cluster is the target: throws
// Error(pause) then.
void demand_own_place(Pair& pair, const std::string& link);

// The newest position of each shard that a majority has, after a note of our own: an idle shard's clock moves too. Throws
// Error(retry) when a majority of one takes longer than `at_most`.
[[nodiscard]] std::vector<oplog::Timestamp> committed_ends(mongo::Cluster& cluster, std::chrono::milliseconds at_most = apply::DdlApplier::kNoLimit);

// The checkpoint of a link that follows the pair's target from `positions` on, when only definitions were changed there
// since: they are in the catalog. `held`: the holds of the target as it is still one; the old source shall have them. Phase
// and generation are left to the caller.
[[nodiscard]] checkpoint::Checkpoint other_way(Pair& pair, const std::vector<oplog::Timestamp>& positions, bson::View held, std::stop_token stop);

// What is held on the target, by the source's names: what is to be held there when the roles have changed.
[[nodiscard]] bson::Document held_on_source(const Pair& pair, bson::View held_on_target);
// Holds it there, or gives it back. `held`: by the target's names, or already by the source's.
enum class Held { by_target_names, by_source_names };
void hold_on_source(Pair& pair, bson::View held, Held names = Held::by_target_names, std::chrono::milliseconds at_most = apply::DdlApplier::kNoLimit);
void restore_on_source(Pair& pair, bson::View held);

}  // namespace mongotwin::control
