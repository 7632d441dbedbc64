// SPDX-License-Identifier: Apache-2.0
// A verification without a replication: by whoever looks at a link that is stopped or finished.
#include "control/engine.h"
#include "control/preflight.h"
#include "control/roles.h"
#include "verify/run.h"
#include "verify/wall.h"

namespace mongotwin::control {
namespace {

class Standstill final : public verify::Replication {
 public:
  explicit Standstill(mongo::Cluster& source) : side_(source) {}
  bool at_cut(const std::function<void(const verify::Cut&)>& work, std::stop_token stop) override {
    if (stop.stop_requested()) return false;
    work({side_.now(), true});
    return true;
  }
  [[nodiscard]] bool is_running() const override { return false; }

 private:
  verify::Side side_;
};

}  // namespace

status::Verification verify_without_replication(const options::Options& options, const status::VerifyRequest& request, const std::function<void(const status::Verification&)>& progress) {
  mongo::Driver driver;
  auto pair = meet(find_roles(options));
  if (pair.checkpoint && pair.checkpoint->phase == checkpoint::Phase::copying) throw Error(Remedy::pause, "the copy has not ended: there is nothing yet to compare the source with", "start mongotwin run, and verify when it is replicating");
  // Without a replication nobody knows which of the two is to be believed.
  if (request.repair)
    throw Error(Remedy::pause, "a repair must be in order with the replication, which is not running", "start mongotwin run, and repair when it is replicating");
  apply::Holds holds;
  if (pair.checkpoint && pair.checkpoint->phase != checkpoint::Phase::finished) holds.load(pair.checkpoint->held);
  apply::TargetLayout layout(pair.target->router(), pair.target->sharded());
  layout.refresh();
  std::optional<std::vector<std::string>> users;
  if (options.copy_users) users = options.copy_users->exclude;
  verify::Pairing pairing{*pair.source, *pair.target, pair.filter, holds, pair.sharding, layout, pair.checkpoint ? pair.checkpoint->emptied : std::vector<std::string>(), std::move(users)};
  Standstill standstill(*pair.source);
  SystemClock clock;
  Throttle throttle(clock);
  throttle.set(options.verify.bytes_per_second);
  verify::Record record;
  record.shown.request = request;
  record.shown.started_ms = verify::wall_ms();
  std::stop_source stop;
  return verify::Run(pairing, standstill, throttle, std::move(record), progress, [](const auto&) {}, stop.get_token()).go().shown;
}

}  // namespace mongotwin::control
