// SPDX-License-Identifier: Apache-2.0
#include "oplog/diff.h"

#include <algorithm>

#include "base/error.h"
#include "bson/document.h"

namespace mongotwin::oplog {
namespace {

using bson::Element;
using bson::Type;
using bson::View;

// A document holds 16 MB and an element takes at least 3 bytes, so no real index comes near.
constexpr std::size_t kIndexMax = 16u << 20;

// The order in which the server writes, and demands, the sections of an object's diff.
int section_rank(char section) {
  switch (section) {
    case 'd': return 1;
    case 'u': return 2;
    case 'i': return 3;
    case 'b': return 4;
    case 's': return 5;
    default: return 0;
  }
}

View object_of(const Element& e, const char* what) {
  if (!e.is_object()) not_understood(std::string(what) + " '" + std::string(e.key()) + "' that is not an object");
  return *e.document();
}

ChangeKind sub_diff_kind(View diff) {
  if (diff.empty()) not_understood("an empty sub-diff");
  return diff.begin()->key() == "a" ? ChangeKind::array : ChangeKind::object;
}

void read_section(const Element& section, ObjectDiff& out) {
  View fields = object_of(section, "a diff section");
  for (const auto& field : fields) {
    switch (section.key()[0]) {
      case 'd': out.changes.push_back({field.key(), ChangeKind::remove, field}); break;
      case 'b': out.changes.push_back({field.key(), ChangeKind::splice, field}); break;
      case 'u': out.changes.push_back({field.key(), ChangeKind::set, field}); out.to_append.push_back(field); break;
      default: out.changes.push_back({field.key(), ChangeKind::append, field}); out.to_append.push_back(field); break;
    }
  }
}

void sort_and_check(ObjectDiff& diff) {
  auto by_name = [](const Change& a, const Change& b) { return a.name < b.name; };
  std::sort(diff.changes.begin(), diff.changes.end(), by_name);
  auto same = [](const Change& a, const Change& b) { return a.name == b.name; };
  auto twice = std::adjacent_find(diff.changes.begin(), diff.changes.end(), same);
  if (twice != diff.changes.end()) not_understood("a diff that names the field '" + std::string(twice->name) + "' twice");
}

std::size_t index_of(std::string_view key) {
  std::size_t index = 0;
  for (char c : key.substr(1)) {
    if (c < '0' || c > '9') index = kIndexMax;
    if (index < kIndexMax) index = index * 10 + static_cast<std::size_t>(c - '0');
  }
  if (key.size() < 2 || index >= kIndexMax) not_understood("the array diff field '" + std::string(key) + "'");
  return index;
}

ElementChange read_element_change(const Element& e) {
  auto key = e.key();
  auto index = index_of(key);
  if (key[0] == 'u') return {index, ChangeKind::set, e};
  if (key[0] != 's') not_understood("the array diff field '" + std::string(key) + "'");
  return {index, sub_diff_kind(object_of(e, "an array sub-diff")), e};
}

}  // namespace

void not_understood(const std::string& what) {
  throw Error(Remedy::pause, "the oplog has an update entry with " + what + ", which this version does not know",
              "see whether a newer version of mongotwin knows it; nothing was skipped");
}

Change* ObjectDiff::find(std::string_view name) {
  if (changes.size() <= 8) {
    for (auto& change : changes)
      if (change.name == name) return &change;
    return nullptr;
  }
  auto at = std::lower_bound(changes.begin(), changes.end(), name,
                             [](const Change& change, std::string_view n) { return change.name < n; });
  return at != changes.end() && at->name == name ? &*at : nullptr;
}

ObjectDiff read_object_diff(View diff) {
  if (diff.empty()) not_understood("an empty diff");
  ObjectDiff out;
  int last_rank = 0;
  for (const auto& section : diff) {
    auto name = section.key();
    int rank = name.empty() ? 0 : section_rank(name[0]);
    bool is_sub_diff = rank == section_rank('s');
    bool in_order = is_sub_diff ? rank >= last_rank : rank > last_rank;
    if (rank == 0 || !in_order || (!is_sub_diff && name.size() != 1))
      not_understood("the diff section '" + std::string(name) + "'");
    last_rank = rank;
    if (is_sub_diff) {
      out.changes.push_back({name.substr(1), sub_diff_kind(object_of(section, "a sub-diff")), section});
    } else {
      read_section(section, out);
    }
  }
  sort_and_check(out);
  return out;
}

ArrayDiff read_array_diff(View diff) {
  ArrayDiff out;
  auto it = diff.begin();
  if (it == nullptr || it->key() != "a" || !it->boolean().value_or(false)) not_understood("an array diff without a:true");
  ++it;
  if (it != nullptr && it->key() == "l") {
    auto length = it->integer();
    if (!length || *length < 0 || *length >= static_cast<std::int64_t>(kIndexMax)) not_understood("an array length of " + to_json(*it));
    out.length = static_cast<std::size_t>(*length);
    ++it;
  }
  for (; it != nullptr; ++it) {
    auto change = read_element_change(*it);
    if (!out.changes.empty() && change.index <= out.changes.back().index) not_understood("array indexes out of order");
    if (out.length && change.index >= *out.length) not_understood("an array index beyond the array's new length");
    out.changes.push_back(change);
  }
  return out;
}

Splice read_splice(const Element& change) {
  View fields = object_of(change, "a binary diff");
  auto offset = fields.integer("o");
  auto data = fields["d"];
  int count = 0;
  for (auto it = fields.begin(); it != nullptr; ++it) ++count;
  if (!offset || *offset < 0 || data.type() != Type::Binary || count != 2)
    not_understood("the binary diff " + to_json(change));
  return {static_cast<std::size_t>(*offset), data.value_bytes().substr(5)};
}

}  // namespace mongotwin::oplog
