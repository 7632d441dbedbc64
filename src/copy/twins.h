// SPDX-License-Identifier: Apache-2.0
// Two documents of one _id may live on different shards of the source, which no index there forbids: nothing on the
// target can tell them apart. Pure function with a read; thread-safe.
#pragma once

#include "copy/collection_copy.h"

namespace mongotwin::copy {

// Asks the router, whose view is without orphans and whose equality counts (1 is 1.0, and collations). Throws Error(pause)
// if there are two.
void refuse_twin(mongo::Client& router, const source::CollectionPlace& place, const CollectionCopy& collection, const bson::Element& id);

}  // namespace mongotwin::copy
