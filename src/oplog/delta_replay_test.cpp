// SPDX-License-Identifier: Apache-2.0
// At scale and without a server: random histories of a document. Each entry makes its state of the one before, and the
// entries from any point on, applied to the newest state, give the newest state again.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "oplog/delta.h"

namespace mongotwin::oplog {
namespace {

using bson::Builder;
using bson::Document;
using bson::Element;
using bson::View;

using Random = std::mt19937;

int below(Random& random, int n) { return static_cast<int>(random() % static_cast<unsigned>(n)); }

const char* const kNames[] = {"a", "b", "c", "d", "e", "0", "1", "", "x.y", "$q", "s", "a.b"};

void random_value(Random& random, Builder& out, std::string_view key, int depth);

void random_fields(Random& random, Builder& out, int depth) {
  std::vector<std::string_view> names(std::begin(kNames), std::end(kNames));
  std::shuffle(names.begin(), names.end(), random);
  names.resize(static_cast<std::size_t>(below(random, 6)));
  for (auto name : names) random_value(random, out, name, depth);
}

void random_value(Random& random, Builder& out, std::string_view key, int depth) {
  int kind = depth > 3 ? 0 : below(random, 5);
  if (kind == 4) {
    out.open_array(key);
    for (int i = 0, n = below(random, 5); i < n; ++i) random_value(random, out, std::to_string(i), depth + 1);
    out.close();
  } else if (kind == 3) {
    out.open_document(key);
    random_fields(random, out, depth + 1);
    out.close();
  } else if (kind == 2) {
    out.null(key);
  } else {
    out.int32(key, below(random, 3));
  }
}

// The value, or with some luck the same one changed somewhere inside.
void changed_value(Random& random, Builder& out, std::string_view key, const Element& e, int depth);

void changed_object(Random& random, Builder& out, View before, int depth) {
  std::vector<Element> fields;
  for (const auto& field : before)
    if (depth == 0 || below(random, 8) != 0) fields.push_back(field);
  auto movable = fields.begin() + (depth == 0 ? 1 : 0);
  if (movable != fields.end() && below(random, 4) == 0) std::rotate(movable, movable + 1, fields.end());
  for (const auto& field : fields) changed_value(random, out, field.key(), field, depth);
  auto name = kNames[below(random, std::size(kNames))];
  bool free = std::none_of(fields.begin(), fields.end(), [&](const Element& f) { return f.key() == name; });
  if (free && below(random, 3) == 0) random_value(random, out, name, depth + 1);
}

void changed_array(Random& random, Builder& out, View before, int depth) {
  int index = 0;
  for (const auto& element : before) {
    if (below(random, 8) == 0) return;
    changed_value(random, out, std::to_string(index++), element, depth);
  }
  if (below(random, 2) == 0) random_value(random, out, std::to_string(index), depth + 1);
}

void changed_value(Random& random, Builder& out, std::string_view key, const Element& e, int depth) {
  int luck = below(random, 10);
  if (key == "_id" || luck > 6) {
    out.value(key, e);
  } else if (e.is_object() && luck > 0) {
    out.open_document(key);
    changed_object(random, out, *e.document(), depth + 1);
    out.close();
  } else if (e.is_array() && luck > 0) {
    out.open_array(key);
    changed_array(random, out, *e.document(), depth + 1);
    out.close();
  } else {
    random_value(random, out, key, depth + 1);
  }
}

// A diff as a server might log it: fields are matched in order; whatever is out of order goes to the end by `i`.
// Returns false if there is no difference.
bool diff_objects(Builder& out, View before, View after);

bool diff_arrays(Builder& out, View before, View after) {
  out.boolean("a", true);
  bool any = false;
  int before_size = 0, after_size = 0;
  for (auto it = before.begin(); it != nullptr; ++it) ++before_size;
  for (auto it = after.begin(); it != nullptr; ++it) ++after_size;
  if (after_size < before_size) {
    out.int32("l", after_size);
    any = true;
  }
  for (const auto& element : after) {
    auto old = before[element.key()];
    if (old && old.same_value(element)) continue;
    any = true;
    out.value("u" + std::string(element.key()), element);
  }
  return any;
}

void sub_diff(Builder& out, const Element& before, const Element& after) {
  out.open_document("s" + std::string(after.key()));
  if (after.is_array()) {
    diff_arrays(out, *before.document(), *after.document());
  } else {
    diff_objects(out, *before.document(), *after.document());
  }
  out.close();
}

struct Sections {
  std::vector<Element> removed, set, appended;
  std::vector<std::pair<Element, Element>> inside;
};

Sections compare(View before, View after) {
  Sections out;
  auto next = after.begin();
  for (const auto& old : before) {
    if (next == nullptr || old.key() != next->key()) {
      if (!after[old.key()]) out.removed.push_back(old);
      continue;
    }
    bool deep = old.type() == next->type() && (old.is_object() || old.is_array());
    if (!old.same_value(*next)) {
      if (deep) out.inside.emplace_back(old, *next); else out.set.push_back(*next);
    }
    ++next;
  }
  for (; next != nullptr; ++next) out.appended.push_back(*next);
  return out;
}

void section(Builder& out, const char* name, const std::vector<Element>& fields) {
  if (fields.empty()) return;
  out.open_document(name);
  for (const auto& field : fields) out.element(field);
  out.close();
}

bool diff_objects(Builder& out, View before, View after) {
  auto sections = compare(before, after);
  section(out, "d", sections.removed);
  section(out, "u", sections.set);
  section(out, "i", sections.appended);
  for (const auto& [old, now] : sections.inside) sub_diff(out, old, now);
  return before.bytes() != after.bytes();
}

TEST(DeltaReplay, FromAnyPointOfTheHistory) {
  Random random(20240607);
  for (int document = 0; document < 3000; ++document) {
    Builder first;
    first.int32("_id", document);
    random_fields(random, first, 0);
    auto state = first.finish();
    std::vector<Document> entries;
    for (int i = 0; i < 12; ++i) {
      Builder next, o;
      changed_object(random, next, state, 0);
      auto after = next.finish();
      o.int32("$v", 2).open_document("diff");
      bool any = diff_objects(o, state, after);
      if (!any) continue;
      entries.push_back(o.close().finish());
      ASSERT_EQ(apply_delta(state, entries.back()), after) << to_json(state) << to_json(entries.back());
      state = after;
    }
    for (std::size_t k = 0; k < entries.size(); ++k) {
      auto replayed = state;
      for (std::size_t i = k; i < entries.size(); ++i) replayed = apply_delta(replayed, entries[i]);
      ASSERT_EQ(replayed, state) << "from entry " << k << " of document " << document << ": " << to_json(replayed) << to_json(state);
    }
  }
}

}  // namespace
}  // namespace mongotwin::oplog
