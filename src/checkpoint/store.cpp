// SPDX-License-Identifier: Apache-2.0
#include "checkpoint/store.h"

#include "mongo/cursor.h"

namespace mongotwin::checkpoint {

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
    // Two first saves at once may both try to insert: the second try updates.
    bool again = mongo::is_transient(code) || code == mongo::code::kDuplicateKey;
    throw mongo::CommandError(again ? Remedy::retry : Remedy::pause, code, false, client.label() + ": the checkpoint can't be saved: " + std::string(errors.begin()->fields().string("errmsg").value_or("")),
                              "give mongotwin's user there the right to write to the database mongotwin");
  }
  return reply.view().integer("n").value_or(0);
}

void MongoCheckpointStore::save(bson::View fields) { update(bson::Builder().string("_id", link_).finish(), fields, true); }

bool MongoCheckpointStore::save_if(const std::string& intent, bson::View fields) {
  return update(bson::Builder().string("_id", link_).string("intent", intent).finish(), fields, false) > 0;
}

void MongoCheckpointStore::remove() {
  auto client = pool_.acquire();
  bson::Builder b;
  b.string("delete", kCollection).open_array("deletes").open_document("0").open_document("q").string("_id", link_).close().int32("limit", 1).close().close();
  b.open_document("writeConcern").string("w", "majority").close();
  client.run(kDatabase, b.finish());
}

}  // namespace mongotwin::checkpoint
