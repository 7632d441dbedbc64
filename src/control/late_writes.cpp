// SPDX-License-Identifier: Apache-2.0
#include "control/late_writes.h"

#include <fmt/format.h>

#include "mongo/cursor.h"
#include "source/oplog_reader.h"

namespace mongotwin::control {
namespace {

constexpr int kBatch = 1000;

void add_command(const std::string& shard, bson::View entry, oplog::Timestamp ts, const oplog::NamespaceFilter& filter, std::vector<LateWrite>& into) {
  auto o = entry.fields("o");
  auto command = o.begin();
  if (command == nullptr) return;
  if (command->key() == "applyOps") {
    for (const auto& inner : o.fields("applyOps")) add_late_writes(shard, inner.fields(), filter, into);
    for (auto& write : into)
      if (write.ts.is_null()) write.ts = ts;
    return;
  }
  if (command->key() == "abortTransaction") return;
  if (command->key() == "commitTransaction") return into.push_back({shard, "(a transaction)", "its commit", "commit", ts});
  if (command->key() == "collMod" && changes_expiry_only(o)) return;
  auto ns = std::string(entry.string("ns").value_or(""));
  auto name = command->string().value_or("");
  ns = command->key() == "renameCollection" ? std::string(name) : ns.substr(0, ns.find('.')) + "." + std::string(name);
  if (filter.includes(ns) || (command->key() == "renameCollection" && filter.includes(o.string("to").value_or("")))) into.push_back({shard, ns, bson::to_json(o, 120), "command", ts});
}

}  // namespace

bool changes_expiry_only(bson::View o) { return o["expireAfterSeconds"] || o.fields("index")["expireAfterSeconds"]; }

std::string to_string(const LateWrite& w) { return fmt::format("{} of {} in {} (shard {}, {})", w.kind, w.id, w.ns, w.shard, oplog::to_string(w.ts)); }

void add_late_writes(const std::string& shard, bson::View entry, const oplog::NamespaceFilter& filter, std::vector<LateWrite>& into) {
  if (!source::is_relevant(entry) || entry["fromMigrate"].truthy()) return;
  auto op = entry.string("op").value_or("");
  auto ts = entry["ts"].timestamp().value_or(oplog::Timestamp());
  if (op == "c") return add_command(shard, entry, ts, filter, into);
  auto ns = std::string(entry.string("ns").value_or(""));
  if (op == "n" || !filter.includes(ns)) return;
  auto key = op == "u" ? entry.fields("o2") : entry.fields("o");
  into.push_back({shard, ns, bson::to_json(key["_id"]), op == "i" ? "insert" : op == "u" ? "update" : "delete", ts});
}

std::vector<LateWrite> late_writes(mongo::Cluster& cluster, const oplog::NamespaceFilter& filter, const std::vector<oplog::Timestamp>& positions, std::size_t at_most) {
  std::vector<LateWrite> out;
  for (std::size_t s = 0; s < positions.size(); ++s) {
    auto& shard = cluster.shards().at(s);
    auto client = shard.pool->acquire();
    auto find = bson::Builder().string("find", "oplog.rs").open_document("filter").open_document("ts").timestamp("$gt", positions[s]).close().close().int32("batchSize", kBatch)
                    .open_document("readConcern").string("level", "majority").close().finish();
    mongo::Cursor cursor(client, "local", find);
    while (auto batch = cursor.next()) {
      for (const auto& e : batch->array) add_late_writes(shard.name, *e.document(), filter, out);
      if (out.size() >= at_most) return out;
    }
  }
  return out;
}

}  // namespace mongotwin::control
