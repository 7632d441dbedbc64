// SPDX-License-Identifier: Apache-2.0
#include "copy/range_reader.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/backoff.h"
#include "base/log.h"
#include "base/worker.h"
#include "bson/typed_bytes.h"
#include "copy/twins.h"
#include "mongo/cursor.h"
#include "source/member_state.h"

namespace mongotwin::copy {
namespace {

namespace code = mongo::code;

constexpr std::uint64_t kBatchBytes = 2u << 20;
constexpr std::uint64_t kReplyBytesMax = 15u << 20;          // a server's reply may have 16 MB
constexpr std::uint64_t kBytesEachMillisecond = 200'000;     // what shall be under way in a millisecond of a round trip
constexpr std::size_t kBatchDocuments = 50'000;  // below the server's maxWriteBatchSize of 100,000
constexpr int kUuidParameterSince = 6;       // find takes collectionUUID since 6.0
constexpr int kKeyNotFound = 211;            // the record to go on behind was deleted
constexpr int kEmptyRange = 51175;           // min is not below max
constexpr int kInterrupted = 11601;          // an operator has killed a read that took long
constexpr std::size_t kTokensKept = 8;

std::uint64_t average_size(const Size& estimate) { return std::max<std::uint64_t>(estimate.documents ? estimate.bytes / estimate.documents : 1024, 16); }

// A cursor gives one reply in a round trip: from far away they must be large.
std::uint64_t reply_bytes(std::chrono::milliseconds round_trip) {
  return std::clamp<std::uint64_t>(static_cast<std::uint64_t>(round_trip.count()) * kBytesEachMillisecond, kBatchBytes, kReplyBytesMax);
}

std::int64_t batch_size_for(const Size& estimate, std::uint64_t bytes) { return static_cast<std::int64_t>(std::clamp<std::uint64_t>(bytes / average_size(estimate), 1, 200'000)); }

// Where a member's record numbers hold: they are its own, and new after an initial sync. A member that was killed inserts
// again what its last checkpoint lacks, and one that has rolled back inserts other documents: numbers up to there may differ.
std::string identity(mongo::Client& client, std::uint32_t server) {
  auto find = bson::Builder().string("find", "replset.initialSyncId").open_document("$readPreference").string("mode", "secondaryPreferred").close().finish();
  std::string synced;
  mongo::Cursor cursor(client, server, "local", find);
  while (auto batch = cursor.next())
    for (const auto& e : batch->array) synced += bson::to_json(e.fields()["_id"]);
  auto session = client.start_session();
  auto hello = client.run_on(server, *session, "admin", bson::Builder().int32("hello", 1).finish());
  auto process = hello.view().fields("topologyVersion")["processId"];
  auto status = client.run_on(server, *session, "admin", bson::Builder().int32("serverStatus", 1).finish());
  return fmt::format("{} {} {} {}", client.host_of(server), synced, process ? bson::to_json(process) : std::string(), status.view().fields("repl").integer("rbid").value_or(0));
}

std::optional<bson::View> token_of(const bson::Document& reply) { return reply.view().fields("cursor").document("postBatchResumeToken"); }

}  // namespace

// The start of the copy, from which the oplog is replayed, and whatever had moved to that shard when it was asked where the
// collection is: the moves themselves are not replayed.
void RangeReader::await_state(const Pass& pass, mongo::Client& client, std::uint32_t server, oplog::ShardIndex shard) {
  auto needed = shard < options_.not_before.size() ? std::max(options_.not_before[shard], place_->as_of) : place_->as_of;
  source::await_state(client, server, needed, source_.sharded() ? &router_ : nullptr, pass.stop);
}

mongo::Client& RangeReader::client_of(oplog::ShardIndex shard) {
  auto it = clients_.find(shard);
  if (it == clients_.end()) it = clients_.emplace(shard, source_.shards()[shard].pool->acquire()).first;
  return it->second;
}

bool RangeReader::find_place(const CollectionCopy& collection, std::size_t number) {
  if (place_ && place_of_ == number) return true;
  auto found = source::find_place(source_, router_, collection.from.ns, collection.from.uuid);
  place_ = found ? std::make_shared<source::CollectionPlace>(std::move(*found)) : nullptr;
  place_of_ = number;
  return found.has_value();
}

RangeReader::End RangeReader::read(const Range& range, const CollectionCopy& collection, Sink& sink, std::stop_token stop) {
  bool natural = range.by == Range::By::natural;
  repeated_ = range.begun;
  position_ = range.from;
  exact_ids_ = false;
  bool again = range.begun && collection.keeps_order();
  bool waited = false;
  Backoff backoff;
  while (!stop.stop_requested() && !collection.gone) {
    try {
      if (again) sink.again();
      again = false;
      if (!find_place(collection, range.collection)) return End::gone;
      version_ = place_->version;
      seen_.begin(exact_ids_);
      bool ended = natural ? read_naturally({range, collection, sink, stop}) : read_all_shards({range, collection, sink, stop});
      if (!ended) return stop.stop_requested() ? End::stopped : End::moved;
      if (place_->through_router || source::version_now(source_, router_, *place_) == place_->version) {
        if (waited) report_({});
        return End::whole;
      }
      place_.reset();
      if (natural) return End::moved;
      log::debug("copy", "source: {}: documents changed their shard while a range was read; reading it again", collection.from.ns);
    } catch (const source::MemberIsBehind& e) {
      // Where it is stays as true as it was: asked again, the member would be behind that answer, too.
      report_(e.what());
      waited = true;
      if (!sleep_for(stop, backoff.next())) break;
    } catch (const mongo::CommandError& e) {
      if (e.code() == kEmptyRange) {
        if (waited) report_({});
        return End::whole;
      }
      if (collection.at && (e.code() == code::kSnapshotTooOld || e.code() == code::kSnapshotUnavailable))
        throw Error(Remedy::resync, fmt::format("source: {} can't be read any more as it was at {}: {}", collection.target_ns, oplog::to_string(*collection.at), e.what()), "start again with a new copy");
      // A cursor says the last one when the collection was dropped and a view has its name now.
      bool lost = e.code() == code::kNamespaceNotFound || e.code() == code::kCollectionUuidMismatch || e.code() == code::kCommandNotSupportedOnView;
      if (!lost && e.remedy() != Remedy::retry && e.code() != kInterrupted) throw;
      if (!lost) report_(e.what());
      waited |= !lost;
      place_.reset();
      if (!sleep_for(stop, backoff.next())) break;
    }
    repeated_ = true;
    again = !natural;  // that one goes on from its position
  }
  return stop.stop_requested() ? End::stopped : End::gone;
}

void RangeReader::append_read_options(bson::Builder& b, const CollectionCopy& collection, std::optional<oplog::ShardIndex> shard) const {
  b.open_document("readConcern").string("level", collection.at ? "snapshot" : "majority");
  if (collection.at) b.timestamp("atClusterTime", *collection.at);
  b.close();
  // The driver sends none of its own with a server that was chosen by hand.
  if (shard && options_.preference != mongo::ReadPreference::primary) b.open_document("$readPreference").string("mode", "secondaryPreferred").close();
}

bson::Document RangeReader::find_command(const Pass& pass, std::optional<oplog::ShardIndex> shard, std::int64_t batch_size) const {
  bson::Builder b;
  // By UUID a rename does not matter; a mongos knows names only and checks the UUID.
  if (shard) b.uuid("find", place_->uuid.view());
  else b.string("find", place_->name);
  b.open_document("hint").int32(pass.range.by == Range::By::order ? "$natural" : "_id", 1).close();
  if (pass.range.by == Range::By::order) {
    if (pass.range.max) b.open_document("filter").open_document("_id").value("$lte", (*pass.range.max)["_id"]).close().close();
  } else if (pass.range.only_min) {
    b.open_document("filter").open_document("_id").value("$eq", (*pass.range.min)["_id"]).close().close();
  } else {
    if (pass.range.min) b.document("min", *pass.range.min);
    if (pass.range.max) b.document("max", *pass.range.max);
  }
  b.int64("batchSize", batch_size).boolean("noCursorTimeout", true);
  if (!shard && source_.major() >= kUuidParameterSince) b.uuid("collectionUUID", place_->uuid.view());
  append_read_options(b, pass.collection, shard);
  return b.finish();
}

bool RangeReader::read_all_shards(const Pass& pass) {
  auto read = [&](mongo::Client& client, mongo::ReadPreference preference, std::optional<oplog::ShardIndex> shard) {
    auto server = client.select_server(preference);
    if (shard) await_state(pass, client, server, *shard);
    auto bytes = reply_bytes(client.round_trip(server));
    return drain(pass, {client, server, shard, bytes, false}, find_command(pass, shard, batch_size_for(pass.collection.estimate, bytes)));
  };
  if (place_->through_router) return read(router_, mongo::ReadPreference::primary, {});
  return std::all_of(place_->shards.begin(), place_->shards.end(), [&](auto shard) { return read(client_of(shard), options_.preference, shard); });
}

std::optional<std::int64_t> RangeReader::last_record(const Pass& pass, mongo::Client& client, std::uint32_t server) {
  bson::Builder b;
  b.uuid("find", place_->uuid.view()).open_document("sort").int32("$natural", -1).close().open_document("projection").int32("_id", 1).close().int32("limit", 1);
  b.boolean("singleBatch", true).boolean("showRecordId", true);
  append_read_options(b, pass.collection, pass.range.shard);
  mongo::Cursor cursor(client, server, place_->database, b.finish());
  while (auto batch = cursor.next())
    for (const auto& e : batch->array) return e.fields().integer("$recordId");
  return {};
}

// `after`: a token; null: from the start.
bson::Document RangeReader::find_naturally(const Pass& pass, std::int64_t batch_size, Fields fields, const bson::Document* after) const {
  bson::Builder b;
  b.uuid("find", place_->uuid.view()).open_document("hint").int32("$natural", 1).close().int64("batchSize", batch_size).boolean("noCursorTimeout", true);
  b.boolean("$_requestResumeToken", true);
  if (fields == Fields::only_id) b.boolean("showRecordId", true).open_document("projection").int32("_id", 1).close();
  if (after != nullptr) b.document("$_resumeAfter", *after);
  append_read_options(b, pass.collection, pass.range.shard);
  return b.finish();
}

// False if it is no longer the collection that one shard can be read of by itself, or on a stop.
bool RangeReader::read_naturally(const Pass& pass) {
  auto shard = pass.range.shard;
  const auto& planned = pass.collection.from.shards;
  bool elsewhere = std::any_of(place_->shards.begin(), place_->shards.end(), [&](auto s) { return std::find(planned.begin(), planned.end(), s) == planned.end(); });
  if (place_->through_router || place_->uuid != pass.collection.from.uuid || elsewhere) return false;
  if (std::find(place_->shards.begin(), place_->shards.end(), shard) == place_->shards.end()) return true;  // owns nothing now
  auto& client = client_of(shard);
  auto server = client.select_server(options_.preference);
  await_state(pass, client, server, shard);
  auto member = identity(client, server);
  if (!position_ || position_->member != member || position_->version != place_->version) {
    if (position_) pass.sink.again();
    auto end = last_record(pass, client, server);
    if (!end) return true;
    position_ = NaturalPosition{member, place_->version, *end, {}};
  }
  for (;;) {
    bool resumed = !position_->tokens.empty();
    try {
      auto bytes = reply_bytes(client.round_trip(server));
      return drain(pass, {client, server, shard, bytes, true}, find_naturally(pass, batch_size_for(pass.collection.estimate, bytes), Fields::all, resumed ? &position_->tokens.back() : nullptr));
    } catch (const mongo::CommandError& e) {
      if (!resumed || e.code() != kKeyNotFound) throw;
      position_->tokens.pop_back();
      repeated_ = true;
      if (position_->tokens.empty()) pass.sink.again();
    }
  }
}

// Hands on what the cursor gives. False on a stop.
bool RangeReader::drain(const Pass& pass, const From& from, const bson::Document& command) {
  auto batch_size = batch_size_for(pass.collection.estimate, from.reply_bytes);
  auto expected = from.reply_bytes;
  std::optional<mongo::Cursor> cursor;
  bool tell_twins = place_->ownership && (place_->shards.size() > 1 || place_->through_router) && !place_->ownership->key().is_id() && !from.natural;
  for (;;) {
    if (throttle_ && !throttle_->take(expected, pass.stop)) return false;
    auto share = std::make_shared<ByteBudget::Share>(budget_.take(expected, pass.stop));
    if (pass.stop.stop_requested()) return false;
    if (!cursor) cursor.emplace(from.client, from.server, place_->database, command);
    auto reply = cursor->next({}, batch_size);
    if (throttle_) throttle_->correct(expected, reply ? reply->array.size() : 0);
    if (!reply) return true;
    expected = std::max<std::uint64_t>(expected, reply->array.size());
    share->resize(reply->array.size());
    std::optional<Ids> wanted;
    if (from.natural && !is_up_to_end(*reply)) wanted = ids_up_to_end(pass, from, batch_size);
    bool last = from.natural && take_token(reply->reply);
    auto batches = cut(*reply, from.shard, wanted ? &*wanted : nullptr, std::move(share));
    if (from.natural && !batches.empty()) batches.back().position = position_;
    for (auto& batch : batches) {
      if (tell_twins) look_for_twins(batch, pass.collection);
      pass.sink.take(std::move(batch));
    }
    if (last) return true;
  }
}

// Whether all of the reply was there at the beginning.
bool RangeReader::is_up_to_end(const mongo::Cursor::Batch& reply) const {
  auto number = token_of(reply.reply).value_or(bson::View()).integer("$recordId");
  return reply.empty() || (number && *number <= position_->end);
}

// Behind the last token, what was there at the beginning and still is. The rest is in the oplog; copied too, a document that
// was deleted and inserted again would come twice, and on a target with another shard key stay so.
RangeReader::Ids RangeReader::ids_up_to_end(const Pass& pass, const From& from, std::int64_t batch_size) const {
  for (auto after = position_->tokens.rbegin();; ++after) {
    bool resumed = after != position_->tokens.rend();
    try {
      Ids ids;
      mongo::Cursor cursor(from.client, from.server, place_->database, find_naturally(pass, batch_size, Fields::only_id, resumed ? &*after : nullptr));
      while (auto reply = cursor.next({}, batch_size))
        for (const auto& e : reply->array) {
          auto document = e.fields();
          if (document.integer("$recordId").value_or(0) > position_->end) return ids;
          ids.insert(bson::typed_bytes(document["_id"]));
        }
      return ids;
    } catch (const mongo::CommandError& e) {
      if (!resumed || e.code() != kKeyNotFound) throw;  // gone meanwhile: behind an earlier one there is only more
    }
  }
}

// True if the reply reaches to what was there at the beginning.
bool RangeReader::take_token(const bson::Document& reply) {
  auto token = token_of(reply);
  if (!token || token->empty()) return false;
  auto& tokens = position_->tokens;
  tokens.push_back(bson::Document::copy_of(*token));
  if (tokens.size() > kTokensKept) tokens.erase(tokens.begin());
  return token->integer("$recordId").value_or(0) >= position_->end;
}

// What one shard owns of a reply, in pieces of a size that is good to insert. `wanted`: only these; null: all.
std::vector<Batch> RangeReader::cut(const mongo::Cursor::Batch& reply, std::optional<oplog::ShardIndex> shard, const Ids* wanted, std::shared_ptr<ByteBudget::Share> share) const {
  std::vector<Batch> batches;
  const auto* ownership = shard ? place_->ownership.get() : nullptr;
  for (const auto& e : reply.array) {
    auto document = *e.document();
    if (ownership != nullptr && ownership->owner_of(document) != *shard) continue;  // an orphan
    if (wanted != nullptr && !wanted->contains(bson::typed_bytes(document["_id"]))) continue;
    bool full = batches.empty() || batches.back().bytes + document.size() > kBatchBytes + kBatchBytes / 8 || batches.back().documents.size() == kBatchDocuments;
    if (full) batches.push_back({reply.reply, {}, 0, place_, repeated_, {}, share});
    batches.back().documents.push_back(document);
    batches.back().bytes += document.size();
  }
  return batches;
}

// Two documents of one _id may live on different shards, or an update has moved the one from a shard that was read before
// to one that was read after it. Then it would be written twice: on a sharded target no index would notice.
void RangeReader::look_for_twins(const Batch& batch, const CollectionCopy& collection) {
  for (const auto& document : batch.documents) {
    auto id = document["_id"];
    if (seen_.take(id)) continue;
    refuse_twin(router_, *place_, collection, id);
    exact_ids_ = true;
    throw mongo::CommandError(Remedy::retry, 0, false, fmt::format("source: {}: the document with _id {} came to another shard while its range was read", collection.from.ns, bson::to_json(id)));
  }
}

}  // namespace mongotwin::copy
