// SPDX-License-Identifier: Apache-2.0
// SourceNow: some documents of a collection as a majority of the source has them at this moment, under whatever name the
// collection has by now. Pure function; thread-safe.
#pragma once

#include <optional>
#include <vector>

#include "copy/collection_copy.h"

namespace mongotwin::copy {

struct SourceNow {
  source::CollectionPlace place;
  std::vector<bson::Document> documents;
};

enum class Fields { all, only_id };
// Nothing if the collection is gone. Throws CommandError(retry) if it got another name or UUID meanwhile.
[[nodiscard]] std::optional<SourceNow> read_now(mongo::Cluster& source, const CollectionCopy& collection, bson::View filter, Fields fields = Fields::all);

}  // namespace mongotwin::copy
