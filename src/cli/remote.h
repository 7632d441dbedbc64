// SPDX-License-Identifier: Apache-2.0
// The commands that talk to a running mongotwin through its API. They print to standard output; failures leave as
// Errors.
#pragma once

#include <string>

#include "cli/engine.h"
#include "options/options.h"

namespace mongotwin::cli {

// Where it runs: "host:port", or the configuration that says so; neither: the default address.
struct Where {
  std::string api, config;
};

void show_status(const Where& where, bool json);
void throttle(const Where& where, const options::ThrottleTexts& texts);
void send_command(const Where& where, const std::string& name);  // "pause" or "resume"
// Waits until the state is finished, showing how far it is, and prints what a last look at both clusters says; without
// `wait` only until it is accepted.
void finish(const Where& where, bool wait);
// Prints what it demands; without `dry_run` waits until the roles have changed and the other direction is replicating.
void switch_over(const Where& where, bool dry_run);
// Waits for the end and prints what is lost. False if no mongotwin runs there.
[[nodiscard]] bool fail_over(const Where& where, bool force);
void rejoin(const Where& where, bool may_copy);

struct VerifyWish {
  std::string mode;  // empty: as the configuration says
  bool repair = false, wait = true, cancel = false, json = false;
  bool whole = false;  // one under way that looks at some namespaces only will not do
  std::vector<std::string> namespaces;
};
// Asks for a verification, or follows the one under way, and shows its result. Where nothing runs and a configuration is
// given, `alone` makes it. True if nothing differs.
[[nodiscard]] bool verify(const Where& where, const VerifyWish& wish, const VerifyFunction& alone);

}  // namespace mongotwin::cli
