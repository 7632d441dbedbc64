// SPDX-License-Identifier: Apache-2.0
// Engine: what the command line starts: the replication itself, as the conductor implements it. The edges around it
// (signals, HTTP API, progress, error line and exit status) belong to cli.
#pragma once

#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "options/options.h"
#include "status/commands.h"
#include "status/status.h"

namespace mongotwin::cli {

class Engine : public status::Commands {
 public:
  // Replicates until a stop is requested; then it returns when everything is down. A failure that this process can't
  // mend leaves as an Error: it is printed and the exit status is 1. An engine that wants its failed state to be seen
  // through the API waits for the stop before it throws. Commands may come from other threads all the while.
  virtual void run(std::stop_token stop) = 0;
};

// Must not touch a cluster yet: the API's address is taken first. The board outlives the engine.
using EngineFactory = std::function<std::unique_ptr<Engine>(const options::Options&, status::StatusBoard&)>;

// The preflight alone: the lines to print if all is well, else an Error. Changes nothing on either cluster.
using CheckFunction = std::function<std::vector<std::string>(const options::Options&)>;

// The failover where no process runs: applies what was read, opens the target. The lines to print.
using FailoverFunction = std::function<std::vector<std::string>(const options::Options&, bool force)>;

// A verification without a replication: both clusters as they are. Throws an Error if it can't be done.
using VerifyFunction = std::function<status::Verification(const options::Options&, const status::VerifyRequest&, const std::function<void(const status::Verification&)>& progress)>;

}  // namespace mongotwin::cli
