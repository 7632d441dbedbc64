// SPDX-License-Identifier: Apache-2.0
// What is compared as a whole and not by ranges of _id: definitions, capped collections, users.
#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <unordered_map>

#include "base/log.h"
#include "copy/user_copy.h"
#include "source/mongo_oplog.h"
#include "verify/run.h"
#include "verify/wall.h"

namespace mongotwin::verify {
namespace {

constexpr int kDefinitionRounds = 10, kCappedTries = 8, kUserTries = 4;
constexpr std::chrono::milliseconds kDefinitionsApart{200}, kCappedApart{250}, kUsersApart{1500};

}  // namespace

// The listings are of no one moment, and DDL may be under way: what differs is looked at again while nothing is applied.
void Run::compare_definitions() {
  auto first_seen = wall_ms();
  auto on_target = [this](const std::string& ns) {
    const auto& only = shown_.request.namespaces;
    return pairing_.filter.includes_target(ns) && (only.empty() || oplog::NamespaceFilter(only, {}).includes(ns));
  };
  std::vector<Finding> found;
  if (!retrying([&] {
        auto ours = list_definitions(pairing_.source, [this](const auto& ns) { return wanted(ns); });
        std::set<std::string> targets;
        for (const auto& [ns, _] : ours) targets.insert(pairing_.filter.target(ns));
        auto theirs = list_definitions(pairing_.target, [&](const auto& ns) { return targets.contains(ns) || on_target(ns); });
        found = compare(ours, theirs, expected());
      }))
    return;
  for (const auto& f : found)
    if (f.note && shown_.notes.size() < status::kListedMax) shown_.notes.push_back(f.ns + ": " + f.what);
  std::erase_if(found, [](const auto& f) { return f.note; });
  for (int round = 0; round < kDefinitionRounds && !found.empty() && sleep_for(stop_, kDefinitionsApart); ++round) {
    std::set<std::string> names, targets;
    for (const auto& f : found) {
      names.insert(f.ns);
      targets.insert({f.ns, pairing_.filter.target(f.ns)});
    }
    std::vector<Finding> again;
    bool there = retrying([&] {
      again.clear();
      if (!replication_.at_cut([&](const Cut&) {
            auto ours = list_definitions(pairing_.source, [&](const auto& ns) { return names.contains(ns) && wanted(ns); });
            auto theirs = list_definitions(pairing_.target, [&](const auto& ns) { return targets.contains(ns) && pairing_.filter.includes_target(ns); });
            again = compare(ours, theirs, expected());
          }, stop_))
        return;
    });
    if (!there) return;
    std::erase_if(found, [&](const auto& f) { return std::none_of(again.begin(), again.end(), [&](const auto& a) { return !a.note && a == f; }); });
  }
  if (stopped()) return;
  for (const auto& f : found) report({f.ns, {}, "definition", f.what, f.way_out, first_seen, wall_ms()});
}

void Run::compare_capped(const Collection& collection) {
  auto first_seen = wall_ms();
  std::string text;
  for (int n = 0; n < kCappedTries; ++n) {
    if (!retrying([&] { text = capped_difference(collection); })) return;
    if (text.empty()) return;
    if (!sleep_for(stop_, kCappedApart)) return;
  }
  report({collection.ns, {}, "order", text, "stop mongotwin and copy it again", first_seen, wall_ms()});
}

// The router's time is ahead of what idle shards have written, by up to the 20 s between two notes of their own.
void Run::move_clocks() {
  auto router = pairing_.source.router().acquire();
  for (auto& shard : pairing_.source.shards()) {
    auto idle = shard.pool->acquire();
    source::nudge(router, idle);
  }
}

// A server has no snapshot reads of capped collections. The target is read first, and the source, which has gone on since,
// must begin with a document of it and hold the same ones in the same order from there on.
std::string Run::capped_difference(const Collection& collection) {
  auto newest = source_.newest(collection.source);
  auto seen = source_.now();
  if (pairing_.source.sharded()) move_clocks();
  do {
    if (!renew()) return {};
  } while (pair_.cut.source < seen && pairing_.source.sharded() && sleep_for(stop_, kCappedApart));
  auto theirs = target_.list_in_order(collection.target), ours = source_.list_in_order(collection.source);
  auto same = [](const Listed& a, const Listed& b) { return a.hash == b.hash && a.more == b.more; };
  auto name = [](const Listed& one) { return bson::to_json(one.id["_id"], 300); };
  if (ours.empty()) {
    account(collection, 0, 0);
    return theirs.empty() ? "" : fmt::format("{} documents on the target, none on the source", theirs.size());
  }
  auto start = std::find_if(theirs.begin(), theirs.end(), [&](const auto& one) { return same(one, ours.front()); });
  if (start == theirs.end()) {
    bool none_left = newest && std::none_of(ours.begin(), ours.end(), [&](const auto& one) { return one.id == bson::Document(bson::Builder().value("_id", (*newest)["_id"]).finish()); });
    if (none_left) return {};  // all that the target had when it was read is evicted on the source by now
    return fmt::format("the document _id {}, the oldest on the source, is not on the target as it is there", name(ours.front()));
  }
  auto there = static_cast<std::size_t>(theirs.end() - start);
  std::uint64_t bytes = 0;
  for (std::size_t n = 0; n < std::min(ours.size(), there); ++n) {
    if (!same(ours[n], start[static_cast<long>(n)])) return fmt::format("the document _id {} stands where the target has _id {}, or has other bytes there", name(ours[n]), name(start[static_cast<long>(n)]));
    bytes += ours[n].bytes;
  }
  if (there > ours.size()) return fmt::format("the document _id {} is only on the target", name(start[static_cast<long>(ours.size())]));
  for (std::size_t n = there; newest && n < ours.size(); ++n)
    if (ours[n].id["_id"].same_value((*newest)["_id"])) return fmt::format("the document _id {} is missing at the end on the target", name(ours[there]));
  account(collection, std::min(ours.size(), there), bytes);
  return {};
}

void Run::compare_users() {
  auto first_seen = wall_ms();
  std::vector<std::string> found;
  for (int n = 0; n < kUserTries; ++n) {
    if (!retrying([&] { found = copy::UserCopy(pairing_.source.router(), pairing_.target.router(), *pairing_.users_except).unlike(); })) return;
    if (found.empty()) return;
    if (!sleep_for(stop_, kUsersApart)) return;
  }
  for (const auto& text : found) report({"admin", {}, "user", text, "see whether mongotwin reports trouble with users; drop it on the target, and it is copied anew", first_seen, wall_ms()});
}

}  // namespace mongotwin::verify
