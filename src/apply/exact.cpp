// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>
#include <utility>

#include "apply/lane_applier.h"
#include "mongo/errors.h"
#include "oplog/delta.h"
#include "plan/doc_key.h"

namespace mongotwin::apply {
namespace {

using plan::DocWrite;
using plan::WriteKind;

constexpr int kUnexpectedRounds = 5;  // a foreign writer on the target may change a document between read and write

[[noreturn]] void diverged(const std::string& ns, const DocWrite& w, const std::string& what) {
  throw Error(Remedy::pause, fmt::format("target: {} {}: the document {} {} (operation at ts {})", ns, "differs from the source", bson::to_json(w.id()), what, oplog::to_string(w.ts)),
              "something else wrote to the target; put the document right there or start again with a new copy");
}

bson::Element shard_value(bson::View source, const std::string& path) {
  // A document key names "a.b" as one field, a whole document has b inside a.
  if (auto e = source[path]) return e;
  return source.at_path(path);
}

bool same_key(const std::vector<std::string>& shard_key, bson::View a, bson::View b) {
  if (!a["_id"].same_value(b["_id"])) return false;
  for (const auto& path : shard_key)
    if (!a.at_path(path).same_value(b.at_path(path))) return false;
  return true;
}

// The document stands under this document key.
bool has_key(bson::View document, bson::View key) {
  for (const auto& e : key)
    if (e.key() != "_id" && !document.at_path(e.key()).same_value(e)) return false;
  return true;
}

struct Found {
  std::unordered_map<std::uint64_t, bson::Document> documents;
  bool complete = true;
};

Found read_current(TargetWriter& writer, const std::string& ns, const std::vector<DocWrite*>& writes, std::size_t bytes_max) {
  bson::Builder filter;
  filter.open_document("_id").open_array("$in");
  std::size_t n = 0;
  for (const auto* w : writes) filter.value(std::to_string(n++), w->id());
  filter.close().close();
  Found found;
  auto read = writer.find_some(ns, filter.finish(), bytes_max);
  found.complete = read.complete;
  for (auto& doc : read.documents) {
    auto hash = plan::hash_id(doc["_id"], 0);
    if (!found.documents.emplace(hash, doc).second)
      throw Error(Remedy::pause, fmt::format("target: {} has two documents with _id {} on different shards", ns, bson::to_json(doc["_id"])), "remove the one that the source has not");
  }
  return found;
}

// What has to be written for one round of documents.
struct Todo {
  std::vector<bson::View> inserts;
  std::vector<DocWrite*> insert_of;
  std::vector<UpdateStatement> updates;
  std::vector<DocWrite*> update_of;
  std::vector<bson::Document> removes;
  struct Move {
    DocWrite* write;
    bson::Document query;
  };
  std::vector<Move> moves;
  std::vector<bson::Document> keep;  // final documents, as long as the views above are in use
};

UpdateStatement put_statement(bson::Document query, const bson::Document& doc, bool upsert) {
  UpdateStatement s;
  s.query = std::move(query);
  s.upsert = upsert;
  if (oplog::replacement_needs_literal(doc) || upsert) {
    s.pipeline = true;
    s.update = bson::Builder().open_document("0").open_document("$replaceWith").document("$literal", doc).close().close().finish();
  } else {
    s.update = doc;
  }
  return s;
}

void plan_one(TargetWriter& writer, const std::string& ns, DocWrite& w, const Found& found, bool strict, Todo& todo) {
  auto it = found.documents.find(plan::hash_id(w.id(), 0));
  const bson::Document* current = it == found.documents.end() ? nullptr : &it->second;
  if (w.kind == WriteKind::remove) {
    if (current && (!w.only_as_keyed || has_key(*current, w.key))) todo.removes.push_back(key_query(writer.shard_key(ns), current->view()));
    return;
  }
  bson::Document final_doc = w.doc;
  if (w.kind == WriteKind::patch) {
    if (!current) {
      if (strict) diverged(ns, w, "is missing on the target");
      return;  // removed later in the source's history
    }
    final_doc = *current;
    for (const auto& op : w.deltas) final_doc = oplog::apply_delta(final_doc, op.o);
  }
  if (current && current->view() == final_doc.view()) return;
  if (strict && current && w.kind == WriteKind::put && w.fresh) diverged(ns, w, "is already on the target with another content");
  auto shard_key = writer.shard_key(ns);
  todo.keep.push_back(final_doc);
  if (!current) {
    if (oplog::insert_needs_literal(final_doc)) {
      todo.updates.push_back(put_statement(key_query(shard_key, final_doc), final_doc, true));
      todo.update_of.push_back(&w);
    } else {
      todo.inserts.push_back(final_doc);
      todo.insert_of.push_back(&w);
    }
  } else if (!same_key(shard_key, *current, final_doc)) {
    todo.moves.push_back({&w, key_query(shard_key, current->view())});
    todo.moves.back().write->doc = final_doc;
    todo.moves.back().write->kind = WriteKind::put;
  } else {
    todo.updates.push_back(put_statement(key_query(shard_key, *current), final_doc, false));
    todo.update_of.push_back(&w);
  }
}

bool is_secondary_clash(const WriteError& error) {
  if (error.code != mongo::code::kDuplicateKey) return false;
  auto pattern = error.key_pattern.view();
  auto first = pattern.begin();
  bool on_id = first != nullptr && first->key() == "_id" && ++first == nullptr;
  return !on_id;
}

// Sorts refusals: clashes are returned, a duplicate _id asks for another round, the rest is an error by name.
bool take_errors(const std::string& ns, const WriteResult& result, const std::vector<DocWrite*>& of, std::vector<DocWrite*>& clashes) {
  bool again = false;
  for (const auto& error : result.errors) {
    auto* w = of[error.index];
    if (is_secondary_clash(error)) clashes.push_back(w);
    else if (error.code == mongo::code::kDuplicateKey) again = true;
    else
      throw Error(Remedy::pause, fmt::format("target: {}: the document {} is refused: {} (code {}, operation at ts {})", ns, bson::to_json(w->id()), error.message, error.code, oplog::to_string(w->ts)),
                  "the target can't hold what the source has; change the target or exclude the namespace");
  }
  return again;
}

// Those whose documents were read, or all when the rest is not there.
std::vector<DocWrite*> take_found(std::vector<DocWrite*>& left, const Found& found) {
  if (found.complete) return std::exchange(left, {});
  auto read = std::stable_partition(left.begin(), left.end(), [&](const auto* w) { return found.documents.contains(plan::hash_id(w->id(), 0)); });
  std::vector<DocWrite*> now(left.begin(), read);
  left.erase(left.begin(), read);
  return now;
}

// True if some must be looked at again.
bool write_found(TargetWriter& writer, const std::string& ns, const std::vector<DocWrite*>& writes, Found found, bool strict, std::vector<DocWrite*>& clashes) {
  Todo todo;
  for (auto* w : writes) plan_one(writer, ns, *w, found, strict, todo);
  found.documents.clear();  // they may be large, and the commands are still to be made
  bool again = false;
  if (!todo.removes.empty()) again |= take_errors(ns, writer.remove(ns, todo.removes, false), writes, clashes);
  if (!todo.updates.empty()) again |= take_errors(ns, writer.update(ns, todo.updates, false), todo.update_of, clashes);
  if (!todo.inserts.empty()) again |= take_errors(ns, writer.insert(ns, todo.inserts, false), todo.insert_of, clashes);
  for (auto& move : todo.moves) {
    try {
      writer.replace_all(ns, {move.query}, {move.write->doc.view()});
    } catch (const mongo::CommandError& e) {
      if (e.code() != mongo::code::kDuplicateKey) throw;
      clashes.push_back(move.write);
    }
  }
  return again;
}

}  // namespace

bson::Document key_query(const std::vector<std::string>& shard_key, bson::View source) {
  bson::Builder b;
  for (const auto& path : shard_key) {
    if (path == "_id") continue;
    if (auto value = shard_value(source, path)) b.value(path, value);
    else b.null(path);  // the server counts a missing shard key field as null
  }
  b.value("_id", source["_id"]);
  return b.finish();
}

std::vector<DocWrite*> apply_exact(TargetWriter& writer, const std::string& ns, std::vector<DocWrite*> writes, bool strict, std::size_t* largest_read) {
  std::vector<DocWrite*> clashes;
  for (int round = 0; !writes.empty(); ++round) {
    if (round == kUnexpectedRounds)
      throw Error(Remedy::pause, fmt::format("target: {}: the document {} keeps changing while it is written", ns, bson::to_json(writes.front()->id())), "stop whatever else writes to the target");
    bool again = false;
    for (auto left = writes; !left.empty();) {
      auto found = read_current(writer, ns, left, kReadBytesMax);
      auto now = take_found(left, found);
      if (now.empty()) {  // none of those that came has the _id of a write as it stands there
        found = read_current(writer, ns, left, SIZE_MAX);
        now = std::exchange(left, {});
      }
      for (const auto& [hash, doc] : found.documents)
        if (largest_read) *largest_read = std::max<std::size_t>(*largest_read, doc.size());
      again |= write_found(writer, ns, now, std::move(found), strict && round == 0, clashes);
    }
    if (!again) break;
    std::erase_if(writes, [&](DocWrite* w) { return std::find(clashes.begin(), clashes.end(), w) != clashes.end(); });
  }
  return clashes;
}

}  // namespace mongotwin::apply
