// SPDX-License-Identifier: Apache-2.0
// `mongotwin run`: the engine with its edges around it.
#pragma once

#include <optional>
#include <string>

#include "cli/engine.h"

namespace mongotwin::cli {

struct RunRequest {
  std::string config;
  std::optional<log::Level> log_level;  // instead of the configuration's
  bool progress = true;                 // false: plain log lines even on a terminal
};

// Returns after a stop; every failure leaves as an exception.
void run(const RunRequest& request, const EngineFactory& make_engine);

}  // namespace mongotwin::cli
