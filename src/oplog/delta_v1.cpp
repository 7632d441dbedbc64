// SPDX-License-Identifier: Apache-2.0
#include "oplog/delta_v1.h"

#include <algorithm>
#include <optional>
#include <span>

#include "oplog/diff.h"

namespace mongotwin::oplog {
namespace {

using bson::Builder;
using bson::Element;
using bson::View;

// The server fills at most this many elements between an array's end and a new element.
constexpr std::size_t kPaddingMax = 1500000;

using Changes = std::span<const V1Change>;

// All changes that share their path down to and including component `depth`.
struct Group {
  std::string_view name;
  Changes changes;
  std::size_t depth;

  [[nodiscard]] bool is_leaf() const { return changes[0].path.size() == depth + 1; }
  [[nodiscard]] bool sets_anything() const {
    return std::any_of(changes.begin(), changes.end(), [](const V1Change& c) { return c.is_set; });
  }
};

std::vector<Group> group(Changes changes, std::size_t depth) {
  std::vector<Group> out;
  for (std::size_t first = 0; first < changes.size();) {
    auto name = changes[first].path[depth];
    std::size_t last = first + 1;
    while (last < changes.size() && changes[last].path[depth] == name) ++last;
    out.push_back({name, changes.subspan(first, last - first), depth});
    first = last;
  }
  return out;
}

void apply_to_object(Builder& out, View before, Changes changes, std::size_t depth);
void apply_to_array(Builder& out, View before, Changes changes, std::size_t depth);

void change_value(Builder& out, std::string_view key, const Element& before, const Group& g, bool in_array) {
  if (g.is_leaf()) {
    if (g.changes[0].is_set) {
      out.value(key, g.changes[0].value);
    } else if (in_array) {
      out.null(key);  // $unset must not move the elements behind it
    }
  } else if (before.is_object()) {
    out.open_document(key);
    apply_to_object(out, *before.document(), g.changes, g.depth + 1);
    out.close();
  } else if (before.is_array()) {
    out.open_array(key);
    apply_to_array(out, *before.document(), g.changes, g.depth + 1);
    out.close();
  } else {
    out.value(key, before);  // a path through a scalar: belongs to the past, the server ignores it
  }
}

void create_value(Builder& out, std::string_view key, const Group& g) {
  if (!g.sets_anything()) return;
  if (g.is_leaf()) {
    out.value(key, g.changes[0].value);
    return;
  }
  out.open_document(key);
  apply_to_object(out, View(), g.changes, g.depth + 1);
  out.close();
}

void apply_to_object(Builder& out, View before, Changes changes, std::size_t depth) {
  auto groups = group(changes, depth);
  std::vector<bool> met(groups.size());
  for (const auto& field : before) {
    auto at = std::lower_bound(groups.begin(), groups.end(), field.key(),
                               [](const Group& g, std::string_view name) { return g.name < name; });
    auto index = static_cast<std::size_t>(at - groups.begin());
    if (at == groups.end() || at->name != field.key() || met[index]) {
      out.element(field);
      continue;
    }
    met[index] = true;
    change_value(out, field.key(), field, *at, false);
  }
  for (std::size_t i = 0; i < groups.size(); ++i)
    if (!met[i]) create_value(out, groups[i].name, groups[i]);
}

std::optional<std::size_t> array_index(std::string_view name) {
  if (name.empty() || name.size() > 9) return {};
  std::size_t index = 0;
  for (char c : name) {
    if (c < '0' || c > '9') return {};
    index = index * 10 + static_cast<std::size_t>(c - '0');
  }
  return index;
}

// One element of the array being built: what was there, or padding, or new; and what happens to it.
struct Slot {
  Element before;
  const Group* change = nullptr;
  bool is_new = false;
};

// Works in the server's order, by name: "10" before "9", so that 9 is padding by the time its turn comes.
std::vector<Slot> plan_array(View before, const std::vector<Group>& groups) {
  std::vector<Slot> slots;
  for (const auto& element : before) slots.push_back({element});
  for (const auto& g : groups) {
    auto index = array_index(g.name);
    if (!index) continue;  // a name in an array: not viable, ignored
    if (*index < slots.size()) {
      slots[*index].change = &g;
    } else if (g.sets_anything()) {
      if (*index - slots.size() > kPaddingMax) not_understood("an array index far beyond the end: " + std::string(g.name));
      slots.resize(*index);
      slots.push_back({Element(), &g, true});
    }
  }
  return slots;
}

void apply_to_array(Builder& out, View before, Changes changes, std::size_t depth) {
  auto groups = group(changes, depth);
  auto slots = plan_array(before, groups);
  for (std::size_t i = 0; i < slots.size(); ++i) {
    auto key = std::to_string(i);
    const auto& slot = slots[i];
    if (slot.is_new) {
      create_value(out, key, *slot.change);
    } else if (slot.change && (slot.before || slot.change->is_leaf())) {
      change_value(out, key, slot.before, *slot.change, true);
    } else if (slot.before) {
      out.value(key, slot.before);
    } else {
      out.null(key);
    }
  }
}

std::vector<std::string_view> split(std::string_view dotted) {
  std::vector<std::string_view> out;
  for (;;) {
    auto dot = dotted.find('.');
    out.push_back(dotted.substr(0, dot));
    if (dot == std::string_view::npos) return out;
    dotted.remove_prefix(dot + 1);
  }
}

// Whether one path is the other or leads to it.
bool overlap(const std::vector<std::string_view>& a, const std::vector<std::string_view>& b) {
  return std::equal(a.begin(), a.begin() + static_cast<std::ptrdiff_t>(std::min(a.size(), b.size())), b.begin());
}

}  // namespace

std::vector<V1Change> read_v1(View o) {
  std::vector<V1Change> out;
  for (const auto& op : o) {
    if (op.key() == "$v") continue;
    View fields = *op.document();
    for (const auto& field : fields) out.push_back({split(field.key()), field, op.key() == "$set"});
  }
  std::sort(out.begin(), out.end(), [](const V1Change& a, const V1Change& b) { return a.path < b.path; });
  for (std::size_t i = 1; i < out.size(); ++i)
    if (overlap(out[i - 1].path, out[i].path)) not_understood("two changes at '" + std::string(out[i].value.key()) + "'");
  return out;
}

void apply_v1(Builder& out, View document, View o) {
  auto changes = read_v1(o);
  apply_to_object(out, document, changes, 0);
}

bool v1_touches(View o, std::string_view dotted_path) {
  auto path = split(dotted_path);
  for (const auto& change : read_v1(o))
    if (overlap(change.path, path)) return true;
  return false;
}

}  // namespace mongotwin::oplog
