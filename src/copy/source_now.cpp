// SPDX-License-Identifier: Apache-2.0
#include "copy/source_now.h"

#include <fmt/format.h>

#include "mongo/cursor.h"

namespace mongotwin::copy {

std::optional<SourceNow> read_now(mongo::Cluster& source, const CollectionCopy& collection, bson::View filter, Fields fields) {
  auto client = source.router().acquire();
  auto place = source::find_place(source, client, collection.from.ns, collection.from.uuid);
  if (!place) return {};
  bson::Builder find;
  find.string("find", place->name).document("filter", filter);
  if (fields == Fields::only_id) find.open_document("projection").int32("_id", 1).close();
  auto documents = mongo::fetch_all(client, place->database, find.open_document("readConcern").string("level", "majority").close().finish());
  auto after = source::find_place(source, client, collection.from.ns, collection.from.uuid);
  if (!after) return {};
  if (after->name != place->name || after->uuid != place->uuid)
    throw mongo::CommandError(Remedy::retry, 0, false, fmt::format("source: {} was renamed while it was looked at", collection.from.ns));
  return SourceNow{std::move(*place), std::move(documents)};
}

}  // namespace mongotwin::copy
