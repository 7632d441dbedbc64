// SPDX-License-Identifier: Apache-2.0
#include "copy/primaries.h"

#include <algorithm>

namespace mongotwin::copy {

std::map<std::string, std::string> choose_primaries(const std::map<std::string, std::uint64_t>& bytes, const std::vector<std::string>& shards) {
  std::vector<std::pair<std::string, std::uint64_t>> heaviest(bytes.begin(), bytes.end());
  std::stable_sort(heaviest.begin(), heaviest.end(), [](const auto& a, const auto& b) { return a.second > b.second; });
  std::map<std::string, std::uint64_t> given;
  std::map<std::string, std::string> out;
  for (const auto& [database, size] : heaviest) {
    const auto& shard = *std::min_element(shards.begin(), shards.end(), [&](const auto& a, const auto& b) { return given[a] < given[b]; });
    out[database] = shard;
    given[shard] += size + 1;  // empty ones are spread too
  }
  return out;
}

}  // namespace mongotwin::copy
