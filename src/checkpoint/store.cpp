// SPDX-License-Identifier: Apache-2.0
#include "checkpoint/store.h"

#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <chrono>

#include "mongo/cursor.h"

namespace mongotwin::checkpoint {
namespace {

// Tells this process from all others, also from one that had its number before.
const std::string& this_process() {
  static const std::string name = [] {
    std::array<char, 256> host{};
    if (gethostname(host.data(), host.size() - 1) != 0) host[0] = '?';
    return fmt::format("{} process {} ({})", host.data(), getpid(), std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch()).count());
  }();
  return name;
}

}  // namespace

std::optional<bson::Document> MongoCheckpointStore::load() {
  auto client = pool_.acquire();
  auto find = bson::Builder().string("find", kCollection).open_document("filter").string("_id", link_).close().open_document("readConcern").string("level", "majority").close().finish();
  auto docs = mongo::fetch_all(client, kDatabase, find);
  if (docs.empty()) return {};
  return docs.front().detached();
}

std::int64_t MongoCheckpointStore::update(bson::View query, bson::View fields, bool upsert) {
  bson::Builder b;
  b.string("update", kCollection).open_array("updates").open_document("0").document("q", query);
  b.open_document("u").document("$set", fields).open_document("$currentDate").boolean("saved_at", true).close().close().boolean("upsert", upsert).close().close();
  b.open_document("writeConcern").string("w", "majority").close();
  auto client = pool_.acquire();
  auto reply = client.run(kDatabase, b.finish());
  auto errors = reply.view().fields("writeErrors");
  if (!errors.empty()) {
    auto code = static_cast<int>(errors.begin()->fields().integer("code").value_or(0));
    if (code == mongo::code::kDuplicateKey && !owner_.empty()) demand_own();
    // Two first saves at once may both try to insert: the second try updates.
    bool again = mongo::is_transient(code) || code == mongo::code::kDuplicateKey;
    throw mongo::CommandError(again ? Remedy::retry : Remedy::pause, code, false, client.label() + ": the checkpoint can't be saved: " + std::string(errors.begin()->fields().string("errmsg").value_or("")),
                              "give mongotwin's user there the right to write to the database mongotwin");
  }
  return reply.view().integer("n").value_or(0);
}

void MongoCheckpointStore::save(bson::View fields) {
  auto query = bson::Builder().string("_id", link_);
  if (!owner_.empty()) query.string("owner", owner_);
  update(query.finish(), fields, true);
}

void MongoCheckpointStore::claim() {
  owner_.clear();
  update(bson::Builder().string("_id", link_).finish(), bson::Builder().string("owner", this_process()).finish(), false);
  owner_ = this_process();
}

void MongoCheckpointStore::demand_own() {
  if (owner_.empty()) return;
  auto document = load();
  auto other = std::string(document ? document->view().string("owner").value_or("") : "");
  if (!document || other == owner_) return;
  throw Error(Remedy::pause, fmt::format("another mongotwin has taken over the link \"{}\"{}", link_, other.empty() ? "" : ": " + other), "only one may work on a pair: stop this one, or stop the other one and start this one again");
}

bool MongoCheckpointStore::save_if(const std::string& intent, bson::View fields) {
  return update(bson::Builder().string("_id", link_).string("intent", intent).finish(), fields, false) > 0;
}

void MongoCheckpointStore::remove() {
  auto client = pool_.acquire();
  bson::Builder b;
  b.string("delete", kCollection).open_array("deletes").open_document("0").open_document("q").string("_id", link_).close().int32("limit", 1).close().close();
  b.open_document("writeConcern").string("w", "majority").close();
  mongo::throw_on_write_errors(client.label() + ": the checkpoint can't be removed", client.run(kDatabase, b.finish()));
}

}  // namespace mongotwin::checkpoint
