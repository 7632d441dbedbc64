// SPDX-License-Identifier: Apache-2.0
// Ranges: how a collection is cut for the copy. Boundaries are `_id` values sampled by the server, used with min/max
// and a hint: these cross BSON types, which comparison operators don't. Values; functions are thread-safe.
#pragma once

#include <optional>
#include <vector>

#include "mongo/cluster.h"
#include "source/catalog_reader.h"

namespace mongotwin::copy {

struct Range {
  std::size_t collection = 0;               // index into the copy's list
  std::optional<bson::Document> min, max;   // {_id: …}; min is included, max is not
  bool natural = false;                     // in natural order, for capped and clustered collections
  bool begun = false;                       // by an earlier run: some of it may be on the target
};

struct Size {
  std::uint64_t documents = 0, bytes = 0;   // estimates: orphans count too
};

[[nodiscard]] Size estimate(mongo::Cluster& source, const source::SourceCollection& collection);
[[nodiscard]] std::vector<Range> cut(mongo::Cluster& source, const source::SourceCollection& collection, std::size_t index, Size size, std::uint64_t range_bytes);

}  // namespace mongotwin::copy
