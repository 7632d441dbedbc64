// SPDX-License-Identifier: Apache-2.0
// The keys `sharding` and `zones`: where the target's layout shall be another than the source's. Pure.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "options/field.h"

namespace mongotwin::options {

struct ShardingRule {
  bool sharded = true;
  std::vector<std::pair<std::string, bool>> key;  // fields in order, and whether by its hash; empty: the source's key
  bool unique = false;
  std::optional<int> chunks;
};
using Sharding = std::map<std::string, ShardingRule>;           // by the source's namespace
using Zones = std::map<std::string, std::vector<std::string>>;  // zone → shards of the target

[[nodiscard]] Sharding read_sharding(const Field& field);
[[nodiscard]] Zones read_zones(const Field& field);

}  // namespace mongotwin::options
