// SPDX-License-Identifier: Apache-2.0
#include "apply/index_build_watch.h"

#include "base/log.h"
#include "mongo/cursor.h"

namespace mongotwin::apply {
namespace {

constexpr std::chrono::milliseconds kLookEvery{1'000};
constexpr mongo::Pool::Limits kImpatient{std::chrono::milliseconds(2'000), std::chrono::milliseconds(5'000)};

// A mongos asks the primaries of all shards.
bson::Document current_builds() {
  bson::Builder b;
  b.int32("aggregate", 1).open_array("pipeline");
  b.open_document("0").open_document("$currentOp").boolean("allUsers", true).boolean("idleConnections", false).close().close();
  b.open_document("1").open_document("$match").open_document("progress").boolean("$exists", true).close().open_document("msg").string("$regex", "^Index Build").close().close().close();
  b.open_document("2").open_document("$project").int32("ns", 1).int32("msg", 1).int32("progress", 1).int32("command.indexes.name", 1).close().close();
  return b.close().open_document("cursor").close().finish();
}

}  // namespace

IndexBuildWatch::IndexBuildWatch(mongo::Cluster& target, IndexBuilds& builds)
    : builds_(builds),
      pool_(target.label(), target.router().uri(), kImpatient),
      worker_("index.watch", builds.begun(), kLookEvery, [this](std::stop_token) { return step(); },
              [](std::exception_ptr error) {
                try {
                  std::rethrow_exception(error);
                } catch (const std::exception& e) {
                  log::warn("apply", "how far index builds are is no longer looked at: {}", e.what());
                }
              }) {}

Step IndexBuildWatch::step() {
  if (builds_.now().empty()) return Step::idle;
  try {
    auto client = pool_.acquire();
    builds_.take(mongo::fetch_all(client, "admin", current_builds()));
    silent_ = false;
  } catch (const mongo::CommandError& e) {
    builds_.take({});
    if (e.code() == mongo::code::kUnauthorized) {
      log::info("apply", "target: how far index builds are can't be seen, only that they run: the user lacks the right \"inprog\" on the cluster (role clusterMonitor, docs/rights.md)");
      return Step::done;
    }
    if (!std::exchange(silent_, true)) log::info("apply", "how far index builds are is not known for now: {}", e.what());
  }
  return Step::idle;
}

}  // namespace mongotwin::apply
