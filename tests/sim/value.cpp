// SPDX-License-Identifier: Apache-2.0
#include "value.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

namespace mongotwin::sim {

bool Value::operator==(const Value& o) const {
  return kind == o.kind && i == o.i && std::memcmp(&d, &o.d, sizeof d) == 0 && s == o.s && fields == o.fields;
}

const Value* Value::find(const std::string& name) const {
  for (const auto& f : fields)
    if (f.first == name) return &f.second;
  return nullptr;
}

Value* Value::find(const std::string& name) { return const_cast<Value*>(std::as_const(*this).find(name)); }

const Value* Value::at_path(const std::string& dotted) const {
  auto dot = dotted.find('.');
  const auto* v = kind == object ? find(dotted.substr(0, dot)) : nullptr;
  return !v || dot == std::string::npos ? v : v->at_path(dotted.substr(dot + 1));
}

void Value::set(const std::string& name, Value v) {
  if (auto* there = find(name)) *there = std::move(v);
  else fields.emplace_back(name, std::move(v));
}

void Value::erase(const std::string& name) {
  std::erase_if(fields, [&](const auto& f) { return f.first == name; });
}

Value integer(std::int64_t i) { Value v; v.kind = Value::int32; v.i = i; return v; }
Value real(double d) { Value v; v.kind = Value::number; v.d = d; return v; }
Value text(std::string s) { Value v; v.kind = Value::string; v.s = std::move(s); return v; }
Value empty_object() { Value v; v.kind = Value::object; return v; }

std::string id_key(const Value& id) {
  switch (id.kind) {
    case Value::number: return "n" + std::to_string(id.d);
    case Value::int32:
    case Value::int64: return "n" + std::to_string(static_cast<double>(id.i));
    case Value::string: return "s" + id.s;
    case Value::null: return "z";
    default: {
      auto bytes = encode(id);
      return "o" + std::string(bytes.view().bytes());
    }
  }
}

void append(bson::Builder& b, std::string_view key, const Value& v) {
  switch (v.kind) {
    case Value::null: b.null(key); break;
    case Value::boolean: b.boolean(key, v.i != 0); break;
    case Value::int32: b.int32(key, static_cast<std::int32_t>(v.i)); break;
    case Value::int64: b.int64(key, v.i); break;
    case Value::number: b.number(key, v.d); break;
    case Value::string: b.string(key, v.s); break;
    case Value::timestamp: b.timestamp(key, {static_cast<std::uint32_t>(v.i >> 32), static_cast<std::uint32_t>(v.i)}); break;
    case Value::object:
      b.open_document(key);
      for (const auto& f : v.fields) append(b, f.first, f.second);
      b.close();
      break;
    case Value::array: {
      b.open_array(key);
      int n = 0;
      for (const auto& f : v.fields) append(b, std::to_string(n++), f.second);
      b.close();
      break;
    }
  }
}

bson::Document encode(const Value& object) {
  bson::Builder b;
  for (const auto& f : object.fields) append(b, f.first, f.second);
  return b.finish();
}

Value decode(bson::View v, bool array) {
  Value out;
  out.kind = array ? Value::array : Value::object;
  for (const auto& e : v) out.fields.emplace_back(array ? std::string() : std::string(e.key()), decode(e));
  return out;
}

Value decode(const bson::Element& e) {
  Value v;
  switch (e.type()) {
    case bson::Type::Null: break;
    case bson::Type::Bool: v.kind = Value::boolean; v.i = *e.boolean(); break;
    case bson::Type::Int32: v.kind = Value::int32; v.i = *e.integer(); break;
    case bson::Type::Int64: v.kind = Value::int64; v.i = *e.integer(); break;
    case bson::Type::Double: v.kind = Value::number; std::memcpy(&v.d, e.value_bytes().data(), sizeof v.d); break;
    case bson::Type::String: v.kind = Value::string; v.s = *e.string(); break;
    case bson::Type::Timestamp: v.kind = Value::timestamp; v.i = static_cast<std::int64_t>(e.timestamp()->t) << 32 | e.timestamp()->i; break;
    case bson::Type::Object:
    case bson::Type::Array: return decode(*e.document(), e.is_array());
    default: std::abort();  // the models never make another type
  }
  return v;
}

namespace {

using Elements = std::vector<std::pair<std::string, const Value*>>;

bool append_object_diff(bson::Builder& b, const Value& before, const Value& after);

bool append_array_diff(bson::Builder& b, const Value& before, const Value& after) {
  auto old_size = before.fields.size(), new_size = after.fields.size();
  bool any = old_size != new_size;
  b.boolean("a", true);
  if (new_size < old_size) b.int32("l", static_cast<std::int32_t>(new_size));
  for (std::size_t n = 0; n < new_size; ++n) {
    const auto& now = after.fields[n].second;
    if (n < old_size && before.fields[n].second == now) continue;
    any = true;
    auto index = std::to_string(n);
    if (n < old_size && now.kind == before.fields[n].second.kind && (now.kind == Value::object || now.kind == Value::array) && !now.fields.empty()) {
      b.open_document("s" + index);
      if (now.kind == Value::object) append_object_diff(b, before.fields[n].second, now);
      else append_array_diff(b, before.fields[n].second, now);
      b.close();
    } else {
      append(b, "u" + index, now);
    }
  }
  return any;
}

void append_section(bson::Builder& b, const char* name, const Elements& list) {
  if (list.empty()) return;
  b.open_document(name);
  for (const auto& [key, value] : list) {
    if (value) append(b, key, *value);
    else b.boolean(key, false);
  }
  b.close();
}

// The server walks both objects side by side: a field that does not stand where the other has one is taken out, and
// what is left over of the new one is appended. A field that moved is therefore inserted without being removed.
bool append_object_diff(bson::Builder& b, const Value& before, const Value& after) {
  Elements removed, changed, inserted;
  std::vector<std::pair<const Field*, const Field*>> below;
  std::size_t o = 0, n = 0;
  while (o < before.fields.size() && n < after.fields.size()) {
    const auto &was = before.fields[o], &now = after.fields[n];
    if (was.first != now.first) {
      removed.emplace_back(was.first, nullptr);
      ++o;
      continue;
    }
    if (!(was.second == now.second)) {
      bool containers = was.second.kind == now.second.kind && (now.second.kind == Value::object || now.second.kind == Value::array);
      if (containers && !now.second.fields.empty()) below.emplace_back(&was, &now);
      else changed.emplace_back(now.first, &now.second);
    }
    ++o, ++n;
  }
  for (; o < before.fields.size(); ++o) removed.emplace_back(before.fields[o].first, nullptr);
  for (; n < after.fields.size(); ++n) {
    const auto& name = after.fields[n].first;
    inserted.emplace_back(name, &after.fields[n].second);
    std::erase_if(removed, [&](const auto& r) { return r.first == name; });
  }
  append_section(b, "d", removed);
  append_section(b, "u", changed);
  append_section(b, "i", inserted);
  for (const auto& [was, now] : below) {
    b.open_document("s" + now->first);
    if (now->second.kind == Value::object) append_object_diff(b, was->second, now->second);
    else append_array_diff(b, was->second, now->second);
    b.close();
  }
  return !removed.empty() || !changed.empty() || !inserted.empty() || !below.empty();
}

const char* const kNames[] = {"a", "b", "c", "d", "e", "7"};

std::string random_name(Random& random) {
  if (random.one_in(60)) return random.one_in(2) ? "$x" : "p.q";
  return kNames[random.below(6)];
}

}  // namespace

std::optional<bson::Document> diff(const Value& before, const Value& after) {
  bson::Builder b;
  b.int32("$v", 2).open_document("diff");
  if (!append_object_diff(b, before, after)) return {};
  return b.finish();
}

Value random_value(Random& random, int depth) {
  Value v;
  int kind = random.below(depth >= 3 ? 6 : 10);
  if (kind < 3) return integer(random.below(100));
  if (kind == 3) return real(random.below(20) * 0.5);
  if (kind == 4) return text(std::string(static_cast<std::size_t>(random.below(4)), 'x'));
  if (kind == 5) return v;
  v.kind = kind < 8 ? Value::object : Value::array;
  for (int n = random.below(4); n > 0; --n) {
    if (v.kind == Value::array) v.fields.emplace_back("", random_value(random, depth + 1));
    else v.set(random_name(random), random_value(random, depth + 1));
  }
  return v;
}

void mutate(Random& random, Value& v, const std::vector<std::string>& keep, int depth) {
  std::vector<std::size_t> free;
  for (std::size_t n = 0; n < v.fields.size(); ++n)
    if (depth > 0 || std::find(keep.begin(), keep.end(), v.fields[n].first) == keep.end()) free.push_back(n);
  auto add = [&] {
    if (v.kind == Value::array) {
      for (int n = random.one_in(6) ? 3 : 1; n > 0; --n) v.fields.emplace_back("", random_value(random, depth + 1));
    } else {
      auto name = random_name(random);
      if (depth > 0 || std::find(keep.begin(), keep.end(), name) == keep.end()) v.set(name, random_value(random, depth + 1));
    }
  };
  if (depth == 0 && random.one_in(80)) {
    Value never;
    never.kind = Value::timestamp;  // Timestamp(0,0): a plain write of it stores the present time
    v.set("t", never);
    return;
  }
  int what = random.below(10);
  if (free.empty() || what < 2) return add();
  auto at = random.pick(free);
  auto& there = v.fields[at].second;
  if (what < 7 && (there.kind == Value::object || there.kind == Value::array)) return mutate(random, there, keep, depth + 1);
  if (what < 7) {
    there = random_value(random, depth + 1);
  } else if (what == 7 && v.kind == Value::object) {  // a pipeline may move a field to the end
    auto moved = v.fields[at];
    v.fields.erase(v.fields.begin() + static_cast<long>(at));
    v.fields.push_back(std::move(moved));
  } else if (v.kind == Value::array && random.one_in(2)) {
    v.fields.resize(at);
  } else {
    v.fields.erase(v.fields.begin() + static_cast<long>(at));
  }
}

}  // namespace mongotwin::sim
