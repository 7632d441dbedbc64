// SPDX-License-Identifier: Apache-2.0
// The lane of a document: a hash of its _id under which values that the server holds equal hash equal, whatever
// their type (1, 1.0 and NumberLong(1) are one document). Pure.
#pragma once

#include <cstdint>

#include "bson/view.h"

namespace mongotwin::plan {

[[nodiscard]] std::uint64_t hash_id(const bson::Element& id, std::uint64_t seed);

}  // namespace mongotwin::plan
