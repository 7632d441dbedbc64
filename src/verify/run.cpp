// SPDX-License-Identifier: Apache-2.0
#include "verify/run.h"

#include <fmt/format.h>

#include <algorithm>
#include <future>
#include <unordered_map>

#include "base/log.h"
#include "plan/doc_key.h"
#include "verify/wall.h"

namespace mongotwin::verify {
namespace {

namespace code = mongo::code;
using status::Verdict;

constexpr std::uint64_t kRangeDocuments = 10'000, kSampledDocuments = 1'000, kRangeBytes = 16u << 20;
constexpr std::chrono::seconds kPairAge{60};  // a server keeps 300 s of history
constexpr std::chrono::milliseconds kShowEvery{250}, kSaveEvery{2000}, kRecheckEvery{1000};
constexpr std::size_t kListMost = 4 * kRangeDocuments;
constexpr std::array kNoOperator{168, 31325, 31249, 17276};  // the server knows no $toHashedIndexKey

// Both at once: they are far from each other.
template <class F>
auto on_both(Side& source, Side& target, F f) {
  auto ours = std::async(std::launch::async, [&] { return f(source, true); });
  auto theirs = f(target, false);
  return std::pair(ours.get(), std::move(theirs));
}

}  // namespace

Run::Run(const Pairing& pairing, Replication& replication, Throttle& throttle, Record record, Publish publish, Save save, std::stop_token stop)
    : pairing_(pairing), replication_(replication), throttle_(throttle), record_(std::move(record)), shown_(record_.shown), publish_(std::move(publish)), save_(std::move(save)), stop_(std::move(stop)),
      source_(pairing.source), target_(pairing.target), snapshots_(Side::has_snapshots(pairing.source) && Side::has_snapshots(pairing.target)), bytes_(record_.shown.request.bytes) {}

Record Run::go() {
  begin();
  if (!renew()) return record_;
  plan();
  if (!record_.definitions_done && !stopped()) {
    compare_definitions();
    record_.definitions_done = !stopped();
  }
  for (auto& collection : collections_) {
    if (stopped()) break;
    if (std::find(record_.done.begin(), record_.done.end(), collection.ns) != record_.done.end()) continue;
    shown_.now = collection.ns;
    if (collection.capped) compare_capped(collection);
    else walk(collection);
    if (stopped()) break;
    record_.done.push_back(collection.ns);
    record_.ns.clear();
    record_.after.reset();
    ++shown_.collections_done;
    save();
  }
  settle(0);
  if (!stopped() && pairing_.users_except && shown_.request.namespaces.empty()) compare_users();
  shown_.now.clear();
  if (stopped()) {
    save(true);
    return record_;
  }
  shown_.up_to = pair_.cut.source;
  shown_.verdict = shown_.differences > 0 ? Verdict::different : Verdict::identical;
  shown_.ended_ms = wall_ms();
  return record_;
}

void Run::begin() {
  begun_ = Steady::now();
  shown_.replicating = replication_.is_running();
  documents_before_ = shown_.documents_done;
  if (!snapshots_) shown_.notes.emplace_back("a server older than 5.0 can't be read as of a moment: what changes is looked at again until it stands still");
  if (shown_.request.repair && !snapshots_) throw Error(Remedy::pause, "a repair needs snapshot reads, which a server older than 5.0 does not have", "leave repair out, and put right what is named by hand");
  for (const auto& s : record_.suspects) {
    suspect_bytes_ += s.id.size();
    suspect_ids_.insert(fmt::format("{}/{:x}", s.ns, plan::hash_id(s.id["_id"], 0)));
  }
}

Expected Run::expected() const { return {pairing_.filter, pairing_.holds, pairing_.sharding, pairing_.own_layout, pairing_.source.sharded(), pairing_.target.sharded()}; }

bool Run::wanted(const std::string& ns) const {
  if (!pairing_.filter.includes(ns)) return false;
  const auto& only = shown_.request.namespaces;
  return only.empty() || oplog::NamespaceFilter(only, {}).includes(ns);
}

void Run::plan() {
  Definitions found;
  if (!retrying([&] { found = list_definitions(pairing_.source, [this](const auto& ns) { return wanted(ns); }); })) return;
  std::uint64_t total = 0;
  for (const auto& [ns, definition] : found) {
    if (!definition.has_documents()) continue;
    Collection c{ns, place_of(ns, definition.is_clustered()), place_of(pairing_.filter.target(ns), definition.is_clustered()), definition.is_capped()};
    if (!retrying([&] {
          auto size = source_.estimate(c.source);
          c.documents = size.documents;
          c.bytes = size.bytes;
        }))
      return;
    auto average = c.documents ? std::max<std::uint64_t>(c.bytes / c.documents, 1) : 1024;
    c.range_documents = std::clamp<std::uint64_t>(kRangeBytes / average, 1, kRangeDocuments);
    total += c.documents;
    collections_.push_back(std::move(c));
  }
  shown_.collections_total = collections_.size();
  shown_.collections_done = static_cast<std::uint64_t>(std::count_if(collections_.begin(), collections_.end(), [&](const auto& c) { return std::find(record_.done.begin(), record_.done.end(), c.ns) != record_.done.end(); }));
  shown_.documents_total = total;
  show();
}

const Run::Collection* Run::find(const std::string& ns) const {
  auto it = std::find_if(collections_.begin(), collections_.end(), [&](const auto& c) { return c.ns == ns; });
  return it == collections_.end() ? nullptr : &*it;
}

bool Run::retrying(const std::function<void()>& f) {
  Backoff backoff;
  while (!stopped()) {
    try {
      f();
      wait_for({});
      return true;
    } catch (const mongo::CommandError& e) {
      bool history_gone = e.code() == code::kSnapshotTooOld || e.code() == code::kSnapshotUnavailable;
      if (!history_gone && e.remedy() != Remedy::retry) throw;
      wait_for(e.what());
      if (!sleep_for(stop_, backoff.next())) return false;
      // Chunks that moved, and DDL, end the history of what they touch; replication that is far behind has none at all.
      if (pair_.source && !renew()) return false;
    }
  }
  return false;
}

bool Run::renew() {
  Backoff backoff;
  while (!stopped()) {
    try {
      Pair next;
      bool there = replication_.at_cut([&](const Cut& cut) {
        next.cut = cut;
        next.target = target_.now();
      }, stop_);
      if (!there) return false;
      next.made = Steady::now();
      if (snapshots_) next.source = next.cut.source;
      else next.target.reset();
      pair_ = next;
      source_.read_at(pair_.source);
      target_.read_at(pair_.target);
      if (shown_.since.is_null()) shown_.since = pair_.cut.source;
      shown_.up_to = pair_.cut.source;
      return true;
    } catch (const mongo::CommandError& e) {
      if (e.remedy() != Remedy::retry) throw;
      wait_for(e.what());
      if (!sleep_for(stop_, backoff.next())) return false;
    }
  }
  return false;
}

bool Run::fresh_pair() { return Steady::now() - pair_.made < kPairAge || renew(); }

void Run::walk(Collection& collection) {
  IdRange range;
  if (record_.ns == collection.ns) range.after = record_.after;
  record_.ns = collection.ns;
  for (;;) {
    if (throttle_.rate() == 0u) wait_for("the throttle is at 0 (mongotwin throttle --verify off lifts it)");
    auto taken = collection.documents ? collection.range_documents * collection.bytes / collection.documents : 0, before = shown_.bytes_done;
    if (!throttle_.take(taken, stop_)) return;
    bool whole = fresh_pair() && retrying([&] {
      range.up_to = source_.bound(collection.source, {range.after, {}}, collection.range_documents);
      compare_range(collection, range);
    });
    if (!whole) return;
    throttle_.correct(taken, shown_.bytes_done - before);
    if (!record_.suspects.empty() && Steady::now() - rechecked_ > kRecheckEvery) recheck();
    settle(kSuspectsMax / 2);
    if (stopped() || !range.up_to) return;  // of the last range the record says nothing: it is looked at again after a kill
    range.after = std::exchange(range.up_to, {});
    record_.after = range.after;
    save();
  }
}

void Run::compare_range(const Collection& collection, const IdRange& range) {
  if (!bytes_) {
    try {
      if (same_digest(collection, range)) return;
    } catch (const mongo::CommandError& e) {
      if (e.remedy() == Remedy::retry || e.code() == code::kSnapshotTooOld || e.code() == code::kSnapshotUnavailable || e.code() == code::kUnauthorized) throw;
      bool unknown = std::find(kNoOperator.begin(), kNoOperator.end(), e.code()) != kNoOperator.end();
      auto why = fmt::format("{} in {}", unknown ? "everything is compared by bytes: a server has no digests" : "some documents are compared by bytes: a server can't make their digests", collection.ns);
      log::info("verify", "{}: {}", why, e.what());
      if (std::find(shown_.notes.begin(), shown_.notes.end(), why) == shown_.notes.end() && shown_.notes.size() < status::kListedMax) shown_.notes.push_back(why);
      bytes_ = true;
      open_range(collection, range);
      bytes_ = unknown;
      return;
    }
  }
  open_range(collection, range);
}

bool Run::same_digest(const Collection& collection, const IdRange& range) {
  auto [ours, theirs] = on_both(source_, target_, [&](Side& side, bool source) { return side.digest(source ? collection.source : collection.target, range); });
  if (!(ours == theirs)) return false;
  account(collection, ours.documents, ours.bytes);
  return true;
}

// The source has about range_documents in it. Where the target has many more, its own bounds cut them into pieces.
void Run::open_range(const Collection& collection, const IdRange& range) {
  auto most = std::min<std::size_t>(kListMost, 4 * collection.range_documents + 100);
  auto [ours, theirs] = on_both(source_, target_, [&](Side& side, bool source) { return side.list(source ? collection.source : collection.target, range, bytes_, most); });
  if (theirs.size() <= most && ours.size() <= most) return match(collection, {std::move(ours), std::move(theirs)});
  IdRange piece{range.after, {}};
  do {
    auto& larger = theirs.size() > most ? target_ : source_;
    piece.up_to = larger.bound(theirs.size() > most ? collection.target : collection.source, {piece.after, range.up_to}, collection.range_documents);
    bool last = !piece.up_to;
    if (last) piece.up_to = range.up_to;
    open_range(collection, piece);
    settle(kSuspectsMax / 2);
    if (last) return;
    piece.after = piece.up_to;
  } while (!stopped());
}

void Run::match(const Collection& collection, const Both& both) {
  std::unordered_map<std::string_view, const Listed*> waiting;
  for (const auto& one : both.target)
    if (!waiting.emplace(one.id.view().bytes(), &one).second) suspect(collection.ns, one.id);  // two of one _id, on different shards
  std::uint64_t bytes = 0;
  for (const auto& one : both.source) {
    bytes += one.bytes;
    auto there = waiting.find(one.id.view().bytes());
    if (there == waiting.end()) {
      suspect(collection.ns, one.id);
      continue;
    }
    if (there->second->hash != one.hash || there->second->more != one.more || there->second->bytes != one.bytes) suspect(collection.ns, one.id);
    waiting.erase(there);
  }
  for (const auto& [_, one] : waiting) suspect(collection.ns, one->id);
  account(collection, both.source.size(), bytes);
}

// An _id that changed its type is one document to a server, and one suspect here.
void Run::suspect(const std::string& ns, const bson::Document& id) {
  auto key = fmt::format("{}/{:x}", ns, plan::hash_id(id["_id"], 0));
  if (!suspect_ids_.insert(key).second) return;
  suspect_bytes_ += id.size();
  record_.suspects.push_back({ns, id.detached(), wall_ms(), 0});
  shown_.suspects = record_.suspects.size();
}

void Run::account(const Collection& collection, std::uint64_t documents, std::uint64_t bytes) {
  shown_.documents_done += documents;
  shown_.bytes_done += bytes;
  ++shown_.ranges_done;
  auto seconds = std::chrono::duration<double>(Steady::now() - begun_).count();
  auto done = static_cast<double>(shown_.documents_done - documents_before_);
  if (done > 0 && shown_.documents_total > shown_.documents_done) shown_.eta_s = static_cast<std::uint64_t>(seconds / done * static_cast<double>(shown_.documents_total - shown_.documents_done));
  else shown_.eta_s.reset();
  shown_.now = collection.ns;
  if (Steady::now() - shown_at_ > kShowEvery) show();
}

void Run::wait_for(std::string reason) {
  if (reason == shown_.waits_for) return;
  shown_.waits_for = std::move(reason);
  show();
}

void Run::show() {
  shown_at_ = Steady::now();
  shown_.suspects = record_.suspects.size();
  publish_(shown_);
}

void Run::save(bool now) {
  if (!now && Steady::now() - saved_ < kSaveEvery) return;
  show();
  save_(record_);
  saved_ = Steady::now();
}

Record Run::go_quickly(std::chrono::milliseconds budget) {
  auto end = Steady::now() + budget;
  begin();
  if (!renew()) return record_;
  plan();
  compare_definitions();
  for (auto& c : collections_) {
    if (stopped() || Steady::now() >= end) break;
    if (c.capped) continue;
    if (!retrying([&] {
          auto [ours, theirs] = on_both(source_, target_, [&](Side& side, bool source) { return side.count(source ? c.source : c.target); });
          if (ours != theirs) report({c.ns, {}, "definition", fmt::format("{} documents on the source, {} on the target", ours, theirs), "mongotwin verify names them", wall_ms(), wall_ms()});
        }))
      break;
    ++shown_.collections_done;
  }
  auto all = collections_;
  std::erase_if(all, [](const auto& c) { return c.capped || c.documents == 0; });
  std::mt19937 dice{std::random_device{}()};
  for (std::size_t n = 0; !all.empty() && !stopped() && Steady::now() < end; ++n) {
    auto& c = n < all.size() ? all[n] : all[dice() % all.size()];
    IdRange range;
    if (!retrying([&] {
          bool small = c.documents <= c.range_documents;
          range.after = small ? std::nullopt : source_.sample(c.source);
          range.up_to = source_.bound(c.source, {range.after, {}}, small ? c.range_documents : std::min(c.range_documents, kSampledDocuments));
          compare_range(c, range);
        }))
      break;
    if (n + 1 >= all.size() && shown_.documents_done >= shown_.documents_total) break;
  }
  settle(0);
  shown_.verdict = stopped() ? Verdict::cancelled : shown_.differences > 0 ? Verdict::different : Verdict::identical;
  shown_.ended_ms = wall_ms();
  return record_;
}

status::Verification verify_quickly(const Pairing& pairing, Replication& replication, std::chrono::milliseconds budget, std::stop_token stop) {
  SystemClock clock;
  Throttle none(clock);
  Record record;
  record.shown.started_ms = wall_ms();
  return Run(pairing, replication, none, std::move(record), [](const auto&) {}, [](const auto&) {}, std::move(stop)).go_quickly(budget).shown;
}

}  // namespace mongotwin::verify
