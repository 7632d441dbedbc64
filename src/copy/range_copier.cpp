// SPDX-License-Identifier: Apache-2.0
#include "copy/range_copier.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "base/backoff.h"
#include "base/log.h"
#include "base/worker.h"
#include "apply/lane_applier.h"
#include "apply/mongo_writer.h"
#include "mongo/cursor.h"
#include "oplog/delta.h"

namespace mongotwin::copy {
namespace {

namespace code = mongo::code;

constexpr std::uint64_t kBatchBytes = 2u << 20;
constexpr int kUuidParameterSince = 6;  // find takes collectionUUID since 6.0

struct Count {
  std::uint64_t documents = 0;
  std::vector<bson::View> literal;  // to be written by a pipeline, see insert_needs_literal
};

Count look_through(bson::View documents) {
  Count c;
  for (const auto& e : documents) {
    ++c.documents;
    auto doc = *e.document();
    if (oplog::insert_needs_literal(doc)) c.literal.push_back(doc);
  }
  return c;
}

bson::Document without(bson::View documents, const std::vector<bson::View>& left_out) {
  bson::Builder b;
  int n = 0;
  for (const auto& e : documents)
    if (std::none_of(left_out.begin(), left_out.end(), [&](const auto& v) { return v.data() == e.document()->data(); })) b.value(std::to_string(n++), e);
  return b.finish();
}

// The documents from number `first` on.
bson::Document behind(bson::View documents, std::size_t first) {
  bson::Builder b;
  std::size_t n = 0;
  for (const auto& e : documents)
    if (n++ >= first) b.value(std::to_string(n - first - 1), e);
  return b.finish();
}

bson::Document last_id(bson::View documents) {
  bson::Element last;
  for (const auto& e : documents) last = e;
  return bson::Builder().value("_id", last.fields()["_id"]).finish();
}

void append_write_options(bson::Builder& b) {
  b.boolean("bypassDocumentValidation", true);
  apply::append_majority(b);
}

}  // namespace

Size RangeCopier::copy(const Range& range, CollectionCopy& collection, const Recreate& recreate, std::stop_token stop) {
  auto dot = collection.from.ns.find('.');
  place_ = {collection.from.ns.substr(0, dot), collection.from.ns.substr(dot + 1), collection.from.uuid};
  repeated_ = range.begun;
  copied_ = {};
  std::optional<mongo::CommandError> lost;  // the collection is not where it was
  Backoff backoff;
  bool waited = false;
  while (!stop.stop_requested() && !collection.gone) {
    try {
      if (lost && !follow(*lost)) {
        collection.gone = true;
        return copied_;
      }
      lost.reset();
      if (repeated_ && collection.keeps_order()) recreate(collection);
      bool whole = copy_once(range, collection, stop);
      if (waited) report_({});
      if (whole) return copied_;
    } catch (const mongo::CommandError& e) {
      repeated_ = true;
      if (collection.at && (e.code() == code::kSnapshotTooOld || e.code() == code::kSnapshotUnavailable))
        throw Error(Remedy::resync, fmt::format("source: {} can't be read any more as it was at {}: {}", collection.target_ns, oplog::to_string(*collection.at), e.what()), "start again with a new copy");
      if (e.code() == code::kNamespaceNotFound || e.code() == code::kCollectionUuidMismatch) {
        lost = e;
      } else {
        if (e.remedy() != Remedy::retry) throw;
        report_(e.what());
        waited = true;
      }
      if (!sleep_for(stop, backoff.next())) break;
    }
  }
  return copied_;
}

bson::Document RangeCopier::find_command(const Range& range, const CollectionCopy& collection, std::int64_t batch_size) const {
  bson::Builder b;
  // By UUID a rename does not matter; a mongos knows names only and checks the UUID.
  if (source_.sharded()) b.string("find", place_.name);
  else b.uuid("find", place_.uuid.view());
  if (range.natural) b.open_document("hint").int32("$natural", 1).close();
  else b.open_document("hint").int32("_id", 1).close();
  if (range.min) b.document("min", *range.min);
  if (range.max) b.document("max", *range.max);
  b.int64("batchSize", batch_size).boolean("noCursorTimeout", true);
  if (source_.sharded() && source_.major() >= kUuidParameterSince) b.uuid("collectionUUID", place_.uuid.view());
  b.open_document("readConcern").string("level", collection.at ? "snapshot" : "majority");
  if (collection.at) b.timestamp("atClusterTime", *collection.at);
  b.close();
  return b.finish();
}

bool RangeCopier::copy_once(const Range& range, CollectionCopy& collection, std::stop_token stop) {
  auto average = collection.estimate.documents ? collection.estimate.bytes / collection.estimate.documents : 1024;
  auto batch_size = static_cast<std::int64_t>(std::clamp<std::uint64_t>(kBatchBytes / std::max<std::uint64_t>(average, 16), 1, 50'000));
  std::uint64_t documents = 0, bytes = 0;
  try {
    mongo::Cursor cursor(reader_, place_.database, find_command(range, collection, batch_size));
    while (auto batch = cursor.next({}, batch_size)) {
      if (throttle_) throttle_->wait(stop);
      if (stop.stop_requested()) return false;
      if (batch->empty()) continue;
      if (throttle_) throttle_->charge(batch->array.size());
      documents += write(batch->array, collection, stop);
      bytes += batch->array.size();
      // Of a clustered collection the last one says nothing: it is read by _id, not as it was inserted.
      if (collection.keeps_order()) collection.last = last_id(batch->array);
      collection.bytes += batch->array.size();
    }
  } catch (const mongo::CommandError&) {
    collection.documents -= documents;  // the range starts again
    collection.bytes -= bytes;
    throw;
  }
  copied_ = {documents, bytes};
  return !stop.stop_requested();
}

// A document that an earlier try has left, and whose shard key the source has changed since: on a sharded target it may
// stand on another shard than the new one will, which no unique index would notice.
void RangeCopier::remove_moved(bson::View documents, const CollectionCopy& collection) {
  auto shard_key = layout_.shard_key(collection.target_ns);
  if (shard_key.empty() || (shard_key.size() == 1 && shard_key.front() == "_id")) return;
  apply::MongoWriter writer(target_.router(), layout_);
  std::map<std::string, bson::View> ours;
  bson::Builder filter;
  filter.open_document("_id").open_array("$in");
  std::size_t n = 0;
  for (const auto& e : documents) {
    auto id = e.fields()["_id"];
    ours.emplace(std::string(1, static_cast<char>(id.type())) + std::string(id.value_bytes()), *e.document());
    filter.value(std::to_string(n++), id);
  }
  std::vector<bson::Document> moved;
  for (const auto& there : writer.find(collection.target_ns, filter.close().close().finish())) {
    auto id = there["_id"];
    auto mine = ours.find(std::string(1, static_cast<char>(id.type())) + std::string(id.value_bytes()));
    auto query = apply::key_query(shard_key, there);
    if (mine == ours.end() || query != apply::key_query(shard_key, mine->second)) moved.push_back(std::move(query));
  }
  apply::remove_all(writer, collection.target_ns, moved);
}

// Finds the collection again after its name or UUID changed: false if it is gone. While a shard is behind, the name
// may still have the UUID that was just refused: then it is tried again.
bool RangeCopier::follow(const mongo::CommandError& mismatch) {
  if (auto actual = mismatch.reply()["actualCollection"].string()) {
    place_.name = *actual;
    return true;
  }
  if (!source_.sharded()) return false;
  // movePrimary and resharding give the same name another UUID. If it was dropped and created again instead, the
  // catch-up drops whatever is copied now and replays the new one.
  auto filter = bson::Builder().int32("listCollections", 1).open_document("filter").string("name", place_.name).close().finish();
  for (const auto& doc : mongo::fetch_all(reader_, place_.database, filter))
    if (auto uuid = oplog::Uuid::from(doc.view().fields("info")["uuid"])) {
      place_.uuid = *uuid;
      return true;
    }
  return false;
}

std::uint64_t RangeCopier::write(bson::View documents, CollectionCopy& collection, std::stop_token stop) {
  if (repeated_) remove_moved(documents, collection);
  auto count = look_through(documents);
  if (count.literal.empty()) {
    insert(documents, collection, stop);
  } else {
    auto rest = without(documents, count.literal);
    if (!rest.empty()) insert(rest, collection, stop);
    insert_literally(count.literal, collection);
  }
  collection.documents += count.documents;
  return count.documents;
}

void RangeCopier::insert(bson::View documents, CollectionCopy& collection, std::stop_token stop) {
  auto dot = collection.target_ns.find('.');
  bool ordered = collection.keeps_order();
  bson::Document rest;
  Backoff backoff;
  while (!stop.stop_requested()) {
    bson::Builder b;
    b.reserve(documents.size() + 256);
    b.string("insert", collection.target_ns.substr(dot + 1)).array("documents", documents).boolean("ordered", ordered);
    append_write_options(b);
    try {
      auto there = check_duplicates(writer_.run(collection.target_ns.substr(0, dot), b.finish()), collection);
      // Ordered, the server stops at a document that an earlier try has left there: go on behind it.
      if (!ordered || !there) return;
      rest = behind(documents, *there + 1);
      documents = rest;
      if (documents.empty()) return;
    } catch (const mongo::CommandError& e) {
      if (e.remedy() != Remedy::retry) throw;
      repeated_ = true;
      report_(e.what());
      if (!sleep_for(stop, backoff.next())) return;
    }
  }
}

void RangeCopier::insert_literally(const std::vector<bson::View>& documents, CollectionCopy& collection) {
  auto dot = collection.target_ns.find('.');
  for (const auto& doc : documents) {
    bson::Builder b;
    b.string("update", collection.target_ns.substr(dot + 1)).open_array("updates").open_document("0");
    b.document("q", apply::key_query(layout_.shard_key(collection.target_ns), doc)).open_array("u").open_document("0").open_document("$replaceWith").document("$literal", doc).close().close().close().boolean("upsert", true).close().close();
    append_write_options(b);
    (void)check_duplicates(writer_.run(collection.target_ns.substr(0, dot), b.finish()), collection);
  }
}

std::optional<std::size_t> RangeCopier::check_duplicates(const bson::Document& reply, CollectionCopy& collection) {
  std::optional<std::size_t> last;
  for (const auto& e : reply.view().fields("writeErrors")) {
    auto error = e.fields();
    last = static_cast<std::size_t>(error.integer("index").value_or(0));
    auto error_code = static_cast<int>(error.integer("code").value_or(0));
    auto value = error.fields("keyValue");
    bool on_id = error_code == code::kDuplicateKey && !value.empty() && value.begin()->key() == "_id";
    if (mongo::is_transient(error_code))
      throw mongo::CommandError(Remedy::retry, error_code, true, fmt::format("target: {}: {}", collection.target_ns, error.string("errmsg").value_or("")));
    if (!on_id)
      throw Error(Remedy::pause, fmt::format("target: {}: a document is refused: {} (code {})", collection.target_ns, error.string("errmsg").value_or(""), error_code),
                  "the target can't hold what the source has; change the target or exclude the namespace");
    if (repeated_ || collection.from.shards.size() < 2) continue;
    // Two documents of one _id may live on different shards of the source: they can't be told apart by a twin.
    auto find = bson::Builder().string("find", place_.name).document("filter", bson::Builder().value("_id", value["_id"]).finish()).int32("limit", 2).finish();
    if (mongo::fetch_all(reader_, place_.database, find).size() > 1)
      throw Error(Remedy::pause, fmt::format("source: {} has two documents with _id {} on different shards", collection.from.ns, bson::to_json(value["_id"])), "remove one of them, then start again");
  }
  return last;
}

}  // namespace mongotwin::copy
