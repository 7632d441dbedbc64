// SPDX-License-Identifier: Apache-2.0
// What main() hands to the command line: the conductor and the preflight.
#pragma once

#include <memory>

#include "cli/engine.h"

namespace mongotwin::control {

[[nodiscard]] std::unique_ptr<cli::Engine> make_engine(const options::Options& options, status::StatusBoard& board);
// Without a running process, and without a source: applies what the journal has and opens the target. What is to be told.
[[nodiscard]] std::vector<std::string> fail_over(const options::Options& options, bool force);
[[nodiscard]] std::vector<std::string> check(const options::Options& options);

[[nodiscard]] status::Verification verify_without_replication(const options::Options& options, const status::VerifyRequest& request, const std::function<void(const status::Verification&)>& progress);

}  // namespace mongotwin::control
