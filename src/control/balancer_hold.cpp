// SPDX-License-Identifier: Apache-2.0
#include "control/balancer_hold.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

namespace mongotwin::control {
namespace {

constexpr int kLookMs = 1000;  // how long the server is asked to wait at a time

bool is_on(mongo::Client& client) {
  // "autoSplitOnly", which old servers know, moves nothing.
  return client.run("admin", bson::Builder().int32("balancerStatus", 1).finish()).view().string("mode") == "full";
}

}  // namespace

BalancerHold::BalancerHold(mongo::Cluster& source, mongo::Cluster& target, checkpoint::CheckpointStore& store, WaitBoard& waits, std::function<void(std::string)> warn, bson::View saved)
    : store_(store), waits_(waits), warn_(std::move(warn)) {
  for (auto* cluster : {&source, &target}) {
    clusters_.push_back(cluster);
    auto of_cluster = saved.fields(cluster->label());
    if (of_cluster.string("mode") == "full") on_[cluster->label()] = of_cluster["stopped"].truthy() ? Stage::stopped : Stage::found;
  }
}

void BalancerHold::hold(std::stop_token stop) {
  for (auto* cluster : clusters_)
    if (cluster->sharded() && cluster->shards().size() > 1 && !stop.stop_requested()) hold(*cluster, stop);
}

void BalancerHold::hold(mongo::Cluster& cluster, std::stop_token stop) {
  const auto& label = cluster.label();
  auto set = [&](std::optional<Stage> stage) {
    {
      Lock lock(m_);
      if (stage) on_[label] = *stage;
      else on_.erase(label);
    }
    save();
  };
  auto known = [&]() -> std::optional<Stage> {
    Lock lock(m_);
    auto it = on_.find(label);
    return it == on_.end() ? std::nullopt : std::optional(it->second);
  }();
  bool asked = known.has_value();  // perhaps by the run that died
  try {
    auto client = cluster.router().acquire();
    bool on = is_on(client);
    if (known == Stage::stopped) {
      if (!on) return;
      log::info("control", "{}: its balancer was turned on again while it was held: it is left on", label);
      return set({});
    }
    if (!on && !known) {
      log::info("control", "{}: its balancer is off, and stays so", label);
      return;
    }
    if (!known) set(Stage::found);
    stop_and_wait(cluster, stop, asked);
    if (!stop.stop_requested()) set(Stage::stopped);
  } catch (const mongo::CommandError& e) {
    if (e.remedy() == Remedy::retry) throw;
    if (!asked) set({});  // else release() looks whether it is off
    warn_(fmt::format("{}: the balancer can't be held during the copy, which is right all the same, only slower: {}{}", label, e.what(),
                      e.code() == mongo::code::kUnauthorized ? " (the role backup or clusterManager allows it)" : ""));
  }
}

void BalancerHold::stop_and_wait(mongo::Cluster& cluster, std::stop_token stop, bool& asked) {
  auto client = cluster.router().acquire();
  while (!stop.stop_requested()) {
    try {
      client.run("admin", bson::Builder().int32("balancerStop", 1).int32("maxTimeMS", kLookMs).finish());
      asked = true;
      waits_.report("balancer", {});
      log::info("control", "{}: its balancer is held until the documents are copied", cluster.label());
      return;
    } catch (const mongo::CommandError& e) {
      if (e.code() != mongo::code::kMaxTimeMsExpired) throw;
      asked = true;
      waits_.report("balancer", fmt::format("{}: the balancer is stopped for the copy, and a move of chunks that is under way has yet to end", cluster.label()));
    }
  }
  waits_.report("balancer", {});
}

void BalancerHold::release() {
  Lock one_at_a_time(releasing_);
  auto labels = held();
  try {
    if (!labels.empty()) save();
  } catch (const Error& e) {
    if (e.remedy() != Remedy::retry) throw;  // another process works on the pair: it is the one that needs them off
  }
  for (auto* cluster : clusters_) {
    if (std::find(labels.begin(), labels.end(), cluster->label()) == labels.end()) continue;
    try {
      auto client = cluster->router().acquire();
      if (!is_on(client)) {
        client.run("admin", bson::Builder().int32("balancerStart", 1).finish());
        log::info("control", "{}: its balancer is on again, as it was found", cluster->label());
      }
    } catch (const mongo::CommandError& e) {
      if (e.remedy() == Remedy::retry) throw;
      warn_(fmt::format("{}: its balancer, which was held during the copy, could not be turned on again: do that by sh.startBalancer(): {}", cluster->label(), e.what()));
    }
    {
      Lock lock(m_);
      on_.erase(cluster->label());
    }
    save();
  }
}

std::vector<std::string> BalancerHold::held() const {
  std::vector<std::string> out;
  Lock lock(m_);
  for (const auto& [label, stage] : on_) out.push_back(label);
  return out;
}

void BalancerHold::save() {
  bson::Builder b;
  b.open_document("balancers");
  {
    Lock lock(m_);
    for (const auto& [label, stage] : on_) b.open_document(label).string("mode", "full").boolean("stopped", stage == Stage::stopped).close();
  }
  b.close();
  store_.save(b.finish());
}

}  // namespace mongotwin::control
