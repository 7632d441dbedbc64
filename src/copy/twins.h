// SPDX-License-Identifier: Apache-2.0
// Twins: two documents of one _id on different shards of the source, which no index there forbids, and which nothing on
// the target can tell apart.
#pragma once

#include <cstdint>
#include <unordered_map>
#include <unordered_set>

#include "copy/collection_copy.h"

namespace mongotwin::copy {

// Asks the router, whose view is without orphans and whose equality counts (1 is 1.0, and collations). Throws Error(pause)
// if there are two. An update that moves a document to another shard while they are asked can look like it: then again.
void refuse_twin(mongo::Client& router, const source::CollectionPlace& place, const CollectionCopy& collection, const bson::Element& id);

// The same for values that the server holds equal, whatever their type; very seldom for others.
[[nodiscard]] std::uint64_t fingerprint(const bson::Element& id);

// The _ids of a range, whose shards are read one after the other. Owned by one thread.
class SeenIds {
 public:
  // `exact`: at the price of keeping them.
  void begin(bool exact);
  // False if an equal one was taken before, and very seldom else, if not exact.
  [[nodiscard]] bool take(const bson::Element& id);

 private:
  bool exact_ = false;
  std::unordered_set<std::uint64_t> fingerprints_;
  std::unordered_multimap<std::uint64_t, bson::Document> ids_;
};

}  // namespace mongotwin::copy
