// SPDX-License-Identifier: Apache-2.0
// retrying: what a server refuses for passing trouble is tried again until it is done or a stop is requested; `report`
// is told the reason, and nothing when it is over.
#pragma once

#include <stop_token>

#include "base/backoff.h"
#include "base/worker.h"
#include "mongo/errors.h"

namespace mongotwin::copy {

template <class Report, class F>
void retrying(const Report& report, std::stop_token stop, F&& f) {
  Backoff backoff;
  bool waited = false;
  while (!stop.stop_requested()) {
    try {
      f();
      if (waited) report({});
      return;
    } catch (const mongo::CommandError& e) {
      if (e.remedy() != Remedy::retry) throw;
      report(e.what());
      waited = true;
      if (!sleep_for(stop, backoff.next())) return;
    }
  }
}

}  // namespace mongotwin::copy
