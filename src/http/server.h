// SPDX-License-Identifier: Apache-2.0
// Server: the HTTP API of one replication.
//   GET  /api/v1/status                  the newest snapshot as JSON
//   GET  /healthz                        200, or 503 in state failed
//   POST /api/v1/switchover {"dry_run":true}   200 {"ok":true,"state":…,"conditions":[{kind,what,hint}]}; 409 with the same list
//   POST /api/v1/failover {"force":true}, /api/v1/rejoin {"copy":true}   as pause; the status tells how it goes on
//   POST /api/v1/pause, resume, finish   200 {"ok":true,"state":…}; 409 {"error":{what,hint}} if refused
//   POST /api/v1/throttle                the same
//   POST /api/v1/verify, verify/cancel   the same
//   GET  /api/v1/verify                  the verification under way, or the last one, with its list; 404 before the first
// Errors are JSON too. It binds exactly the address it was given and knows no authentication: guard.h says what it
// refuses for the sake of browsers. The board and the commands must outlive it. start() and stop() by one thread;
// requests are served by threads of its own, named http.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "status/commands.h"
#include "status/status.h"

namespace mongotwin::http {

struct Address {
  std::string host = "127.0.0.1";
  int port = 8470;                 // 0: any free one
  std::vector<std::string> names;  // further host names under which it answers
};

// "127.0.0.1:8470", "[::1]:8470".
[[nodiscard]] std::string to_string(const std::string& host, int port);

class Server {
 public:
  Server(const status::StatusBoard& board, status::Commands& commands, Address address);
  ~Server();  // stops
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // From its return on, requests are answered. Throws Error(fix_config) if the address can't be used. Once only.
  void start();
  void stop();
  [[nodiscard]] int port() const;  // the bound one; 0 before start()

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace mongotwin::http
