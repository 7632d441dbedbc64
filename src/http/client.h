// SPDX-License-Identifier: Apache-2.0
// Client: asks a running mongotwin through its API. Each call is one request; Error(retry) says that nobody answers,
// Error(pause) carries the words of a refused command. Owned by one thread.
#pragma once

#include <memory>
#include <string>

#include "status/status.h"

namespace mongotwin::http {

class Client {
 public:
  Client(std::string host, int port);
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  [[nodiscard]] std::string status_json();
  [[nodiscard]] status::Status status();
  [[nodiscard]] std::string verification_json();
  // "pause", "resume", "finish", "throttle", "verify" or "verify/cancel"; returns the state afterwards.
  std::string command(const std::string& name, const std::string& body = "{}");
  // What a switch-over demands; if nothing is refused and it is no dry run, it has been asked for.
  [[nodiscard]] std::vector<status::Condition> switch_over(bool dry_run);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace mongotwin::http
