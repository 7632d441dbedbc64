// SPDX-License-Identifier: Apache-2.0
// Which of the two configured clusters is the source now. A switch-over changes the roles and leaves the configuration as
// it is: the checkpoint is always on the target, and of two documents of one link the one with the greater generation
// holds. Pure but for find_roles().
#pragma once

#include <optional>

#include "checkpoint/checkpoint.h"
#include "options/options.h"

namespace mongotwin::control {

// `on_target`, `on_source`: the link's documents on the configured target and source. `target_id`: the configured target's;
// a document on the source of a pair with another cluster, as in a chain, is another link's, of the same name; empty: not known.
// True if the roles are swapped.
[[nodiscard]] bool are_swapped(const std::optional<checkpoint::Checkpoint>& on_target, const std::optional<checkpoint::Checkpoint>& on_source, const std::string& target_id);

// The same when the source need not answer: by the cluster that does, which must be the target of the two.
[[nodiscard]] options::Options find_roles_without_source(const options::Options& configured);

// Whether a cluster answers within a few seconds.
[[nodiscard]] bool answers(const std::string& uri);

// The options as the pair stands. Throws Error(fix_config) if a cluster can't be asked.
[[nodiscard]] options::Options find_roles(const options::Options& configured);

}  // namespace mongotwin::control
