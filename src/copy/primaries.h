// SPDX-License-Identifier: Apache-2.0
// Primaries: which shard of the target gets the unsharded collections of which database. Pure.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace mongotwin::copy {

// `bytes` of the unsharded collections, by database. The heaviest first, each to the shard that has the fewest so far.
[[nodiscard]] std::map<std::string, std::string> choose_primaries(const std::map<std::string, std::uint64_t>& bytes, const std::vector<std::string>& shards);

}  // namespace mongotwin::copy
