// SPDX-License-Identifier: Apache-2.0
#include "mongo/cursor.h"

#include "base/log.h"

namespace mongotwin::mongo {

Cursor::Cursor(Client& client, std::uint32_t server_id, std::string database, bson::View command)
    : client_(client), database_(std::move(database)), server_id_(server_id), session_(client.start_session()) {
  first_ = client_.run_on(server_id_, *session_, database_, command);
  auto cursor = first_["cursor"].document();
  if (!cursor) throw CommandError(Remedy::pause, 0, false, client_.label() + ": a reply without a cursor: " + bson::to_json(first_.view(), 200));
  id_ = cursor->integer("id").value_or(0);
  std::string ns(cursor->string("ns").value_or(""));
  collection_ = ns.substr(ns.find('.') + 1);
}

Cursor::~Cursor() {
  if (id_ == 0) return;
  try {
    client_.run_on(server_id_, *session_, database_,
                   bson::Builder().string("killCursors", collection_).open_array("cursors").int64("0", id_).close().finish());
  } catch (const Error& e) {
    log::debug("mongo", "a cursor was left to its time-out: {}", e.what());
  }
}

Cursor::Batch Cursor::take(bson::Document reply, const char* field) {
  auto cursor = reply["cursor"].document();
  id_ = cursor->integer("id").value_or(0);
  auto array = cursor->document(field).value_or(bson::View());
  return {std::move(reply), array};
}

std::optional<Cursor::Batch> Cursor::next(std::optional<std::chrono::milliseconds> wait, std::int64_t batch_size) {
  if (!first_given_) {
    first_given_ = true;
    return take(std::move(first_), "firstBatch");
  }
  if (id_ == 0) return {};
  bson::Builder b;
  b.int64("getMore", id_).string("collection", collection_);
  if (batch_size > 0) b.int64("batchSize", batch_size);
  if (wait) b.int64("maxTimeMS", wait->count());
  try {
    return take(client_.run_on(server_id_, *session_, database_, b.finish()), "nextBatch");
  } catch (const CommandError&) {
    id_ = 0;
    throw;
  }
}

std::vector<bson::Document> fetch_all(Client& client, const std::string& database, bson::View command) {
  Cursor cursor(client, database, command);
  std::vector<bson::Document> out;
  while (auto batch = cursor.next())
    for (const auto& e : batch->array) out.emplace_back(std::make_shared<bson::Document>(batch->reply), *e.document());
  return out;
}

}  // namespace mongotwin::mongo
