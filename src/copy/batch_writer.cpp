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
#include "base/log.h"
#include "bson/typed_bytes.h"
#include "copy/retrying.h"
#include "copy/source_now.h"
#include "copy/twins.h"
#include "mongo/cursor.h"
#include "oplog/delta.h"

namespace mongotwin::copy {
namespace {

namespace code = mongo::code;

constexpr std::uint64_t kKeyLackingNamed = 3;
constexpr int kSettleRounds = 10;
constexpr std::size_t kElementOverhead = 8;  // type and number of an array's element

void append_write_options(bson::Builder& b) {
  b.boolean("bypassDocumentValidation", true);
  apply::append_majority(b);
}

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

bson::Document among(const std::vector<bson::Element>& ids) {
  bson::Builder b;
  b.open_document("_id").open_array("$in");
  for (std::size_t n = 0; n < ids.size(); ++n) b.value(std::to_string(n), ids[n]);
  return b.close().close().finish();
}

std::string why_of(bson::View error) { return fmt::format("{} (code {})", error.string("errmsg").value_or(""), error.integer("code").value_or(0)); }

[[noreturn]] void refuse(const CollectionCopy& collection, bson::View document, const std::string& why) {
  throw Error(Remedy::pause, fmt::format("target: {}: the document with _id {} ({} bytes) is refused: {}", collection.target_ns, bson::to_json(document["_id"]), document.size(), why),
              "the target can't hold what the source has; change the document or the target, or exclude the namespace");
}

}  // namespace

Size BatchWriter::write(const Batch& batch, CollectionCopy& collection, std::stop_token stop) {
  if (batch.repeated) retrying(report_, stop, [&] { remove_moved(batch, collection); });
  look_at_keys(batch.documents, collection);
  std::vector<bson::View> plain, literal;
  plain.reserve(batch.documents.size());
  auto flush = [&] {
    insert(plain, batch, collection, stop);
    for (const auto& document : literal) retrying(report_, stop, [&] { insert_literally(document, batch, collection); });
    plain.clear();
    literal.clear();
  };
  for (const auto& document : batch.documents) {
    bool literally = oplog::insert_needs_literal(document);
    if (!literally && !literal.empty() && collection.keeps_order()) flush();
    (literally ? literal : plain).push_back(document);
  }
  flush();
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
  std::vector<bson::Element> ids;
  for (const auto& document : batch.documents) {
    ids.push_back(document["_id"]);
    ours.emplace(bson::typed_bytes(ids.back()), document);
  }
  std::vector<bson::Document> moved;
  for (const auto& there : writer.find(collection.target_ns, among(ids))) {
    auto mine = ours.find(bson::typed_bytes(there["_id"]));
    auto query = apply::key_query(shard_key, there);
    // Equal only under the collation, or as a number of another type: it may be one of its own.
    bool stale = mine == ours.end() ? !is_on_source(there, collection) : query != apply::key_query(shard_key, mine->second);
    if (stale) moved.push_back(std::move(query));
  }
  apply::remove_all(writer, collection.target_ns, moved);
}

// With this very _id. While the collection is gone nothing can be told, nor matters.
bool BatchWriter::is_on_source(bson::View document, const CollectionCopy& collection) {
  auto id = document["_id"];
  auto now = read_now(source_, collection, bson::Builder().open_document("_id").value("$eq", id).close().finish(), Fields::only_id);
  return !now || std::any_of(now->documents.begin(), now->documents.end(), [&](const auto& one) { return one["_id"].same_value(id); });
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
  while (!stop.stop_requested() && !documents.empty()) retrying(report_, stop, [&] { documents = insert_some(documents, batch, collection, stop); });
}

BatchWriter::Documents BatchWriter::insert_some(Documents documents, const Batch& batch, CollectionCopy& collection, std::stop_token stop) {
  auto dot = collection.target_ns.find('.');
  bool ordered = collection.keeps_order();
  auto size = std::accumulate(documents.begin(), documents.end(), std::size_t{256}, [](auto sum, const auto& document) { return sum + document.size() + kElementOverhead; });
  auto share = room_.take(size * 2, stop);  // the command, and the driver's copy of it
  if (stop.stop_requested()) return documents;
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
    return documents.subspan(ordered && there ? *there + 1 : documents.size());
  } catch (const mongo::CommandError& e) {
    if (e.remedy() == Remedy::retry) throw;
    share.resize(0);
    insert_halves(documents, e, batch, collection, stop);
    return {};
  }
}

// The command as a whole was refused: which of the documents is it?
void BatchWriter::insert_halves(Documents documents, const mongo::CommandError& refusal, const Batch& batch, CollectionCopy& collection, std::stop_token stop) {
  static constexpr int kOfADocument[] = {code::kBsonObjectTooLarge, 2 /* BadValue */, code::kShardKeyNotFound};
  if (std::find(std::begin(kOfADocument), std::end(kOfADocument), refusal.code()) == std::end(kOfADocument)) throw refusal;
  if (documents.size() == 1) refuse(collection, documents.front(), refusal.what());
  insert(documents.first(documents.size() / 2), batch, collection, stop);
  insert(documents.subspan(documents.size() / 2), batch, collection, stop);
}

void BatchWriter::insert_literally(bson::View document, const Batch& batch, CollectionCopy& collection) {
  auto dot = collection.target_ns.find('.');
  bson::Builder b;
  b.string("update", collection.target_ns.substr(dot + 1)).open_array("updates").open_document("0");
  b.document("q", apply::key_query(layout_.shard_key(collection.target_ns), document)).open_array("u").open_document("0").open_document("$replaceWith").document("$literal", document).close().close().close().boolean("upsert", true).close().close();
  append_write_options(b);
  (void)check(client_.run(collection.target_ns.substr(0, dot), b.finish()), Documents(&document, 1), batch, collection);
}

std::optional<std::size_t> BatchWriter::check(const bson::Document& reply, Documents documents, const Batch& batch, const CollectionCopy& collection) {
  std::optional<std::size_t> last;
  std::vector<bson::Element> there;
  std::vector<bson::View> clashes;
  for (const auto& e : reply.view().fields("writeErrors")) {
    auto error = e.fields();
    last = static_cast<std::size_t>(error.integer("index").value_or(0));
    auto error_code = static_cast<int>(error.integer("code").value_or(0));
    auto value = error.fields("keyValue");
    if (mongo::is_transient(error_code))
      throw mongo::CommandError(Remedy::retry, error_code, true, fmt::format("target: {}: {}", collection.target_ns, error.string("errmsg").value_or("")));
    if (error_code != code::kDuplicateKey || value.empty()) refuse(collection, documents[*last], why_of(error));
    if (value.begin()->key() == "_id") there.push_back(documents[*last]["_id"]);
    else clashes.push_back(error);
  }
  if (!there.empty() && batch.place->ownership && batch.place->shards.size() > 1 && !batch.place->ownership->key().is_id()) look_for_twins(there, collection);
  for (const auto& error : clashes) settle(documents[static_cast<std::size_t>(error.integer("index").value_or(0))], error, collection);
  return last;
}

// Are they there from an earlier try, or are there two of one _id on the source's shards? What is equal to an _id, the
// collation decides: two strings that are, the target has both of if they are on different shards there, too.
void BatchWriter::look_for_twins(const std::vector<bson::Element>& ids, const CollectionCopy& collection) {
  auto now = read_now(source_, collection, among(ids), Fields::only_id);
  if (!now || now->documents.size() <= ids.size()) return;
  std::map<std::uint64_t, int> on_source;
  for (const auto& document : now->documents) ++on_source[fingerprint(document["_id"])];
  std::set<std::string> on_target;
  for (const auto& document : apply::MongoWriter(target_.router(), layout_).find(collection.target_ns, among(ids))) on_target.insert(bson::typed_bytes(document["_id"]));
  auto client = source_.router().acquire();
  for (const auto& id : ids)
    if (on_source[fingerprint(id)] > 1 || !on_target.contains(bson::typed_bytes(id))) refuse_twin(client, now->place, collection, id);
}

// Two documents have a value that only one may have, as a unique shard key is from the beginning: then one of them is of an
// older state of the source. Both become what they are there now, and so does whatever has their values by then.
void BatchWriter::settle(bson::View document, bson::View error, const CollectionCopy& collection) {
  apply::MongoWriter writer(target_.router(), layout_);
  std::map<std::string, bson::Document> ids;  // {"": _id}
  auto add = [&](const bson::Element& id) { ids.emplace(bson::typed_bytes(id), bson::Builder().value("", id).finish()); };
  auto add_owners = [&](bson::View of) {
    for (const auto& owner : writer.find(collection.target_ns, of.fields("keyValue"))) add(owner["_id"]);
  };
  add(document["_id"]);
  add_owners(error);
  for (int round = 0; round < kSettleRounds; ++round) {
    std::vector<bson::Element> wanted;
    for (const auto& [bytes, id] : ids) wanted.push_back(id[""]);
    auto filter = among(wanted);
    auto now = read_now(source_, collection, filter);
    if (!now) return;  // the catch-up drops the collection
    std::vector<bson::Document> stale;
    for (const auto& there : writer.find(collection.target_ns, filter)) stale.push_back(apply::key_query(layout_.shard_key(collection.target_ns), there));
    if (stale.empty() && now->documents.empty()) return;
    try {
      writer.replace_all(collection.target_ns, stale, {now->documents.begin(), now->documents.end()});
      log::debug("copy", "target: {}: {} documents, on whose unique values the source has gone on, are as they are there now", collection.target_ns, ids.size());
      return;
    } catch (const mongo::CommandError& e) {
      if (e.code() != code::kDuplicateKey) throw;
      for (const auto& again : e.reply().view().fields("writeErrors")) add_owners(again.fields());
    }
  }
  refuse(collection, document, why_of(error));
}

}  // namespace mongotwin::copy
