// SPDX-License-Identifier: Apache-2.0
#include "target.h"

#include <fmt/format.h>

#include <algorithm>

#include "mongo/errors.h"

namespace mongotwin::sim {

using apply::WriteError;
using apply::WriteResult;
namespace code = mongo::code;

namespace {

std::string index_value(const std::vector<std::string>& keys, const Value& doc) {
  bson::Builder b;
  for (const auto& path : keys) {
    const auto* v = doc.at_path(path);
    append(b, path, v ? *v : Value());
  }
  auto bytes = b.finish();
  return std::string(bytes.view().bytes());
}

WriteError duplicate(const std::vector<std::string>& keys, const Value& doc) {
  WriteError error;
  error.code = code::kDuplicateKey;
  error.message = "E11000 duplicate key error on " + fmt::format("{}", fmt::join(keys, ","));
  bson::Builder pattern, value;
  for (const auto& path : keys) {
    pattern.int32(path, 1);
    const auto* v = doc.at_path(path);
    append(value, path, v ? *v : Value());
  }
  error.key_pattern = pattern.finish();
  error.key_value = value.finish();
  return error;
}

Value as_inserted(Value doc) {
  for (auto& f : doc.fields)
    if (f.second.kind == Value::timestamp && f.second.i == 0) f.second.i = 77;
  auto id = std::find_if(doc.fields.begin(), doc.fields.end(), [](const auto& f) { return f.first == "_id"; });
  std::rotate(doc.fields.begin(), id, id + 1);
  return doc;
}

[[noreturn]] void refuse(int error_code, const std::string& what) { throw mongo::CommandError(Remedy::pause, error_code, false, "target: " + what); }

}  // namespace

void Target::fail(const char* what) {
  if (trace_) trace_(std::string("target   ") + what);
  throw mongo::CommandError(Remedy::retry, 11602, true, std::string("target: ") + what);
}

void Target::maybe_crash() {
  if (faults_.crash_per_mille > 0 && random_.below(1000) < faults_.crash_per_mille) throw Crash();
}

CollectionState& Target::touch(const std::string& ns) {
  auto& c = collections_[ns];  // a write makes the collection if it is not there
  c.ns = ns;
  return c;
}

const Index* Target::clash(const CollectionState& c, const std::string& key, const Value& doc) const {
  for (const auto& [name, index] : c.indexes) {
    if (!index.unique) continue;
    auto mine = index_value(index.keys, doc);
    for (const auto& [other, stored] : c.docs)
      if (other != key && index_value(index.keys, stored.doc) == mine) return &index;
  }
  return nullptr;
}

std::optional<WriteError> Target::insert_one(CollectionState& c, const Value& given, bool exactly) {
  auto doc = exactly ? given : as_inserted(given);
  auto key = id_key(*doc.find("_id"));
  if (c.docs.contains(key)) return duplicate({"_id"}, doc);
  if (const auto* index = clash(c, key, doc)) return duplicate(index->keys, doc);
  c.docs[key] = {std::move(doc), ++order_};
  return {};
}

WriteResult Target::insert(const std::string& ns, const std::vector<Value>& docs, bool ordered, std::size_t count) {
  WriteResult out;
  for (std::size_t n = 0; n < count; ++n) {
    auto error = insert_one(touch(ns), docs[n]);
    if (!error) {
      ++out.n;
      continue;
    }
    error->index = n;
    out.errors.push_back(*error);
    if (ordered) break;
  }
  return out;
}

Stored* Target::match(CollectionState& c, bson::View query) {
  auto it = c.docs.find(id_key(decode(query["_id"])));
  if (it == c.docs.end()) return nullptr;
  for (const auto& e : query) {
    if (e.key() == "_id") continue;
    const auto* there = it->second.doc.at_path(std::string(e.key()));
    auto wanted = decode(e);
    if (there ? !(*there == wanted) : wanted.kind != Value::null) return nullptr;
  }
  return &it->second;
}

std::optional<WriteError> Target::store(CollectionState& c, const std::string& ns, const Value& before, Value after) {
  WriteError error;
  error.code = code::kImmutableField;
  if (!(*before.find("_id") == *after.find("_id"))) {
    error.message = "_id is immutable";
    return error;
  }
  for (const auto& path : shard_key(ns))
    if (index_value({path}, before) != index_value({path}, after)) {
      error.message = "the shard key field " + path + " is immutable here";
      return error;
    }
  auto key = id_key(*after.find("_id"));
  if (const auto* index = clash(c, key, after)) return duplicate(index->keys, after);
  auto id = std::find_if(after.fields.begin(), after.fields.end(), [](const auto& f) { return f.first == "_id"; });
  std::rotate(after.fields.begin(), id, id + 1);
  c.docs.at(key).doc = std::move(after);
  return {};
}

WriteResult Target::update(const std::string& ns, const std::vector<apply::UpdateStatement>& updates, bool ordered, std::size_t count) {
  WriteResult out;
  for (std::size_t n = 0; n < count; ++n) {
    const auto& s = updates[n];
    std::optional<WriteError> error;
    auto known = collections_.find(ns);
    auto* stored = known == collections_.end() ? nullptr : match(known->second, s.query);
    try {
      if (stored) {
        auto before = stored->doc;
        error = store(known->second, ns, before, updated(before, s.update, s.pipeline));
      } else if (s.upsert) {
        // Only ever with a pipeline that gives the whole document: nothing of it is filled in.
        auto doc = updated(empty_object(), s.update, s.pipeline);
        auto& c = touch(ns);
        auto key = id_key(*doc.find("_id"));
        if (c.docs.contains(key)) error = duplicate({"_id"}, doc);
        else if (const auto* index = clash(c, key, doc)) error = duplicate(index->keys, doc);
        else c.docs[key] = {doc, ++order_};
      } else {
        continue;
      }
    } catch (const UpdateRefused& r) {
      error.emplace();
      error->code = r.code;
      error->message = r.message;
    }
    if (!error) {
      ++out.n;
      continue;
    }
    error->index = n;
    out.errors.push_back(*error);
    if (ordered) break;
  }
  return out;
}

WriteResult Target::remove(const std::string& ns, const std::vector<bson::Document>& queries, std::size_t count) {
  WriteResult out;
  auto known = collections_.find(ns);
  if (known == collections_.end()) return out;
  for (std::size_t n = 0; n < count; ++n)
    if (match(known->second, queries[n])) {
      known->second.docs.erase(id_key(decode(queries[n]["_id"])));
      ++out.n;
    }
  return out;
}

apply::FindResult Target::find(const std::string& ns, bson::View filter, bool all) const {
  apply::FindResult out;
  auto known = collections_.find(ns);
  if (known == collections_.end()) return out;
  std::vector<std::string> keys;
  auto in = filter.fields("_id")["$in"];
  if (in) for (const auto& e : in.fields()) keys.push_back(id_key(decode(e)));
  else keys.push_back(id_key(decode(filter["_id"])));
  std::sort(keys.begin(), keys.end());
  keys.erase(std::unique(keys.begin(), keys.end()), keys.end());
  for (const auto& key : keys)
    if (auto it = known->second.docs.find(key); it != known->second.docs.end()) out.documents.push_back(encode(it->second.doc));
  // As if they were too large to come together.
  if (!all && out.documents.size() > 1 && random_.one_in(4)) {
    out.documents.resize(1 + static_cast<std::size_t>(random_.below(static_cast<int>(out.documents.size()) - 1)));
    out.complete = false;
  }
  return out;
}

void Target::replace_all(const std::string& ns, const std::vector<bson::Document>& remove_queries, const std::vector<bson::View>& inserts) {
  auto before = collections_;
  (void)remove(ns, remove_queries, remove_queries.size());
  for (const auto& view : inserts)
    if (auto error = insert_one(touch(ns), decode(view), true)) {
      collections_ = std::move(before);
      refuse(error->code, error->message);
    }
}

std::vector<std::string> Target::shard_key(const std::string& ns) const {
  auto it = keys_.find(ns);
  return it == keys_.end() ? std::vector<std::string>() : it->second;
}

void Target::create_index(const std::string& ns, bson::View spec) {
  Index index;
  index.name = std::string(*spec.string("name"));
  index.unique = spec["unique"].truthy();
  for (const auto& e : spec.fields("key")) index.keys.emplace_back(e.key());
  auto& c = touch(ns);
  if (auto known = c.indexes.find(index.name); known != c.indexes.end()) {
    if (!(known->second == index)) refuse(code::kIndexOptionsConflict, "an index of that name is there");
    return;
  }
  c.indexes[index.name] = index;
  for (const auto& [key, stored] : c.docs)
    if (clash(c, key, stored.doc)) {
      c.indexes.erase(index.name);
      refuse(code::kDuplicateKey, ns + ": the unique index " + index.name + " can't be built");
    }
}

void Target::ddl(const oplog::Ddl& ddl, bool tolerant, bool consistent, apply::Holds& holds) {
  using enum oplog::DdlKind;
  bool there = collections_.contains(ddl.ns);
  switch (ddl.kind) {
    case create:
      if (there && !tolerant) refuse(code::kNamespaceExists, ddl.ns + " is there already");
      if (!there) touch(ddl.ns).capped = ddl.spec["capped"].truthy();
      break;
    case drop:
      if (!there && !tolerant) refuse(code::kNamespaceNotFound, "ns not found " + ddl.ns);
      collections_.erase(ddl.ns);
      keys_.erase(ddl.ns);
      holds.forget_collection(ddl.ns);
      break;
    case rename: {
      if (!there && !tolerant) refuse(code::kNamespaceNotFound, "ns not found " + ddl.ns);
      if (there) {
        if (collections_.contains(ddl.to) && !ddl.drop_target) refuse(code::kNamespaceExists, ddl.to + " is there already");
        auto moved = collections_.extract(ddl.ns);
        moved.key() = ddl.to;
        moved.mapped().ns = ddl.to;
        collections_.erase(ddl.to);
        collections_.insert(std::move(moved));
        keys_.erase(ddl.to);
        if (auto key = keys_.extract(ddl.ns)) {
          key.key() = ddl.to;
          keys_.insert(std::move(key));
        }
      }
      if (there || holds.holds_any(ddl.ns)) holds.rename(ddl.ns, ddl.to);
      break;
    }
    case create_index:
      if (!consistent && ddl.spec["unique"].truthy()) holds.hold_unique(ddl.ns, ddl.spec);
      else this->create_index(ddl.ns, ddl.spec);
      break;
    case drop_index:
      tolerant = tolerant || holds.holds_unique(ddl.ns, ddl.index);  // one that is held need not be there
      holds.forget_index(ddl.ns, ddl.index);
      if (!there || collections_.at(ddl.ns).indexes.erase(ddl.index) == 0)
        if (!tolerant) refuse(code::kIndexNotFound, "index not found with name [" + ddl.index + "]");
      break;
    case shard_collection:
      if (!key_of_sharded.empty()) keys_[ddl.ns] = key_of_sharded;
      break;
    default: refuse(code::kCommandNotFound, std::string("the simulation has no ") + oplog::to_string(ddl.kind));
  }
}

void Target::build_held_unique(apply::Holds& holds) {
  for (const auto& index : holds.uniques()) {
    create_index(index.ns, index.value);
    holds.forget_unique(index.ns, index.name);
  }
}

void Target::copy_in(const std::string& ns, const std::vector<Value>& docs) {
  for (const auto& doc : docs) {
    auto& c = touch(ns);
    auto key = id_key(*doc.find("_id"));
    if (!c.docs.contains(key)) c.docs[key] = {doc, ++order_};
  }
}

namespace {

std::string ids(const std::vector<bson::Document>& docs) {
  std::string out;
  for (const auto& d : docs) out += " " + bson::to_json(d["_id"]);
  return out;
}

}  // namespace

WriteResult FakeWriter::insert(const std::string& ns, const std::vector<bson::View>& documents, bool ordered) {
  std::vector<Value> docs;
  std::string what = "insert " + ns;
  for (const auto& view : documents) {
    docs.push_back(decode(view));
    if (target_.traced()) what += " " + bson::to_json(view);
  }
  return target_.command(what, docs.size(), false, [&](std::size_t n) { return target_.insert(ns, docs, ordered, n); });
}

WriteResult FakeWriter::update(const std::string& ns, const std::vector<apply::UpdateStatement>& updates, bool ordered) {
  std::string what = "update " + ns;
  for (const auto& u : updates)
    if (target_.traced()) what += fmt::format(" [{} {}{}]", bson::to_json(u.query), bson::to_json(u.update), u.upsert ? " upsert" : "");
  return target_.command(what, updates.size(), false, [&](std::size_t n) { return target_.update(ns, updates, ordered, n); });
}

WriteResult FakeWriter::remove(const std::string& ns, const std::vector<bson::Document>& queries, bool /*ordered*/) {
  std::string what = "delete " + ns;
  for (const auto& q : queries)
    if (target_.traced()) what += " " + bson::to_json(q);
  return target_.command(what, queries.size(), false, [&](std::size_t n) { return target_.remove(ns, queries, n); });
}

apply::FindResult FakeWriter::find_some(const std::string& ns, bson::View filter, std::size_t bytes_max) {
  return target_.command(target_.traced() ? "find " + ns + " " + bson::to_json(filter) : std::string(), 1, true, [&](std::size_t) { return target_.find(ns, filter, bytes_max == SIZE_MAX); });
}

void FakeWriter::replace_all(const std::string& ns, const std::vector<bson::Document>& remove_queries, const std::vector<bson::View>& inserts) {
  (void)target_.command("transaction " + ns + " delete" + ids(remove_queries) + fmt::format(", insert {}", inserts.size()), 1, true, [&](std::size_t) {
    target_.replace_all(ns, remove_queries, inserts);
    return 0;
  });
}

}  // namespace mongotwin::sim
