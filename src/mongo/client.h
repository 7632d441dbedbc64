// SPDX-License-Identifier: Apache-2.0
// Pool: connections to one cluster (or one replica set). Thread-safe; must outlive every Client it gave.
// Client: one borrowed connection set. Owned by one thread; returns to the pool by its destructor.
// Commands go out as raw BSON and come back as raw BSON: what a command can say is the server's reference, not
// a driver's. No retry happens here; errors are CommandError.
#pragma once

#include <chrono>
#include <memory>
#include <utility>
#include <vector>
#include <string>

#include "bson/document.h"
#include "mongo/errors.h"

typedef struct _mongoc_client_t mongoc_client_t;
typedef struct _mongoc_client_pool_t mongoc_client_pool_t;

namespace mongotwin::mongo {

// Which members answer; as in the connection string. Through a mongos it says which members of the shards.
enum class ReadPreference { primary, primary_preferred, secondary, secondary_preferred, nearest };

class Client;
struct SessionHandle;  // a driver session, client.cpp

// Call once, before the first Pool, and keep until after the last one.
class Driver {
 public:
  Driver();
  ~Driver();
  Driver(const Driver&) = delete;
  Driver& operator=(const Driver&) = delete;
};

class Pool {
 public:
  struct Limits {
    std::chrono::milliseconds server_selection{10'000};
    // No answer for that long means a cut network. DDL needs more: an index build may take hours.
    std::chrono::milliseconds socket{60'000};
  };
  // `label` names the cluster or shard in messages, e.g. "source" or "source shard rs0".
  // Throws Error(fix_config) on a URI that can't be used.
  Pool(std::string label, const std::string& uri);
  Pool(std::string label, const std::string& uri, Limits limits);
  ~Pool();
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  [[nodiscard]] Client acquire();
  [[nodiscard]] const std::string& label() const { return label_; }
  [[nodiscard]] const std::string& uri() const { return uri_; }  // with the password: never print it

 private:
  friend class Client;
  std::string label_;
  std::string uri_;
  mongoc_client_pool_t* pool_ = nullptr;
};

class Client {
 public:
  Client(Client&& other) noexcept : pool_(other.pool_), client_(std::exchange(other.client_, nullptr)) {}
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;
  Client& operator=(Client&&) = delete;

  // Runs on the primary (or on a mongos). ok:0 and write concern errors throw; writeErrors don't.
  bson::Document run(const std::string& database, bson::View command);
  // On one server and in one session, as the commands of a cursor must be: a server refuses a getMore from another
  // session than the cursor's (code 50738), and the driver's implicit ones change from command to command.
  bson::Document run_on(std::uint32_t server_id, SessionHandle& session, const std::string& database, bson::View command);
  [[nodiscard]] std::shared_ptr<SessionHandle> start_session();
  // As run(), with the cluster time moved forward to `cluster_time` (a $clusterTime document) beforehand.
  bson::Document run_at(bson::View cluster_time, const std::string& database, bson::View command);
  // The server to pin a cursor to, and its "host:port".
  [[nodiscard]] std::uint32_t select_server(ReadPreference preference = ReadPreference::primary);
  [[nodiscard]] std::string host_of(std::uint32_t server_id);
  // As the driver has measured it lately; 0 if it has not.
  [[nodiscard]] std::chrono::milliseconds round_trip(std::uint32_t server_id);
  // The commands run in one transaction with majority write concern; throws and aborts if one of them fails.
  // Write errors inside throw too, with the server's code.
  struct Statement {
    std::string database;
    bson::Document command;
  };
  void transaction(const std::vector<Statement>& statements);

  [[nodiscard]] const std::string& label() const { return pool_->label(); }

 private:
  friend class Pool;
  Client(Pool* pool, mongoc_client_t* client) : pool_(pool), client_(client) {}
  Pool* pool_;
  mongoc_client_t* client_;
};

}  // namespace mongotwin::mongo
