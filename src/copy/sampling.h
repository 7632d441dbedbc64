// SPDX-License-Identifier: Apache-2.0
// Sampling: random documents at a price that is known. $sample reads and sorts everything where more is asked for than a
// small part of a collection, in a command that says nothing until it has ended. Pure functions; thread-safe.
#pragma once

#include <functional>

#include "copy/ranges.h"

namespace mongotwin::copy {

// At most `wanted`, of what each of its `shards` is asked for: so many that a server jumps to them, or all is read soon.
[[nodiscard]] std::size_t samples_of(Size size, std::size_t shards, std::size_t wanted);

// Runs an aggregate that samples `count` documents, and again with fewer where that takes too long; nothing in the end.
using Sampling = std::function<void(bson::Builder& aggregate, std::size_t count)>;  // all of the command but its time limit
[[nodiscard]] std::vector<bson::Document> sampled(mongo::Client& client, const std::string& database, std::size_t count, const Sampling& sampling);

}  // namespace mongotwin::copy
