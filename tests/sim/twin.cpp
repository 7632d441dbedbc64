// SPDX-License-Identifier: Apache-2.0
#include "twin.h"

#include <fmt/format.h>

#include <algorithm>

#include "mongo/errors.h"

namespace mongotwin::sim {

using checkpoint::Phase;

namespace {

class FakeOplog final : public source::OplogSource {
 public:
  FakeOplog(Random& random, const Shard& shard) : random_(random), shard_(shard) {}
  void open(Timestamp position) override {
    auto it = std::find_if(shard_.oplog.begin(), shard_.oplog.end(), [&](const auto& e) { return e.first == position; });
    if (it == shard_.oplog.end()) throw Error(Remedy::resync, "the oplog has no entry at " + oplog::to_string(position));
    next_ = static_cast<std::size_t>(it - shard_.oplog.begin());
  }
  std::vector<bson::Document> next(std::chrono::milliseconds /*wait*/) override {
    std::vector<bson::Document> out;
    auto most = static_cast<std::size_t>(1 + random_.below(12));
    for (; next_ < shard_.majority && out.size() < most; ++next_) out.push_back(shard_.oplog[next_].second);
    return out;
  }

 private:
  Random& random_;
  const Shard& shard_;
  std::size_t next_ = 0;
};

std::string text_of(const std::vector<Timestamp>& positions) {
  std::string out;
  for (auto ts : positions) out += (out.empty() ? "" : " ") + oplog::to_string(ts);
  return "[" + out + "]";
}

std::vector<std::string> names(std::size_t shards) {
  std::vector<std::string> out;
  for (std::size_t s = 0; s < shards; ++s) out.push_back("rs" + std::to_string(s));
  return out;
}

bson::Document index_document(const Index& index) {
  bson::Builder b;
  b.int32("v", 2).open_document("key");
  for (const auto& path : index.keys) b.int32(path, 1);
  b.close().string("name", index.name);
  if (index.unique) b.boolean("unique", true);
  return b.finish();
}

}  // namespace

std::optional<bson::Document> Store::load() {
  if (fields_.empty()) return {};
  bson::Builder b;
  for (const auto& [name, one] : fields_) b.fields_of(one);
  return b.finish();
}

void Store::save(bson::View fields) {
  (void)target_.command("save the checkpoint", 1, true, [&](std::size_t) {
    for (const auto& e : fields) fields_[std::string(e.key())] = bson::Builder().element(e).finish();
    return 0;
  });
}

Twin::Twin(Random& random, Source& source, Target& target, Store& store, SimClock& clock, const Settings& settings, Trace trace)
    : random_(random), source_(source), target_(target), store_(store), clock_(clock), settings_(settings), trace_(std::move(trace)),
      journal_(source.shards().size(), settings.journal_bytes, signal_, std::vector<Signal*>(source.shards().size(), &signal_)),
      checkpointer_(store, frontier_, [this] { return holds_.to_document(); }), merger_(journal_, source.shards().size()),
      lot_(clock, [](const std::string&) {}), resolver_(target) {
  auto document = store.load();
  if (document) saved_ = checkpoint::Checkpoint::parse(*document);
  if (!document || saved_.phase == Phase::copying) return;
  holds_.load(saved_.held);
  catalog_.load(saved_.catalog);
  start_reading();
  follow();
}

void Twin::start_reading() {
  for (ShardIndex s = 0; s < source_.shards().size(); ++s) {
    auto& reader = readers_.emplace_back(s, std::make_unique<FakeOplog>(random_, source_.shards()[s]), journal_, clock_, [](const std::string&) {});
    reader.start_at(saved_.resume[s]);
  }
}

void Twin::follow() {
  source_.all_to_majority();
  auto exact_after = source_.newest();
  consistent_ = saved_.phase == Phase::replicating;
  if (trace_) trace_(fmt::format("twin follows from {}, exact after {}", text_of(saved_.positions), text_of(exact_after)));
  assembler_ = std::make_unique<oplog::Assembler>(catalog_, names(source_.shards().size()), saved_.listed_up_to);
  assembler_->restore_awaited(saved_.awaited);
  std::vector<plan::LaneQueue*> queues;
  for (int n = 0; n < settings_.lanes; ++n) {
    auto& queue = queues_.emplace_back(settings_.lane_batches, 1u << 20, nullptr, nullptr);
    queues.push_back(&queue);
    lanes_.emplace_back(queue, frontier_, lot_, std::make_unique<FakeWriter>(target_), clock_, [](const std::string&) {});
  }
  plan::BarrierWork work;
  work.start_ddl = [this](auto ddls, auto epoch) { TWIN_INVARIANT(!job_); job_ = Job{std::move(ddls), epoch}; };
  if (!consistent_) work.start_consistency = [this](auto epoch) { TWIN_INVARIANT(!job_); job_ = Job{{}, epoch, true}; };
  work.has_parked = [this] { return !lot_.empty(); };
  work.resolve_parked = [this] {
    if (!lot_.resolve(resolver_)) return false;
    frontier_.unpark_all();
    return true;
  };
  planner_ = std::make_unique<plan::Planner>(settings_.planner, merger_, *assembler_, catalog_, frontier_, queues, std::move(work));
  planner_->start_at(saved_.positions, exact_after, saved_.resume);
}

void Twin::hold(bool on) {
  if (planner_) planner_->hold(on);
}

void Twin::step() {
  auto shards = static_cast<int>(source_.shards().size());
  if (!planner_) {
    if (!readers_.empty() && random_.one_in(3)) (void)readers_[static_cast<std::size_t>(random_.below(shards))].step({});
    else copy_step();
    return;
  }
  int what = random_.below(100);
  if (what < 25) (void)readers_[static_cast<std::size_t>(random_.below(shards))].step({});
  else if (what < 50) (void)planner_->step();
  else if (what < 85) (void)lanes_[static_cast<std::size_t>(random_.below(settings_.lanes))].step();
  else if (what < 92) ddl_step();
  else if (what < 95) nudge();
  else checkpoint();
}

void Twin::checkpoint() {
  try {
    checkpointer_.save();
  } catch (const Error& e) {
    if (e.remedy() != Remedy::retry) throw;
  }
}

void Twin::nudge() {
  for (const auto& wait : merger_.waits())
    if (journal_.read_up_to(wait.shard) < wait.until) source_.nudge(wait.shard, wait.until);
}

void Twin::ddl_step() {
  if (!job_) return;
  try {
    run_ddl();
  } catch (const Error& e) {
    if (e.remedy() != Remedy::retry) throw;
    job_->tried = true;
  }
}

// One part of Pipeline::run_ddl().
void Twin::run_ddl() {
  if (!job_->checkpointed) {
    checkpointer_.save();
    job_->checkpointed = true;
    return;
  }
  if (job_->consistency) {
    (void)target_.command("build held unique indexes", 1, true, [&](std::size_t) { return target_.build_held_unique(holds_), 0; });
    checkpointer_.save_phase(Phase::replicating);
    consistent_ = true;
  } else if (job_->next < job_->ddls.size()) {
    const auto& ddl = *job_->ddls[job_->next];
    bool tolerant = job_->tried || !planner_->exact();
    (void)target_.command(fmt::format("{} {} {}{}", oplog::to_string(ddl.kind), ddl.ns, ddl.to, ddl.index), 1, true,
                          [&](std::size_t) { return target_.ddl(ddl, tolerant, consistent_, holds_), 0; });
    ++job_->next;
    job_->tried = false;
    return;
  }
  auto epoch = job_->epoch;
  job_.reset();
  frontier_.part_done(epoch);
}

// --- the initial copy, as Replicator::copy() -------------------------------------------------------------------------

void Twin::copy_step() {
  source_.all_to_majority();  // a majority read waits for that
  if (copy_phase_ == 0) {
    saved_.phase = Phase::copying;
    saved_.shards = names(source_.shards().size());
    saved_.positions = source_.newest();
    saved_.resume = source_.oldest_open();
    copy_phase_ = 1;
  } else if (copy_phase_ == 1) {
    list();
    copy_phase_ = 2;
  } else if (copy_phase_ == 2) {
    std::vector<Place*> left;
    for (auto& place : places_)
      if (!place.done) left.push_back(&place);
    if (left.empty()) copy_phase_ = 3;
    else copy_some(*random_.pick(left));
  } else {
    saved_.phase = Phase::catching_up;
    saved_.catalog = catalog_.to_document();
    saved_.held = holds_.to_document();
    try {
      store_.save(saved_.to_fields());
    } catch (const Error&) {
      return;
    }
    follow();
  }
}

void Twin::list() {
  saved_.listed_up_to = source_.newest();
  try {
    store_.save(saved_.to_fields());
  } catch (const Error&) {
    // said again with the phase
  }
  target_.clear();
  for (auto& [id, c] : source_.collections()) {
    if (!c.alive) continue;
    Place place{id, c.ns(), c.capped, {}, {}, c.sharded()};
    for (const auto& [name, index] : c.indexes) place.indexes.push_back(index_document(index.spec));
    places_.push_back(place);
    oplog::Ddl create{oplog::DdlKind::create, c.ns(), {}, false, {}, c.capped ? bson::Builder().boolean("capped", true).finish() : bson::Document()};
    target_.ddl(create, true, false, holds_);
    if (c.sharded()) target_.ddl({oplog::DdlKind::shard_collection, c.ns(), {}, false, {}, {}}, true, false, holds_);
    for (const auto& [shard, uuid] : c.incarnations) {
      oplog::Catalog::Listed listed{shard, c.ns(), uuid, create.spec, {"_id_"}, true};
      for (const auto& [name, index] : c.indexes)
        if (index.on.contains(shard)) listed.indexes.push_back(name);
      catalog_.add(listed);
    }
  }
  for (const auto& copying : source_.copyings()) {
    const auto& c = source_.collections().at(copying.collection);
    std::set<ShardIndex> shards(copying.owners.begin(), copying.owners.end());
    bool resharding = copying.kind == Copying::resharding;
    if (!resharding) shards = {copying.to};
    if (!resharding && copying.phase == 1) {  // the old one is a left-over by now
      for (const auto& [shard, uuid] : copying.old) catalog_.add({shard, c.ns(), uuid, {}, {"_id_"}, false});
      continue;
    }
    for (auto shard : shards) {
      oplog::Catalog::Listed listed{shard, resharding ? source_.resharding_ns(copying) : c.ns(), copying.uuid, {}, {"_id_"}, resharding};
      for (const auto& [name, index] : c.indexes) listed.indexes.push_back(name);
      if (copying.brings_index) {
        listed.indexes.push_back(copying.shard_key + "_1");
        listed.specs.push_back(index_document({copying.shard_key + "_1", {copying.shard_key}, false}));
      }
      catalog_.add(listed);
    }
  }
  if (trace_) trace_(fmt::format("twin copies: positions {} resume {} listed up to {}", text_of(saved_.positions), text_of(saved_.resume), text_of(saved_.listed_up_to)));
  start_reading();
}

// A few documents, as they are at this moment; what was dropped meanwhile is gone.
void Twin::copy_some(Place& place) {
  auto& c = source_.collections().at(place.collection);
  std::vector<Value> docs;
  if (c.alive && place.capped) {
    for (const auto& key : c.order) docs.push_back(c.docs.at(key).value);
    for (const auto& [shard, uuid] : c.incarnations) catalog_.set_copied_up_to(uuid, source_.newest()[shard]);
  } else if (c.alive) {
    auto it = place.after.empty() ? c.docs.begin() : c.docs.upper_bound(place.after);
    for (int n = 1 + random_.below(4); n > 0 && it != c.docs.end(); --n, ++it) {
      docs.push_back(it->second.value);
      place.after = it->first;
    }
  }
  target_.copy_in(place.ns, docs);
  if (trace_) trace_(fmt::format("target copy {} {} documents up to {}", place.ns, docs.size(), place.after));
  place.done = docs.empty() || place.capped;
  if (!place.done) return;
  for (const auto& spec : place.indexes) target_.ddl({oplog::DdlKind::create_index, place.ns, {}, false, std::string(*spec.view().string("name")), spec}, true, false, holds_);
}

// --- what is checked ----------------------------------------------------------------------------------------------------

std::optional<std::vector<Timestamp>> Twin::drained_at() const {
  if (!planner_ || !planner_->exact() || frontier_.in_flight() > 0 || frontier_.between_cuts()) return {};
  auto at = frontier_.applied();
  if (at.empty()) return {};
  return at;
}

std::optional<Timestamp> Twin::moment() const {
  if (!planner_ || !planner_->exact() || !planner_->drained()) return {};
  return planner_->moment();
}

std::string Twin::broken_law() const {
  if (!planner_) return {};
  auto checkpointed = checkpointer_.checkpointed(), applied = frontier_.applied(), planned = planner_->planned();
  for (ShardIndex s = 0; s < source_.shards().size(); ++s) {
    auto read = journal_.read_up_to(s);
    bool ok = checkpointed.empty() || (!applied.empty() && checkpointed[s] <= applied[s]);
    ok = ok && (applied.empty() || applied[s] <= planned[s]);
    ok = ok && (planned[s] <= std::max(read, saved_.positions[s]));
    if (!ok) return fmt::format("the law of positions is broken on shard {}: checkpointed {} applied {} planned {} read {}", s, text_of(checkpointed), text_of(applied), text_of(planned), oplog::to_string(read));
  }
  return {};
}

std::string Twin::where() const {
  if (!planner_) return fmt::format("copying, phase {}", copy_phase_);
  return fmt::format("planned {} applied {} in flight {} active {} exact {} parked {} ddl {}", text_of(planner_->planned()), text_of(frontier_.applied()), frontier_.in_flight(), frontier_.active(),
                     planner_->exact(), !lot_.empty(), job_.has_value());
}

}  // namespace mongotwin::sim
