// SPDX-License-Identifier: Apache-2.0
// The sections of a `$v: 2` diff, checked and in a form that is quick to look up. Borrowed: the entry's bytes must
// outlive these. Immutable but for Change::placed, which the applier owns. A diff that a server could not have written
// throws Error(Remedy::pause), as the server refuses it too.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "bson/view.h"

namespace mongotwin::oplog {

// What happens to one field or array element.
enum class ChangeKind {
  remove,  // d
  set,     // u: in place, or appended if it is missing
  append,  // i: to the end, even if it exists already
  splice,  // b: new bytes from an offset on (8.0, time-series buckets)
  object,  // s: a diff of the object there
  array,   // s with a:true: a diff of the array there
};

struct Change {
  std::string_view name;
  ChangeKind kind;
  bson::Element value;
  bool placed = false;  // the value stands in the document already
};

struct ObjectDiff {
  std::vector<Change> changes;         // sorted by name; no name twice
  std::vector<bson::Element> to_append;  // u, then i, each in the order written

  [[nodiscard]] Change* find(std::string_view name);
};

struct ElementChange {
  std::size_t index;
  ChangeKind kind;  // set, object or array
  bson::Element value;
};

struct ArrayDiff {
  std::optional<std::size_t> length;  // l
  std::vector<ElementChange> changes;  // by rising index
};

[[nodiscard]] ObjectDiff read_object_diff(bson::View diff);
[[nodiscard]] ArrayDiff read_array_diff(bson::View diff);

// A `b` change: keep the first `offset` bytes of the binary, then `data`.
struct Splice {
  std::size_t offset;
  std::string_view data;
};
[[nodiscard]] Splice read_splice(const bson::Element& change);

[[noreturn]] void not_understood(const std::string& what);

}  // namespace mongotwin::oplog
