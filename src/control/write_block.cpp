// SPDX-License-Identifier: Apache-2.0
#include "control/write_block.h"

#include <fmt/format.h>

#include "base/log.h"
#include "control/hook.h"
#include "control/rights.h"

namespace mongotwin::control {
namespace {

constexpr std::chrono::seconds kHookMost{30};
constexpr int kBlocked = 2;  // serverStatus.repl.userWriteBlockMode: 0 unknown, 1 disabled, 2 enabled

}  // namespace

std::optional<WriteBlock::Obstacle> WriteBlock::obstacle() {
  if (by_hooks()) return {};
  if (cluster_.major() < 6 || std::atoi(cluster_.feature_version().c_str()) < 6)
    return Obstacle{fmt::format("{}: MongoDB {} (feature compatibility {}) can't be closed for writes by command", cluster_.label(), cluster_.version(), cluster_.feature_version()),
                    "give hooks that close and open it (`hooks` in the configuration)"};
  for (const auto* right : {"setUserWriteBlockMode", "bypassWriteBlockingMode"})
    if (!may(cluster_, "", right)) return Obstacle{fmt::format("{}: mongotwin's user lacks the right \"{}\" on the cluster", cluster_.label(), right), "grant it (docs/rights.md)"};
  return {};
}

std::optional<bool> WriteBlock::is_closed() {
  if (by_hooks()) return {};
  auto client = cluster_.shards().front().pool->acquire();
  auto reply = client.run("admin", bson::Builder().int32("serverStatus", 1).finish());
  auto mode = reply.view().fields("repl").integer("userWriteBlockMode");
  if (!mode || *mode == 0) return {};
  return *mode == kBlocked;
}

void WriteBlock::set(bool closed, std::chrono::milliseconds at_most, std::stop_token stop) {
  const auto* what = closed ? "close" : "open";
  if (by_hooks()) {
    log::info("control", "{}: running the hook {}", cluster_.label(), what);
    return run_hook(fmt::format("{}.{}", cluster_.label(), what), closed ? hooks_.close : hooks_.open,
                    {{"MONGOTWIN_LINK", link_}, {"MONGOTWIN_CLUSTER", cluster_.label()}, {"MONGOTWIN_URI", cluster_.redacted_uri()}}, kHookMost, stop);
  }
  // It takes no write concern, and waits for a majority by itself.
  auto command = bson::Builder();
  command.int32("setUserWriteBlockMode", 1).boolean("global", closed);
  if (at_most.count() > 0) command.int64("maxTimeMS", at_most.count());
  try {
    cluster_.router().acquire().run("admin", command.finish());
  } catch (const mongo::CommandError& e) {
    if (e.code() != mongo::code::kMaxTimeMsExpired) throw;
    throw Error(Remedy::retry, fmt::format("{}: it could not be closed for writes in {:.1f} s, since it waits for open transactions: {}", cluster_.label(), static_cast<double>(at_most.count()) / 1000, e.what()), "end them, or wait until they expire (60 s): db.currentOp({transaction: {$exists: true}})");
  }
  log::info("control", "{}: {} for the writes of users", cluster_.label(), closed ? "closed" : "open");
}

}  // namespace mongotwin::control
