// SPDX-License-Identifier: Apache-2.0
#include "copy/batch_writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <numeric>
#include <set>

#include "apply/lane_applier.h"
#include "apply/mongo_writer.h"
#include "base/backoff.h"
#include "base/log.h"
#include "base/worker.h"
#include "copy/twins.h"
#include "mongo/cursor.h"
#include "oplog/delta.h"

namespace mongotwin::copy {
namespace {

namespace code = mongo::code;

constexpr std::uint64_t kKeyLackingNamed = 3;
constexpr std::size_t kElementOverhead = 8;  // type and number of an array's element

void append_write_options(bson::Builder& b) {
  b.boolean("bypassDocumentValidation", true);
  apply::append_majority(b);
}

// Tells values apart as the bytes do.
std::string id_bytes(const bson::Element& id) { return std::string(1, static_cast<char>(id.type())) + std::string(id.value_bytes()); }

// The first is no shard key value for the server; a missing field counts as null there, in one chunk with all its like.
enum class KeyField { there, array, missing };
KeyField look_at(bson::View document, std::string_view path) {
  auto field = document.at_path(path);
  if (field) return field.is_array() ? KeyField::array : KeyField::there;
  for (auto dot = path.find('.'); dot != std::string_view::npos; dot = path.find('.', dot + 1))
    if (document.at_path(path.substr(0, dot)).is_array()) return KeyField::array;
  return KeyField::missing;
}

bool is_key_of(const source::SourceCollection& from, const std::vector<std::string>& shard_key) {
  if (!from.shard_key) return false;
  std::vector<std::string> fields;
  for (const auto& e : *from.shard_key) fields.emplace_back(e.key());
  return fields == shard_key;
}

[[noreturn]] void refuse(const CollectionCopy& collection, bson::View document, const std::string& why) {
  throw Error(Remedy::pause, fmt::format("target: {}: the document with _id {} ({} bytes) is refused: {}", collection.target_ns, bson::to_json(document["_id"]), document.size(), why),
              "the target can't hold what the source has; change the document or the target, or exclude the namespace");
}

}  // namespace

Size BatchWriter::write(const Batch& batch, CollectionCopy& collection, std::stop_token stop) {
  if (batch.repeated) remove_moved(batch, collection);
  look_at_keys(batch.documents, collection);
  std::vector<bson::View> plain, literal;
  plain.reserve(batch.documents.size());
  for (const auto& document : batch.documents) (oplog::insert_needs_literal(document) ? literal : plain).push_back(document);
  insert(plain, batch, collection, stop);
  insert_literally(literal, batch, collection);
  if (stop.stop_requested()) return {};
  return {batch.documents.size(), batch.bytes};
}

// A document that an earlier try has left, and whose shard key the source has changed since: on a sharded target it may
// stand on another shard than the new one will, which no unique index would notice.
void BatchWriter::remove_moved(const Batch& batch, const CollectionCopy& collection) {
  auto shard_key = layout_.shard_key(collection.target_ns);
  if (shard_key.empty() || (shard_key.size() == 1 && shard_key.front() == "_id")) return;
  apply::MongoWriter writer(target_.router(), layout_);
  std::map<std::string, bson::View> ours;
  bson::Builder filter;
  filter.open_document("_id").open_array("$in");
  std::size_t n = 0;
  for (const auto& document : batch.documents) {
    auto id = document["_id"];
    ours.emplace(id_bytes(id), document);
    filter.value(std::to_string(n++), id);
  }
  std::vector<bson::Document> moved;
  for (const auto& there : writer.find(collection.target_ns, filter.close().close().finish())) {
    auto mine = ours.find(id_bytes(there["_id"]));
    auto query = apply::key_query(shard_key, there);
    if (mine == ours.end() || query != apply::key_query(shard_key, mine->second)) moved.push_back(std::move(query));
  }
  apply::remove_all(writer, collection.target_ns, moved);
}

// Where the target's key is not the source's, documents may lack it.
void BatchWriter::look_at_keys(const std::vector<bson::View>& documents, CollectionCopy& collection) {
  auto shard_key = layout_.shard_key(collection.target_ns);
  if (shard_key.empty() || is_key_of(collection.from, shard_key)) return;
  for (const auto& document : documents)
    for (const auto& path : shard_key) {
      auto field = look_at(document, path);
      if (field == KeyField::there) continue;
      if (field == KeyField::array) refuse(collection, document, fmt::format("its {} is an array, which can't be part of a shard key", path));
      if (collection.key_lacking++ < kKeyLackingNamed)
        log::warn("copy", "target: {}: the document with _id {} has no {}, which is in the target's shard key: it counts as null", collection.target_ns, bson::to_json(document["_id"]), path);
      break;
    }
}

void BatchWriter::insert(Documents documents, const Batch& batch, CollectionCopy& collection, std::stop_token stop) {
  auto dot = collection.target_ns.find('.');
  bool ordered = collection.keeps_order();
  Backoff backoff;
  bool waited = false;
  while (!stop.stop_requested() && !documents.empty()) {
    auto size = std::accumulate(documents.begin(), documents.end(), std::size_t{256}, [](auto sum, const auto& document) { return sum + document.size() + kElementOverhead; });
    auto share = room_.take(size * 2, stop);  // the command, and the driver's copy of it
    if (stop.stop_requested()) return;
    bson::Builder b;
    b.reserve(size);
    b.string("insert", collection.target_ns.substr(dot + 1)).open_array("documents");
    char number[16];
    for (std::size_t n = 0; n < documents.size(); ++n) {
      auto end = std::to_chars(number, number + sizeof number, n).ptr;
      b.document({number, static_cast<std::size_t>(end - number)}, documents[n]);
    }
    b.close().boolean("ordered", ordered);
    append_write_options(b);
    try {
      auto there = check(client_.run(collection.target_ns.substr(0, dot), b.finish()), documents, batch, collection);
      // Ordered, the server stops at a document that an earlier try has left there: go on behind it.
      documents = documents.subspan(ordered && there ? *there + 1 : documents.size());
    } catch (const mongo::CommandError& e) {
      share.resize(0);
      if (e.remedy() != Remedy::retry) return insert_halves(documents, e, batch, collection, stop);
      report_(e.what());
      waited = true;
      if (!sleep_for(stop, backoff.next())) return;
    }
  }
  if (waited) report_({});
}

// The command as a whole was refused: which of the documents is it?
void BatchWriter::insert_halves(Documents documents, const mongo::CommandError& refusal, const Batch& batch, CollectionCopy& collection, std::stop_token stop) {
  static constexpr int kOfADocument[] = {code::kBsonObjectTooLarge, 2 /* BadValue */, code::kShardKeyNotFound};
  if (std::find(std::begin(kOfADocument), std::end(kOfADocument), refusal.code()) == std::end(kOfADocument)) throw refusal;
  if (documents.size() == 1) refuse(collection, documents.front(), refusal.what());
  insert(documents.first(documents.size() / 2), batch, collection, stop);
  insert(documents.subspan(documents.size() / 2), batch, collection, stop);
}

void BatchWriter::insert_literally(const std::vector<bson::View>& documents, const Batch& batch, CollectionCopy& collection) {
  auto dot = collection.target_ns.find('.');
  for (const auto& doc : documents) {
    bson::Builder b;
    b.string("update", collection.target_ns.substr(dot + 1)).open_array("updates").open_document("0");
    b.document("q", apply::key_query(layout_.shard_key(collection.target_ns), doc)).open_array("u").open_document("0").open_document("$replaceWith").document("$literal", doc).close().close().close().boolean("upsert", true).close().close();
    append_write_options(b);
    (void)check(client_.run(collection.target_ns.substr(0, dot), b.finish()), Documents(&doc, 1), batch, collection);
  }
}

std::optional<std::size_t> BatchWriter::check(const bson::Document& reply, Documents documents, const Batch& batch, const CollectionCopy& collection) {
  std::optional<std::size_t> last;
  std::vector<bson::Element> there;
  for (const auto& e : reply.view().fields("writeErrors")) {
    auto error = e.fields();
    last = static_cast<std::size_t>(error.integer("index").value_or(0));
    auto error_code = static_cast<int>(error.integer("code").value_or(0));
    auto value = error.fields("keyValue");
    bool on_id = error_code == code::kDuplicateKey && !value.empty() && value.begin()->key() == "_id";
    if (mongo::is_transient(error_code))
      throw mongo::CommandError(Remedy::retry, error_code, true, fmt::format("target: {}: {}", collection.target_ns, error.string("errmsg").value_or("")));
    if (!on_id) refuse(collection, documents[*last], fmt::format("{} (code {})", error.string("errmsg").value_or(""), error_code));
    there.push_back(documents[*last]["_id"]);
  }
  if (!there.empty() && batch.place->ownership && batch.place->shards.size() > 1 && !batch.place->ownership->key().is_id()) refuse_twins(there, batch, collection);
  return last;
}

// Are they there from an earlier try, or are there two of one _id on the source's shards?
void BatchWriter::refuse_twins(const std::vector<bson::Element>& ids, const Batch& batch, const CollectionCopy& collection) {
  bson::Builder b;
  b.string("find", batch.place->name).open_document("filter").open_document("_id").open_array("$in");
  std::set<std::string> asked;
  for (const auto& id : ids) {
    b.value(std::to_string(asked.size()), id);
    asked.insert(id_bytes(id));
  }
  b.close().close().close().open_document("projection").int32("_id", 1).close();
  std::set<std::int64_t> seen;
  auto client = source_.router().acquire();
  // One that was not asked for is the server's equal of another.
  for (const auto& doc : mongo::fetch_all(client, batch.place->database, b.finish()))
    if (!seen.insert(source::hash_of(doc["_id"])).second || !asked.contains(id_bytes(doc["_id"]))) refuse_twin(client, *batch.place, collection, doc["_id"]);
}

}  // namespace mongotwin::copy
