// SPDX-License-Identifier: Apache-2.0
#include "copy/twins.h"

#include <fmt/format.h>

#include "mongo/cursor.h"

namespace mongotwin::copy {

void refuse_twin(mongo::Client& router, const source::CollectionPlace& place, const CollectionCopy& collection, const bson::Element& id) {
  auto find = bson::Builder().string("find", place.name).open_document("filter").open_document("_id").value("$eq", id).close().close().open_document("projection").int32("_id", 1).close().int32("limit", 2).finish();
  if (mongo::fetch_all(router, place.database, find).size() > 1)
    throw Error(Remedy::pause, fmt::format("source: {} has two documents with _id {} on different shards", collection.from.ns, bson::to_json(id)), "remove one of them, then start again");
}

}  // namespace mongotwin::copy
