// SPDX-License-Identifier: Apache-2.0
// Hook: a command of the operator's, run by /bin/sh, where a server has no command for what is needed.
#pragma once

#include <chrono>
#include <map>
#include <stop_token>
#include <string>

namespace mongotwin::control {

// Returns when it has ended with status 0. Its output goes where mongotwin's own goes; `environment` is added to that of
// mongotwin. Throws Error(pause) naming `what` when it fails, takes longer than `at_most` (then it is killed) or on a stop
// request.
void run_hook(const std::string& what, const std::string& command, const std::map<std::string, std::string>& environment, std::chrono::milliseconds at_most, std::stop_token stop);

}  // namespace mongotwin::control
