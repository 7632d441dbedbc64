// SPDX-License-Identifier: Apache-2.0
#include "source/mongo_oplog.h"

#include <fmt/format.h>

#include <algorithm>

namespace mongotwin::source {
namespace {

using oplog::Timestamp;

constexpr std::chrono::milliseconds kFirstWait{100};
constexpr int kKeyNotFound = 211;

bson::Document end_of_oplog(int direction) {
  return bson::Builder().string("find", "oplog.rs").open_document("sort").int32("$natural", direction).close().int32("limit", 1).open_document("projection").int32("ts", 1).close()
      .open_document("readConcern").string("level", "majority").close().finish();
}

Timestamp end_position(mongo::Client& client, int direction) {
  auto docs = mongo::fetch_all(client, "local", end_of_oplog(direction));
  if (docs.empty()) throw Error(Remedy::retry, client.label() + ": the oplog is empty", "wait until the replica set has a primary");
  return docs.front()["ts"].timestamp().value_or(Timestamp());
}

std::optional<Timestamp> oldest_active_transaction(mongo::Client& client) {
  auto find = bson::Builder().string("find", "transactions").open_document("filter").open_document("state").open_array("$in").string("0", "prepared").string("1", "inProgress").close().close().close()
                  .open_document("readConcern").string("level", "majority").close().finish();
  std::optional<Timestamp> oldest;
  for (const auto& doc : mongo::fetch_all(client, "config", find)) {
    auto start = doc.view().fields("startOpTime")["ts"].timestamp();
    if (start && (!oldest || *start < *oldest)) oldest = start;
  }
  return oldest;
}

}  // namespace

void throw_history_lost(const std::string& label, Timestamp position, Timestamp oldest) {
  throw Error(Remedy::resync, fmt::format("{}: the oplog no longer holds the position {} (its oldest entry is {}): history is lost", label, oplog::to_string(position), oplog::to_string(oldest)),
              "start again with a new copy (docs/operations.md says how, and what to mind after a change of roles); a larger oplog on the source gives more time");
}

void MongoOplog::open(Timestamp position) {
  cursor_.reset();
  client_ = std::make_unique<mongo::Client>(pool_.acquire());
  auto find = bson::Builder().string("find", "oplog.rs").open_document("filter").open_document("ts").timestamp("$gte", position).close().close()
                  .boolean("tailable", true).boolean("awaitData", true).int32("batchSize", 1000).open_document("readConcern").string("level", "majority").close().finish();
  cursor_ = std::make_unique<mongo::Cursor>(*client_, "local", find);
  first_ = next(kFirstWait);
  auto first = first_.empty() ? Timestamp() : first_.front()["ts"].timestamp().value_or(Timestamp());
  if (first != position) {
    auto oldest = end_position(*client_, 1);
    if (first_.empty() && oldest <= position) throw Error(Remedy::retry, fmt::format("{}: the position {} is not there yet", client_->label(), oplog::to_string(position)), "wait until the replica set has caught up");
    throw_history_lost(client_->label(), position, oldest);
  }
}

std::vector<bson::Document> MongoOplog::next(std::chrono::milliseconds wait) {
  if (!first_.empty()) return std::exchange(first_, {});
  auto batch = cursor_->next(wait);
  if (!batch) throw Error(Remedy::retry, client_->label() + ": the oplog cursor ended", "");
  std::vector<bson::Document> out;
  auto owner = std::make_shared<bson::Document>(batch->reply);
  for (const auto& e : batch->array) out.emplace_back(owner, *e.document());
  return out;
}

Timestamp newest_position(mongo::Client& client) { return end_position(client, -1); }

Window oplog_window(mongo::Client& client) { return {end_position(client, 1), end_position(client, -1)}; }

StartPosition start_position(mongo::Client& client) {
  // A transaction that is open at `frontier` is either prepared after `before` (then reading from there sees it all)
  // or was open during the whole look at config.transactions: with majority read concern, like the positions, since a
  // commit that only the primary has lies behind the frontier.
  StartPosition p;
  auto before = newest_position(client);
  auto open = oldest_active_transaction(client);
  p.frontier = newest_position(client);
  p.resume = open ? std::min(before, *open) : before;
  return p;
}

Timestamp end_of_piece(Timestamp from, Timestamp up_to) {
  if (up_to.t - from.t <= kPieceSeconds) return up_to;
  return {from.t + kPieceSeconds, 0};
}

std::optional<Timestamp> inserted_at(mongo::Client& client, const oplog::Uuid& collection, const bson::Element& id, Timestamp from, Timestamp up_to, std::stop_token stop) {
  while (from < up_to && !stop.stop_requested()) {
    auto end = end_of_piece(from, up_to);
    bson::Builder find;
    find.string("find", "oplog.rs").open_document("filter").open_document("ts").timestamp("$gt", from).timestamp("$lte", end).close();
    find.open_document("op").open_array("$in").string("0", "i").string("1", "d").close().close();
    find.uuid("ui", collection.view()).value("o._id", id).close();
    auto found = mongo::fetch_all(client, "local", find.int32("limit", 1).boolean("singleBatch", true).finish());
    if (!found.empty()) return found.front().view().string("op") == "i" ? found.front()["ts"].timestamp() : std::nullopt;
    from = end;
  }
  return {};
}

void nudge(mongo::Client& leader, mongo::Client& idle) {
  auto reply = leader.run("admin", bson::Builder().int32("ping", 1).finish());
  auto note = bson::Builder().int32("appendOplogNote", 1).open_document("data").string("mongotwin", "nudge").close().finish();
  // The leader's $clusterTime is signed by the cluster, so that the idle shard takes it also under authentication.
  if (auto time = reply["$clusterTime"].document()) {
    try {
      idle.run_at(*time, "admin", note);
      return;
    } catch (const mongo::CommandError& e) {
      if (e.code() != kKeyNotFound) throw;  // a time that nobody has signed: the shard's own clock moves too
    }
  }
  idle.run("admin", note);
}

}  // namespace mongotwin::source
