// SPDX-License-Identifier: Apache-2.0
// verify::verify_quickly of two clusters at rest, for tests/e2e/verify: quick_verify SOURCE TARGET MILLISECONDS prints the
// result as JSON. Owned by one thread.
#include <cstdio>
#include <cstdlib>

#include "verify/run.h"

using namespace mongotwin;

namespace {

class AtRest final : public verify::Replication {
 public:
  explicit AtRest(mongo::Cluster& source) : source_(source) {}
  bool at_cut(const std::function<void(const verify::Cut&)>& work, std::stop_token) override {
    work({source_.now(), true});
    return true;
  }
  [[nodiscard]] bool is_running() const override { return false; }

 private:
  verify::Side source_;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  mongo::Driver driver;
  auto source = mongo::Cluster::connect("source", argv[1], {}), target = mongo::Cluster::connect("target", argv[2], {});
  oplog::NamespaceFilter filter;
  apply::Holds holds;
  apply::ShardingRules sharding;
  apply::TargetLayout layout(target->router(), target->sharded());
  layout.refresh();
  AtRest at_rest(*source);
  verify::Pairing pairing{*source, *target, filter, holds, sharding, layout, {}, {}};
  auto found = verify::verify_quickly(pairing, at_rest, std::chrono::milliseconds(std::atoi(argv[3])), {});
  std::printf("%s\n", status::to_json(found, status::Lists::with).c_str());
  return 0;
}
