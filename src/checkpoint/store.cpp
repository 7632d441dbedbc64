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

void MongoCheckpointStore::save(bson::View fields) {
  bson::Builder b;
  b.string("update", kCollection).open_array("updates").open_document("0").open_document("q").string("_id", link_).close();
  b.open_document("u").document("$set", fields).open_document("$currentDate").boolean("saved_at", true).close().close().boolean("upsert", true).close().close();
  b.open_document("writeConcern").string("w", "majority").close();
  auto client = pool_.acquire();
  auto reply = client.run(kDatabase, b.finish());
  auto errors = reply.view().fields("writeErrors");
  if (!errors.empty()) {
    auto code = static_cast<int>(errors.begin()->fields().integer("code").value_or(0));
    // Two first saves at once may both try to insert: the second try updates.
    bool again = mongo::is_transient(code) || code == mongo::code::kDuplicateKey;
    throw mongo::CommandError(again ? Remedy::retry : Remedy::pause, code, false, "target: the checkpoint can't be saved: " + std::string(errors.begin()->fields().string("errmsg").value_or("")),
                              "give the target's user the right to write to the database mongotwin");
  }
}

void MongoCheckpointStore::remove() {
  auto client = pool_.acquire();
  bson::Builder b;
  b.string("delete", kCollection).open_array("deletes").open_document("0").open_document("q").string("_id", link_).close().int32("limit", 1).close().close();
  b.open_document("writeConcern").string("w", "majority").close();
  client.run(kDatabase, b.finish());
}

}  // namespace mongotwin::checkpoint
