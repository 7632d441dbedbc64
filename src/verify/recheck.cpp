// SPDX-License-Identifier: Apache-2.0
// What happens to a document that differed: looked at again, reported, repaired.
#include <fmt/format.h>

#include <algorithm>
#include <future>

#include "apply/lane_applier.h"
#include "apply/mongo_writer.h"
#include "base/log.h"
#include "oplog/delta.h"
#include "plan/doc_key.h"
#include "verify/fields.h"
#include "verify/run.h"
#include "verify/wall.h"

namespace mongotwin::verify {
namespace {

// A difference at a clean cut is one; it must be there at two of them all the same. At another cut a transaction over
// shards may be half seen, and a source without snapshots is read a moment too late: that does not happen to one
// document time after time.
constexpr int kScoreThatCounts = 60, kAtCleanCut = 30, kAtOtherCut = 6, kWithoutSnapshots = 2;
constexpr std::chrono::milliseconds kApart{100};
constexpr std::size_t kRecheckedAtOnce = 100, kRecheckBytes = 8u << 20, kRepairedAtOnce = 20, kLoggedMax = 100, kIdCharacters = 300;

// More than one only on different shards.
std::vector<const bson::Document*> with_id(const std::vector<bson::Document>& documents, const bson::Document& id) {
  auto hash = plan::hash_id(id["_id"], 0);
  std::vector<const bson::Document*> out;
  for (const auto& d : documents)
    if (plan::hash_id(d["_id"], 0) == hash) out.push_back(&d);
  return out;
}

// By what their shards can be told.
std::string keys_of(const std::vector<std::string>& shard_key, const std::vector<const bson::Document*>& documents) {
  std::string out;
  if (documents.size() < 2 || shard_key.empty()) return out;
  for (const auto* d : documents) {
    bson::Builder key;
    for (const auto& path : shard_key)
      if (auto field = d->view().at_path(path)) key.value(path, field);
    out += (out.empty() ? ", with the shard keys " : " and ") + bson::to_json(key.finish(), kIdCharacters);
  }
  return out;
}

std::vector<bson::Document> ids_of(const std::vector<Suspect*>& some) {
  std::vector<bson::Document> ids;
  for (const auto* one : some) ids.push_back(one->id);
  return ids;
}

bool same_place(const std::vector<std::string>& shard_key, bson::View a, bson::View b) {
  if (!a["_id"].same_value(b["_id"])) return false;
  return std::all_of(shard_key.begin(), shard_key.end(), [&](const auto& path) { return a.at_path(path).same_value(b.at_path(path)); });
}

}  // namespace

void Run::settle(std::size_t at_most) {
  while (!stopped() && (record_.suspects.size() > at_most || suspect_bytes_ > kSuspectBytesMax)) {
    recheck();
    save();
  }
}

void Run::recheck() {
  if (record_.suspects.empty() || !sleep_for(stop_, kApart) || !renew()) return;
  std::map<std::string, std::vector<Suspect*>> by_ns;
  for (auto& one : record_.suspects) by_ns[one.ns].push_back(&one);
  for (auto& [ns, some] : by_ns) {
    const auto* collection = find(ns);
    if (collection == nullptr) {  // gone since an earlier process saw it
      for (auto* one : some) one->score = -1;
      continue;
    }
    auto average = collection->documents ? std::max<std::uint64_t>(collection->bytes / collection->documents, 1) : 1024;
    auto at_once = std::clamp<std::size_t>(kRecheckBytes / average, 1, kRecheckedAtOnce);
    for (std::size_t n = 0; n < some.size() && !stopped(); n += at_once)
      recheck(*collection, {some.begin() + static_cast<long>(n), some.begin() + static_cast<long>(std::min(some.size(), n + at_once))});
  }
  rechecked_ = Steady::now();
  std::erase_if(record_.suspects, [](const auto& one) { return one.score < 0; });
  suspect_bytes_ = 0;
  for (const auto& one : record_.suspects) suspect_bytes_ += one.id.size();
  if (record_.suspects.empty()) suspect_ids_.clear();
  repair();
  show();
}

void Run::recheck(const Collection& collection, std::vector<Suspect*> some) {
  std::vector<bson::Document> ours, theirs;
  auto ids = ids_of(some);
  auto look = [&] {
    auto source = std::async(std::launch::async, [&] { return source_.fetch(collection.source, ids); });
    theirs = target_.fetch(collection.target, ids);
    ours = source.get();
  };
  bool looked = retrying([&] {
    if (snapshots_) look();
    else (void)replication_.at_cut([&](const Cut&) { look(); }, stop_);
  });
  if (!looked) return;
  for (auto* one : some) {
    auto source = with_id(ours, one->id), target = with_id(theirs, one->id);
    bool same = source.size() == target.size() && (source.empty() || (source.size() == 1 && *source.front() == *target.front()));
    if (same) {
      one->score = -1;
      continue;
    }
    one->score += !snapshots_ ? kWithoutSnapshots : pair_.cut.clean ? kAtCleanCut : kAtOtherCut;
    if (one->score < kScoreThatCounts) continue;
    confirm(collection, *one, source, target);
    one->score = -1;
  }
}

void Run::confirm(const Collection& collection, const Suspect& suspect, const Found& source, const Found& target) {
  status::Difference d;
  d.ns = collection.ns;
  d.id = bson::to_json(suspect.id["_id"], kIdCharacters);
  d.first_seen_ms = suspect.first_seen_ms;
  d.last_seen_ms = wall_ms();
  bool several = source.size() > 1 || target.size() > 1;
  d.kind = several ? "several" : target.empty() ? "missing" : source.empty() ? "extra" : "fields";
  d.what = several ? fmt::format("{} documents of this _id on the source, {} on the target{}", source.size(), target.size(), keys_of(pairing_.layout.shard_key(pairing_.filter.target(collection.ns)), target))
           : target.empty() ? "is missing on the target" : source.empty() ? "is only on the target" : describe_difference(*source.front(), *target.front());
  d.way_out = source.size() > 1 ? "an _id must be one document's: delete what is too many on the source, then verify again" : "mongotwin verify --repair writes the source's document over it";
  bool listed = shown_.listed.size() < status::kListedMax;
  report(std::move(d));
  if (shown_.request.repair && source.size() < 2) to_repair_.push_back({collection.ns, suspect.id, listed ? shown_.listed.size() - 1 : SIZE_MAX});
}

void Run::report(status::Difference d) {
  if (++shown_.differences <= kLoggedMax)
    log::warn("verify", "{}{}{}: {}{}", d.ns, d.id.empty() ? "" : " _id ", d.id, d.what, shown_.differences == kLoggedMax ? "; further ones are in the result only" : "");
  if (shown_.listed.size() < status::kListedMax) shown_.listed.push_back(std::move(d));
}

void Run::repair() {
  Backoff backoff;
  while (!to_repair_.empty() && !stopped()) {
    auto some = std::min(to_repair_.size(), kRepairedAtOnce);
    try {
      bool there = replication_.at_cut([&](const Cut& cut) {
        source_.read_at(cut.source);
        target_.read_at({});
        for (std::size_t n = 0; n < some; ++n)
          if (const auto* collection = find(to_repair_[n].ns)) repair_one(*collection, to_repair_[n].id, to_repair_[n].listed);
      }, stop_);
      if (!there) break;
      to_repair_.erase(to_repair_.begin(), to_repair_.begin() + static_cast<long>(some));
    } catch (const Error& e) {
      if (e.remedy() != Remedy::retry) throw;
      wait_for(e.what());
      if (!sleep_for(stop_, backoff.next())) break;
    }
  }
  source_.read_at(pair_.source);
  target_.read_at(pair_.target);
}

// At a cut: what the source had then is what the operations to come are about.
void Run::repair_one(const Collection& collection, const bson::Document& id, std::size_t listed) {
  auto ours = source_.fetch(collection.source, {id}), theirs = target_.fetch(collection.target, {id});
  auto ns = pairing_.filter.target(collection.ns);
  auto key = pairing_.layout.shard_key(ns);
  apply::MongoWriter writer(pairing_.target.router(), pairing_.layout);
  auto literal = [](const bson::Document& d) { return bson::Builder().open_document("0").open_document("$replaceWith").document("$literal", d).close().close().finish(); };
  apply::WriteResult result;
  if (ours.size() == 1 && theirs.size() == 1 && same_place(key, ours[0], theirs[0])) {
    apply::UpdateStatement put;
    put.query = apply::key_query(key, theirs[0]);
    put.update = literal(ours[0]);
    put.pipeline = true;
    result = writer.update(ns, {put}, true);
  } else {
    std::vector<bson::Document> queries;
    for (const auto& d : theirs) queries.push_back(apply::key_query(key, d));
    if (!queries.empty()) result = writer.remove(ns, queries, true);
    for (const auto& d : ours) {
      if (!result.errors.empty()) break;
      if (oplog::insert_needs_literal(d)) {
        apply::UpdateStatement put;
        put.query = apply::key_query(key, d);
        put.update = literal(d);
        put.pipeline = put.upsert = true;
        result = writer.update(ns, {put}, true);
      } else {
        result = writer.insert(ns, {d.view()}, true);
      }
    }
  }
  auto name = bson::to_json(id["_id"], kIdCharacters);
  if (!result.errors.empty()) {
    log::warn("verify", "target: {} _id {} could not be repaired: {}", ns, name, result.errors.front().message);
    if (listed < shown_.listed.size()) shown_.listed[listed].way_out = "it could not be repaired: " + result.errors.front().message;
    return;
  }
  ++shown_.repaired;
  if (listed < shown_.listed.size()) {
    shown_.listed[listed].repaired = true;
    shown_.listed[listed].way_out.clear();
  }
  log::warn("verify", "target: {} _id {} repaired: {}", ns, name, ours.empty() ? "removed" : "it is the source's document now");
}

}  // namespace mongotwin::verify
