// SPDX-License-Identifier: Apache-2.0
// as_update(): a delta as an update command. Two forms, because no single one is exact for every delta:
// - Operators change values in place, remove fields, set array elements (padding with null as the delta does) and cut
//   arrays. But $set leaves an existing field where it is, while `i` moves it to the end, and an entry does not say
//   whether the field existed (a pipeline that reorders fields logs `i` too); and several new fields come out in
//   alphabetical order. So a delta with an `i` section can't go this way.
// - A pipeline removes the fields, then merges the object with one that holds them, in the order written: that is what
//   `i` means. ($unset and $set would not do: a field removed and set again by one pipeline gets its old place back.)
//   A pipeline can't address array elements.
#include <algorithm>
#include <string>

#include "oplog/delta.h"
#include "oplog/delta_v1.h"
#include "oplog/diff.h"

namespace mongotwin::oplog {
namespace {

using bson::Builder;
using bson::Document;
using bson::Element;
using bson::Type;
using bson::View;

constexpr std::size_t kDepthMax = 80;               // servers take documents 200 deep, a path and its value together
constexpr std::size_t kIndexMax = 1000000;          // $set pads at most 1,500,000 elements
constexpr std::size_t kMergesMax = 20;              // objects that get new fields; a stage each
constexpr std::size_t kUpdateBytesMax = 15u << 20;  // a command holds 16 MB and some; the paths repeat names

struct Write {
  std::string path;
  Element value;
};

// New fields of the object at a path; the whole document's path is "".
struct Merge {
  std::string path;
  std::vector<Element> fields;
};

struct Cut {
  std::string path;
  std::size_t length;
};

struct Changes {
  std::vector<Write> sets;
  std::vector<Merge> merges;
  std::vector<std::string> removes;
  std::vector<Cut> cuts;
  bool in_arrays = false;
};

bool numeric(std::string_view name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) { return c >= '0' && c <= '9'; });
}

// A name that a path can hold as one component. Names of digits are fine: where the delta has an object the target
// has one too, and there a component of digits is a name. But not "00": should the target have an array there by now,
// "0" and "00" in one update abort the server (an invariant of its diff tree; seen on 6.0.5).
bool addressable(std::string_view name) {
  if (name.empty() || name[0] == '$' || name.find('.') != std::string_view::npos) return false;
  return name.size() == 1 || name[0] != '0' || !numeric(name);
}

// Values with `$` names inside are refused by $set on some servers; those nested near the limit, by all.
bool plain(const Element& e, std::size_t depth) {
  if (e.type() == Type::Undefined || depth > kDepthMax) return false;
  if (!e.is_object() && !e.is_array()) return true;
  View inner = *e.document();
  for (const auto& field : inner)
    if (field.key().starts_with('$') || !plain(field, depth + 1)) return false;
  return true;
}

std::string join(const std::string& path, std::string_view name) {
  std::string out;
  out.reserve(path.size() + name.size() + 1);
  if (!path.empty()) out.append(path).push_back('.');
  return out.append(name);
}

bool collect_object(View diff, const std::string& path, std::size_t depth, Changes& out);

bool collect_array(View diff, const std::string& path, std::size_t depth, Changes& out) {
  if (depth > kDepthMax) return false;
  auto array = read_array_diff(diff);
  out.in_arrays = true;
  if (array.length) {
    if (!array.changes.empty()) return false;  // one update can't cut an array and set an element of it
    out.cuts.push_back({path, *array.length});
    return true;
  }
  for (const auto& change : array.changes) {
    if (change.index > kIndexMax) return false;
    auto below = join(path, std::to_string(change.index));
    if (change.kind == ChangeKind::set) {
      if (!plain(change.value, depth)) return false;
      out.sets.push_back({std::move(below), change.value});
    } else if (change.kind == ChangeKind::object) {
      if (!collect_object(*change.value.document(), below, depth + 1, out)) return false;
    } else if (!collect_array(*change.value.document(), below, depth + 1, out)) {
      return false;
    }
  }
  return true;
}

bool collect_change(const Change& change, const std::string& path, std::size_t depth, Changes& out) {
  if (!addressable(change.name) || (depth == 0 && change.name == "_id")) return false;
  switch (change.kind) {
    case ChangeKind::remove: out.removes.push_back(join(path, change.name)); return true;
    case ChangeKind::set:
    case ChangeKind::append: return plain(change.value, depth);
    case ChangeKind::splice: return false;
    case ChangeKind::object: return collect_object(*change.value.document(), join(path, change.name), depth + 1, out);
    case ChangeKind::array: return collect_array(*change.value.document(), join(path, change.name), depth + 1, out);
  }
  return false;
}

bool collect_object(View diff, const std::string& path, std::size_t depth, Changes& out) {
  if (depth > kDepthMax) return false;
  auto changes = read_object_diff(diff);
  for (const auto& change : changes.changes)
    if (!collect_change(change, path, depth, out)) return false;
  Merge merge{path, {}};
  for (const auto& field : changes.to_append) {
    if (changes.find(field.key())->kind == ChangeKind::set) {
      out.sets.push_back({join(path, field.key()), field});
    } else {
      merge.fields.push_back(field);
    }
  }
  if (!merge.fields.empty()) out.merges.push_back(std::move(merge));
  return true;
}

// `$v: 1` is an update with operators already. Only the order of new fields has changed since: 5.0 and later take
// names of digits as numbers, 4.4 as text; with one such path at most, both orders are one.
bool collect_v1(View o, Changes& out) {
  int with_digits = 0;
  for (const auto& change : read_v1(o)) {
    if (change.path[0] == "_id" || change.path.size() > kDepthMax) return false;
    if (!std::all_of(change.path.begin(), change.path.end(), addressable)) return false;
    if (std::any_of(change.path.begin(), change.path.end(), numeric) && ++with_digits > 1) return false;
    std::string path(change.value.key());
    if (!change.is_set) {
      out.removes.push_back(std::move(path));
    } else if (plain(change.value, change.path.size())) {
      out.sets.push_back({std::move(path), change.value});
    } else {
      return false;
    }
  }
  return true;
}

Document operators(const Changes& changes) {
  Builder out;
  if (!changes.sets.empty()) {
    out.open_document("$set");
    for (const auto& write : changes.sets) out.value(write.path, write.value);
    out.close();
  }
  if (!changes.removes.empty()) {
    out.open_document("$unset");
    for (const auto& path : changes.removes) out.boolean(path, true);
    out.close();
  }
  if (!changes.cuts.empty()) {
    out.open_document("$push");
    for (const auto& cut : changes.cuts) {
      out.open_document(cut.path).open_array("$each").close();
      out.int32("$slice", static_cast<std::int32_t>(cut.length)).close();
    }
    out.close();
  }
  return out.finish();
}

void append_unset(Builder& out, const Changes& changes) {
  out.open_document("0").open_array("$unset");
  std::size_t i = 0;
  for (const auto& path : changes.removes) out.string(std::to_string(i++), path);
  for (const auto& merge : changes.merges)
    for (const auto& field : merge.fields) out.string(std::to_string(i++), join(merge.path, field.key()));
  out.close().close();
}

// {$mergeObjects: ["$path", {$literal: {…}}]}
void append_merge(Builder& out, std::string_view key, const Merge& merge) {
  out.open_document(key).open_array("$mergeObjects");
  out.string("0", merge.path.empty() ? "$$ROOT" : "$" + merge.path);
  out.open_document("1").open_document("$literal");
  for (const auto& field : merge.fields) out.element(field);
  out.close().close().close().close();
}

Document pipeline(const Changes& changes) {
  Builder out;
  append_unset(out, changes);
  std::size_t stage = 1;
  if (!changes.sets.empty()) {
    out.open_document(std::to_string(stage++)).open_document("$set");
    for (const auto& write : changes.sets) out.open_document(write.path).value("$literal", write.value).close();
    out.close().close();
  }
  for (const auto& merge : changes.merges) {
    out.open_document(std::to_string(stage++));
    if (merge.path.empty()) {
      append_merge(out, "$replaceWith", merge);
    } else {
      out.open_document("$set");
      append_merge(out, merge.path, merge);
      out.close();
    }
    out.close();
  }
  return out.finish();
}

}  // namespace

std::optional<Update> as_update(View o) {
  Changes changes;
  switch (classify(o)) {
    case UpdateKind::replacement: return {};
    case UpdateKind::delta_v1:
      if (!collect_v1(o, changes)) return {};
      break;
    case UpdateKind::delta_v2:
      if (!collect_object(*o.document("diff"), "", 0, changes)) return {};
      break;
  }
  if (!changes.merges.empty() && (changes.in_arrays || changes.merges.size() > kMergesMax)) return {};
  Update out;
  out.form = changes.merges.empty() ? Update::Form::operators : Update::Form::pipeline;
  out.document = out.form == Update::Form::pipeline ? pipeline(changes) : operators(changes);
  if (out.document.empty() || out.document.size() > kUpdateBytesMax) return {};
  return out;
}

}  // namespace mongotwin::oplog
