// SPDX-License-Identifier: Apache-2.0
// Cursor: a find or aggregate read batch by batch. Documents of a batch share the server's reply: nothing is copied.
// Owned by one thread; the Client must outlive it. Throws CommandError; after that the cursor is dead.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "mongo/client.h"

namespace mongotwin::mongo {

class Cursor {
 public:
  // `command`: find, aggregate, listCollections, … as the server takes it, read concern and all.
  Cursor(Client& client, std::string database, bson::View command) : Cursor(client, client.select_server(), std::move(database), command) {}
  Cursor(Client& client, std::uint32_t server_id, std::string database, bson::View command);
  ~Cursor();
  Cursor(const Cursor&) = delete;
  Cursor& operator=(const Cursor&) = delete;

  struct Batch {
    bson::Document reply;  // keeps the documents' bytes alive
    bson::View array;      // nextBatch or firstBatch as a BSON array: "0", "1", …
    [[nodiscard]] bool empty() const { return array.empty(); }
  };
  // The next batch; nullopt at the end. A tailable cursor gives empty batches while there is nothing new.
  // `wait`: for tailable cursors with awaitData, how long the server may wait.
  [[nodiscard]] std::optional<Batch> next(std::optional<std::chrono::milliseconds> wait = {}, std::int64_t batch_size = 0);

  [[nodiscard]] bool at_end() const { return id_ == 0; }  // what was given was the last

 private:
  Batch take(bson::Document reply, const char* field);
  Client& client_;
  std::string database_, collection_;
  std::uint32_t server_id_;
  std::shared_ptr<SessionHandle> session_;
  std::int64_t id_ = 0;
  bool first_given_ = false;
  bson::Document first_;
};

// Everything at once, for small results such as catalogs.
[[nodiscard]] std::vector<bson::Document> fetch_all(Client& client, const std::string& database, bson::View command);

}  // namespace mongotwin::mongo
