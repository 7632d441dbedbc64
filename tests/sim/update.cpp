// SPDX-License-Identifier: Apache-2.0
// What a server makes of an update command: replacement, $set / $unset / $push with $slice, and the few pipeline
// stages that come up.
#include <algorithm>

#include "target.h"

namespace mongotwin::sim {
namespace {

std::pair<std::string, std::string> split(const std::string& path) {
  auto dot = path.find('.');
  return dot == std::string::npos ? std::pair(path, std::string()) : std::pair(path.substr(0, dot), path.substr(dot + 1));
}

bool is_index(const std::string& name) { return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) { return c >= '0' && c <= '9'; }); }

[[noreturn]] void not_viable(const std::string& name) { throw UpdateRefused{28, "Cannot create field '" + name + "'"}; }

// The place of one path component, made if need be.
Value& step_into(Value& v, const std::string& name) {
  if (v.kind == Value::object) {
    if (auto* there = v.find(name)) return *there;
    v.fields.emplace_back(name, empty_object());
    return v.fields.back().second;
  }
  if (v.kind != Value::array || !is_index(name)) not_viable(name);
  auto index = std::stoul(name);
  while (v.fields.size() < index) v.fields.emplace_back("", Value());
  if (v.fields.size() == index) v.fields.emplace_back("", empty_object());
  return v.fields[index].second;
}

void set_path(Value& v, const std::string& path, const Value& value) {
  auto [name, rest] = split(path);
  auto& there = step_into(v, name);
  if (rest.empty()) there = value;
  else set_path(there, rest, value);
}

void unset_path(Value& v, const std::string& path) {
  auto [name, rest] = split(path);
  if (v.kind == Value::array && is_index(name)) {
    auto index = std::stoul(name);
    if (index >= v.fields.size()) return;
    if (rest.empty()) v.fields[index].second = Value();
    else unset_path(v.fields[index].second, rest);
  } else if (v.kind == Value::object) {
    if (rest.empty()) v.erase(name);
    else if (auto* there = v.find(name)) unset_path(*there, rest);
  }
}

void push_slice(Value& doc, const std::string& path, std::int64_t slice) {
  auto* at = &doc;
  for (auto rest = path; !rest.empty();) {
    auto [name, below] = split(rest);
    at = &step_into(*at, name);
    rest = below;
  }
  if (at->kind != Value::array) throw UpdateRefused{2, "The field must be an array"};
  if (static_cast<std::int64_t>(at->fields.size()) > slice) at->fields.resize(static_cast<std::size_t>(slice));
}

// New fields come in the order of their names, whatever the command's.
Value by_operators(Value doc, bson::View update) {
  for (const auto& op : update) {
    std::vector<std::pair<std::string, bson::Element>> paths;
    for (const auto& e : op.fields()) paths.emplace_back(std::string(e.key()), e);
    std::sort(paths.begin(), paths.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
    for (const auto& [path, e] : paths) {
      if (path.starts_with('$') || path.find(".$") != std::string::npos || path.empty()) throw UpdateRefused{52, "bad path"};
      if (op.key() == "$set") set_path(doc, path, decode(e));
      else if (op.key() == "$unset") unset_path(doc, path);
      else if (op.key() == "$push") push_slice(doc, path, *e.fields()["$slice"].integer());
      else throw UpdateRefused{9, "Unknown modifier"};
    }
  }
  return doc;
}

void pipeline_unset(Value& v, const std::string& path) {
  auto [name, rest] = split(path);
  if (v.kind == Value::array) {
    for (auto& f : v.fields) pipeline_unset(f.second, path);
  } else if (v.kind == Value::object) {
    if (rest.empty()) v.erase(name);
    else if (auto* there = v.find(name)) pipeline_unset(*there, rest);
  }
}

void pipeline_set(Value& v, const std::string& path, const Value& value) {
  if (v.kind == Value::array) {
    for (auto& f : v.fields) pipeline_set(f.second, path, value);
    return;
  }
  if (v.kind != Value::object) v = empty_object();
  auto [name, rest] = split(path);
  if (rest.empty()) return v.set(name, value);
  if (!v.find(name)) v.set(name, empty_object());
  pipeline_set(*v.find(name), rest, value);
}

Value evaluate(const Value& doc, bson::View expression) {
  auto first = expression.begin();
  if (first->key() == "$literal") return decode(*first);
  if (first->key() != "$mergeObjects") throw UpdateRefused{168, "unknown expression"};
  auto out = empty_object();
  for (const auto& e : first->fields()) {
    Value part;
    if (auto path = e.string()) {
      auto name = std::string(*path);
      const auto* there = name == "$$ROOT" ? &doc : doc.at_path(name.substr(1));
      if (!there || there->kind == Value::null) continue;
      part = *there;
    } else {
      part = evaluate(doc, e.fields());
    }
    if (part.kind != Value::object) throw UpdateRefused{40400, "$mergeObjects requires object inputs"};
    for (const auto& f : part.fields) out.set(f.first, f.second);
  }
  return out;
}

Value by_pipeline(Value doc, bson::View stages) {
  for (const auto& e : stages) {
    auto stage = *e.fields().begin();
    if (stage.key() == "$unset") {
      for (const auto& path : stage.fields()) pipeline_unset(doc, std::string(*path.string()));
    } else if (stage.key() == "$replaceWith") {
      doc = evaluate(doc, stage.fields());
    } else if (stage.key() == "$set") {
      auto before = doc;
      for (const auto& path : stage.fields()) pipeline_set(doc, std::string(path.key()), evaluate(before, path.fields()));
    } else {
      throw UpdateRefused{40324, "unknown stage"};
    }
  }
  return doc;
}

bool starts_with_dollar(bson::View v) { return !v.empty() && v.begin()->key().starts_with('$'); }

}  // namespace

Value updated(const Value& doc, bson::View update, bool pipeline) {
  if (pipeline) return by_pipeline(doc, update);
  if (starts_with_dollar(update)) return by_operators(doc, update);
  auto out = decode(update);
  for (auto& f : out.fields) {
    if (f.first.starts_with('$')) throw UpdateRefused{52, "The dollar ($) prefixed field is not allowed in the context of an update's replacement document"};
    if (f.second.kind == Value::timestamp && f.second.i == 0) f.second.i = 77;  // the present time
  }
  if (!out.find("_id")) out.fields.insert(out.fields.begin(), {"_id", *doc.find("_id")});
  return out;
}

}  // namespace mongotwin::sim
