// SPDX-License-Identifier: Apache-2.0
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

void apply_to_object(Builder& out, View before, View diff);
void apply_to_array(Builder& out, View before, View diff);

// A sub-diff that meets a value of another type belongs to the past: a later entry rewrites the value. The server
// writes null in its place meanwhile, and so do we.
void apply_sub_diff(Builder& out, std::string_view key, const Element& before, ChangeKind kind, View diff) {
  if (kind == ChangeKind::object && before.is_object()) {
    out.open_document(key);
    apply_to_object(out, *before.document(), diff);
    out.close();
  } else if (kind == ChangeKind::array && before.is_array()) {
    out.open_array(key);
    apply_to_array(out, *before.document(), diff);
    out.close();
  } else {
    out.null(key);
  }
}

// Tolerant as well: bytes that are not there yet can't be kept, and a later entry rewrites the whole.
void apply_splice(Builder& out, const Element& before, const Element& change) {
  auto splice = read_splice(change);
  auto old = before.type() == Type::Binary ? before.value_bytes() : std::string_view();
  if (old.empty() || splice.offset > old.size() - 5) {
    out.element(before);
    return;
  }
  auto size = static_cast<std::uint32_t>(splice.offset + splice.data.size());
  std::string element(before.raw().substr(0, before.key().size() + 2));
  element.append(reinterpret_cast<const char*>(&size), 4).append(old.substr(4, 1 + splice.offset)).append(splice.data);
  out.raw(element);
}

void apply_change(Builder& out, const Element& before, Change& change) {
  switch (change.kind) {
    case ChangeKind::remove: break;
    case ChangeKind::append: break;  // comes at the end
    case ChangeKind::set: out.element(change.value); change.placed = true; break;
    case ChangeKind::splice: apply_splice(out, before, change.value); break;
    case ChangeKind::object:
    case ChangeKind::array: apply_sub_diff(out, before.key(), before, change.kind, *change.value.document()); break;
  }
}

void apply_to_object(Builder& out, View before, View diff) {
  auto changes = read_object_diff(diff);
  for (const auto& field : before) {
    if (Change* change = changes.find(field.key())) {
      apply_change(out, field, *change);
    } else {
      out.element(field);
    }
  }
  for (const auto& field : changes.to_append)
    if (!changes.find(field.key())->placed) out.element(field);
}

void apply_to_array(Builder& out, View before, View diff) {
  auto changes = read_array_diff(diff);
  auto change = changes.changes.begin();
  const auto last = changes.changes.end();
  auto old = before.begin();
  for (std::size_t i = 0;; ++i) {
    bool wanted = changes.length ? i < *changes.length : (old != nullptr || change != last);
    if (!wanted) break;
    auto key = std::to_string(i);
    Element element = old != nullptr ? *old : Element();
    if (old != nullptr) ++old;
    if (change != last && change->index == i) {
      if (change->kind == ChangeKind::set) {
        out.value(key, change->value);
      } else {
        apply_sub_diff(out, key, element, change->kind, *change->value.document());
      }
      ++change;
    } else if (element) {
      out.value(key, element);
    } else {
      out.null(key);  // beyond the end: padding
    }
  }
}

// A pipeline that puts _id elsewhere logs it as moved there (or as removed), but the server stores it first, as it was.
Document id_first(Document document, View before) {
  auto id = document["_id"] ? document["_id"] : before["_id"];
  if (!id || (!document.empty() && document.view().begin()->key() == "_id")) return document;
  Builder out;
  out.reserve(document.size() + id.raw().size());
  out.element(id);
  for (const auto& field : document.view())
    if (field.key() != "_id") out.element(field);
  return out.finish();
}

bool only_operators(View o) {
  bool any = false;
  for (const auto& field : o) {
    if (field.key() == "$v") continue;
    if ((field.key() != "$set" && field.key() != "$unset") || !field.is_object()) return false;
    any = true;
  }
  return any;
}

bool diff_touches(View diff, std::string_view path) {
  auto dot = path.find('.');
  auto* change = read_object_diff(diff).find(path.substr(0, dot));
  if (!change) return false;
  if (dot == std::string_view::npos || change->kind != ChangeKind::object) return true;
  return diff_touches(*change->value.document(), path.substr(dot + 1));
}

bool is_empty_timestamp(const Element& e) { return e.timestamp() && e.timestamp()->is_null(); }

}  // namespace

UpdateKind classify(View o) {
  if (o["_id"]) return UpdateKind::replacement;
  auto version = o["$v"];
  if (version && version.integer() == 2) {
    for (const auto& field : o)
      if (field.key() != "$v" && field.key() != "diff") not_understood("the field '" + std::string(field.key()) + "' beside a diff");
    if (!o["diff"].is_object()) not_understood("$v: 2 but no diff");
    return UpdateKind::delta_v2;
  }
  if (version && version.integer() != 1) not_understood("$v: " + to_json(version));
  if (only_operators(o)) return UpdateKind::delta_v1;
  not_understood("neither an _id nor a known delta: " + to_json(o, 200));
}

Document apply_delta(View document, View o) {
  Builder out;
  out.reserve(document.size() + o.size());
  switch (classify(o)) {
    case UpdateKind::delta_v2: apply_to_object(out, document, *o.document("diff")); break;
    case UpdateKind::delta_v1: apply_v1(out, document, o); break;
    case UpdateKind::replacement: not_understood("a whole document where a delta is expected");
  }
  return id_first(out.finish(), document);
}

Document replacement(View o) {
  if (!o["_id"]) not_understood("a replacement without _id");
  return id_first(Document::copy_of(o), o);
}

bool touches(View o, std::string_view dotted_path) {
  switch (classify(o)) {
    case UpdateKind::replacement: return true;
    case UpdateKind::delta_v1: return v1_touches(o, dotted_path);
    case UpdateKind::delta_v2: break;
  }
  return diff_touches(*o.document("diff"), dotted_path);
}

bool replacement_needs_literal(View document) {
  for (const auto& field : document)
    if (field.key().starts_with('$') || is_empty_timestamp(field)) return true;
  return false;
}

bool insert_needs_literal(View document) {
  for (const auto& field : document)
    if (is_empty_timestamp(field)) return true;
  return false;
}

}  // namespace mongotwin::oplog
