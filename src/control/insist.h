// SPDX-License-Identifier: Apache-2.0
// insist: tries again, for as long as it takes, on trouble that passes. Thread-safe.
#pragma once

#include <fmt/format.h>

#include <stop_token>

#include "base/backoff.h"
#include "base/error.h"
#include "base/log.h"
#include "base/worker.h"

namespace mongotwin::control {

// `what` is the change of roles that f is a part of. Throws what f throws otherwise, and Error(pause) on a stop request.
template <class F>
void insist(const char* what, std::stop_token stop, F&& f) {
  Backoff backoff;
  for (;;) {
    try {
      return f();
    } catch (const Error& e) {
      if (e.remedy() != Remedy::retry) throw;
      log::warn("control", "{}: trying again: {}", what, e.what());
    }
    if (!sleep_for(stop, backoff.next())) throw Error(Remedy::pause, fmt::format("mongotwin was stopped in the middle of the {}", what), "ask for it again");
  }
}

}  // namespace mongotwin::control
