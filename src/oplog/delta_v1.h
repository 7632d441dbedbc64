// SPDX-License-Identifier: Apache-2.0
// Deltas of servers up to 4.4: {$v: 1, $set: {…}, $unset: {…}} with dotted paths, as their secondaries apply them.
// Used by delta.cpp and translate.cpp only. Thread-safe; borrows `o` and the document.
#pragma once

#include <string_view>
#include <vector>

#include "bson/document.h"

namespace mongotwin::oplog {

struct V1Change {
  std::vector<std::string_view> path;
  bson::Element value;
  bool is_set = false;
};

// In the order in which the server works: by path, component by component. A path that is named twice, or that
// runs through another one, throws.
[[nodiscard]] std::vector<V1Change> read_v1(bson::View o);
void apply_v1(bson::Builder& out, bson::View document, bson::View o);
[[nodiscard]] bool v1_touches(bson::View o, std::string_view dotted_path);

}  // namespace mongotwin::oplog
