// SPDX-License-Identifier: Apache-2.0
// The part of the preflight about the target's sharding layout: what the configuration's `sharding` and `zones` and the
// source's own zones ask for must be possible. Reads only; throws Error(fix_config).
#pragma once

#include <set>

#include "control/preflight.h"

namespace mongotwin::control {

// The configuration's `sharding` and `zones`, by the target's names.
[[nodiscard]] apply::ShardingRules sharding_rules(const options::Options& options, const oplog::NamespaceFilter& filter);

// `collections`: of the source, those that are to be replicated. Adds to the pair's warnings.
void check_layout(Pair& pair, const options::Options& options, const std::set<std::string>& collections);

}  // namespace mongotwin::control
