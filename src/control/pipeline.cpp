// SPDX-License-Identifier: Apache-2.0
#include "control/pipeline.h"

#include <fmt/format.h>

#include <algorithm>

#include "apply/mongo_writer.h"
#include "copy/bring_in.h"
#include "source/mongo_oplog.h"

namespace mongotwin::control {
namespace {

constexpr std::uint32_t kEvenSeconds = 2;
constexpr std::chrono::milliseconds kIdle{200}, kNudgeEvery{100}, kCheckpointEvery{1000}, kShardsEvery{50}, kJournalEvery{1000};
constexpr std::size_t kLaneBatchesMax = 4;

std::unique_ptr<journal::DiskJournal> make_journal(const mongo::Cluster& source, const PipelineLimits& limits, Signal& on_append, std::deque<Signal>& readers) {
  std::vector<Signal*> on_room;
  for (auto& signal : readers) on_room.push_back(&signal);
  return std::make_unique<journal::DiskJournal>(limits.journal_path, source.id(), source.shard_names(), journal::DiskLimits{limits.memory_bytes / 16, limits.journal_bytes}, on_append, std::move(on_room));
}

plan::PlannerLimits planner_limits(std::uint64_t memory_bytes) {
  plan::PlannerLimits limits;
  limits.epoch_bytes_max = std::min(limits.epoch_bytes_max, memory_bytes / 32);
  limits.bytes_in_flight_max = memory_bytes / 16;
  return limits;
}

}  // namespace

Pipeline::Pipeline(mongo::Cluster& source, mongo::Cluster& target, apply::TargetLayout& layout, apply::DdlApplier& ddl, apply::Holds& holds,
                   checkpoint::CheckpointStore& store, oplog::NamespaceFilter filter, WaitBoard& waits, Throttle& throttle, PipelineLimits limits, ErrorFunction on_error)
    : source_(source), target_(target), layout_(layout), ddl_(ddl), waits_(waits), throttle_(throttle), limits_(limits), write_room_(limits.memory_bytes / 8),
      on_error_(std::move(on_error)), reader_signals_(source.shards().size()),
      journal_(make_journal(source, limits_, merge_signal_, reader_signals_)), open_transactions_(limits_.journal_path, limits_.memory_bytes / 16), catalog_(std::move(filter), source.sharded()),
      // A failover without the source begins where the checkpoint says: the journal must not have lost that in a power cut.
      checkpointer_(store, frontier_, [&holds] { return holds.to_document(); }, [this] { journal_->sync(); }), merger_(*journal_, source.shards().size()),
      ddl_queue_(1, SIZE_MAX, &ddl_signal_, nullptr) {}

Pipeline::~Pipeline() {
  for (auto* workers : {&workers_, &lane_workers_}) {  // merge first: it makes lanes
    for (auto& worker : *workers) worker.request_stop();
    for (auto& worker : *workers) worker.join();
  }
}

void Pipeline::start_reading(const std::vector<oplog::Timestamp>& resume) {
  resume_ = resume;
  for (std::size_t s = 0; s < source_.shards().size(); ++s) {
    auto& shard = source_.shards()[s];
    auto& reader = readers_.emplace_back(static_cast<oplog::ShardIndex>(s), std::make_unique<source::MongoOplog>(*shard.pool), *journal_, clock_, waits_.reporter("read." + shard.name));
    if (auto read = journal_->open_shard(static_cast<oplog::ShardIndex>(s), resume[s])) reader.go_on_after(*read);
    else reader.start_at(resume[s]);
    workers_.emplace_back("read." + shard.name, reader_signals_[s], kIdle, [&reader](std::stop_token stop) { return reader.step(stop); }, on_error_);
  }
  workers_.emplace_back("journal", journal_signal_, kJournalEvery, [this](std::stop_token) { return journal_step(); }, on_error_);
}

void Pipeline::start_from_journal(const std::vector<oplog::Timestamp>& resume) {
  resume_ = resume;
  alone_ = true;
  for (std::size_t s = 0; s < resume.size(); ++s) {
    auto read = journal_->open_shard(static_cast<oplog::ShardIndex>(s), resume[s]);
    TWIN_INVARIANT(read.has_value());
  }
}

void Pipeline::start_applying(Start start) {
  assembler_ = std::make_unique<oplog::Assembler>(catalog_, source_.shard_names(), start.listed_up_to, [this](bson::View part) { return open_transactions_.keep(part); });
  assembler_->restore_awaited(start.awaited);
  consistent_ = start.consistent;
  exact_after_ = start.exact_after;
  std::vector<plan::LaneQueue*> queues;
  for (int n = std::max(1, lanes_wanted_.load()); n > 0; --n) queues.push_back(&make_lane());
  resolver_writer_ = std::make_unique<apply::MongoWriter>(target_.router(), layout_);
  plan::BarrierWork work;
  work.start_ddl = [this](auto ddls, auto epoch) { push_ddl({std::move(ddls), epoch, false}); };
  if (!start.consistent) work.start_consistency = [this](auto epoch) { push_ddl({{}, epoch, true}); };
  work.has_parked = [this] { return !lot_.empty(); };
  work.resolve_parked = [this] {
    if (!lot_.resolve(*resolver_writer_)) return false;
    frontier_.unpark_all();
    return true;
  };
  planner_ = std::make_unique<plan::Planner>(planner_limits(limits_.memory_bytes), merger_, *assembler_, catalog_, frontier_, queues, std::move(work));
  checkpointer_.start_at(start.positions);
  planner_->start_at(std::move(start.positions), std::move(start.exact_after), resume_);
  workers_.emplace_back("ddl", ddl_signal_, kIdle, [this](std::stop_token stop) { return ddl_step(stop); }, on_error_);
  workers_.emplace_back("ckpt", checkpoint_signal_, kCheckpointEvery, [this](std::stop_token) { return checkpoint_step(); }, on_error_);
  if (source_.shards().size() > 1 && !alone_) workers_.emplace_back("nudge", nudge_signal_, kNudgeEvery, [this](std::stop_token) { return nudge_step(); }, on_error_);
  if (source_.sharded() && !alone_) {
    merger_.plan_up_to({});
    workers_.emplace_back("shards", shards_signal_, kShardsEvery, [this](std::stop_token) { return shards_step(); }, on_error_);
  }
  workers_.emplace_back("merge", merge_signal_, kIdle, [this](std::stop_token) { return merge_step(); }, on_error_);
}

plan::LaneQueue& Pipeline::make_lane() {
  auto name = fmt::format("lane.{:02}", lanes_.size());
  auto& signal = lane_signals_.emplace_back();
  auto& queue = lane_queues_.emplace_back(kLaneBatchesMax, limits_.memory_bytes / 32, &signal, &merge_signal_);
  auto& lane = lanes_.emplace_back(queue, frontier_, lot_, std::make_unique<apply::MongoWriter>(target_.router(), layout_), clock_, waits_.reporter(name));
  lane_workers_.emplace_back(name, signal, kIdle, [this, &lane](std::stop_token stop) {
    auto pass = write_room_.enter(stop, lane.step_bytes());
    return pass ? lane.step() : Step::done;
  }, on_error_);
  return queue;
}

void Pipeline::set_lanes(int lanes) {
  lanes_wanted_ = lanes;
  merge_signal_.notify();
}

void Pipeline::change_lanes() {
  int wanted = lanes_wanted_;
  while (static_cast<int>(lanes_.size()) < wanted) planner_->add_lane(make_lane());
  planner_->share_among(static_cast<std::size_t>(wanted));
}

// What is queued behind it is bounded, so charging what was applied holds the rate over a few seconds.
Step Pipeline::merge_step() {
  change_lanes();
  auto applied = frontier_.ops_applied();
  throttle_.charge(applied - std::exchange(ops_charged_, applied));
  if (!throttle_.is_free()) return Step::idle;
  auto step = planner_->step();
  if (step == Step::idle) {
    Lock lock(m_);
    merger_waits_ = merger_.waits();
  }
  return step;
}

Step Pipeline::nudge_step() {
  std::vector<plan::Merger::Wait> waiting;
  {
    Lock lock(m_);
    waiting = merger_waits_;
  }
  for (auto& behind : left_behind()) waiting.push_back(behind);
  for (const auto& wait : waiting) {
    if (journal_->read_up_to(wait.shard) >= wait.until) continue;
    try {
      nudge(wait);
      evened_[wait.shard] = std::max(evened_[wait.shard], wait.until);  // what a reader is behind with is not cured by more notes
    } catch (const Error& e) {
      if (e.remedy() != Remedy::retry) throw;
      log::debug("nudge", "{}", e.what());  // the shard's reader reports the same trouble
    }
  }
  return Step::idle;
}

// A shard that is idle writes a note of its own every 10 to 20 s only. Once all are, nothing waits for it; but a failover
// can go no further than what was heard of every shard, and a verification looks at no moment before what was known at the start.
std::vector<plan::Merger::Wait> Pipeline::left_behind() {
  oplog::Timestamp ahead;
  auto known_before = planner_->known_before();
  for (oplog::ShardIndex s = 0; s < source_.shards().size(); ++s) ahead = std::max(ahead, journal_->read_up_to(s));
  std::vector<plan::Merger::Wait> out;
  evened_.resize(source_.shards().size());
  for (oplog::ShardIndex s = 0; s < source_.shards().size(); ++s) {
    auto known = std::max(journal_->read_up_to(s), evened_[s]);
    if (ahead.t < known.t + kEvenSeconds && (known >= known_before || ahead < known_before)) continue;
    out.push_back({s, ahead});
  }
  return out;
}

// A shard without writes of its own must not hold back the others: a note moves its clock past that of a shard which
// is ahead.
void Pipeline::nudge(const plan::Merger::Wait& wait) {
  for (oplog::ShardIndex s = 0; s < source_.shards().size(); ++s) {
    if (s == wait.shard || journal_->read_up_to(s) < wait.until) continue;
    auto ahead = source_.shards()[s].pool->acquire();
    auto idle = source_.shards()[wait.shard].pool->acquire();
    return source::nudge(ahead, idle);
  }
}

Step Pipeline::shards_step() {
  oplog::Timestamp at;
  oplog::ShardIndex leader = 0;
  for (oplog::ShardIndex s = 0; s < source_.shards().size(); ++s)
    if (auto read = journal_->read_up_to(s); read > at) at = read, leader = s;
  if (at <= looked_at_) return Step::idle;
  try {
    look_at_shards(at, leader);
    waits_.report("shards", {});
  } catch (const Error& e) {
    if (e.remedy() != Remedy::retry) throw;
    waits_.report("shards", e.what());
  }
  return Step::idle;
}

void Pipeline::look_at_shards(oplog::Timestamp at, oplog::ShardIndex leader) {
  if (!shard_watch_) shard_watch_ = std::make_unique<source::ShardWatch>(source_);
  auto rows = shard_watch_->shards_as_of(at, leader);
  auto row_of = [&](const std::string& name) { return std::find_if(rows.begin(), rows.end(), [&](const auto& row) { return row.name == name; }); };
  ShardChange change;
  auto names = source_.shard_names();
  for (const auto& row : rows)
    if (std::find(names.begin(), names.end(), row.name) == names.end()) change.added.push_back(row);
  if (!change.added.empty()) {  // the horizon stays: before the addition
    Lock lock(m_);
    shard_change_ = std::move(change);
    return;
  }
  for (oplog::ShardIndex s = 0; s < names.size(); ++s) {
    auto row = row_of(names[s]);
    if (row != rows.end() && !row->draining) {
      drained_at_.erase(names[s]);
      continue;
    }
    auto end = drained_at_.find(names[s]);
    if (end == drained_at_.end() && (row == rows.end() || shard_watch_->owns_nothing(names[s]))) {
      auto client = source_.shards()[s].pool->acquire();
      end = drained_at_.emplace(names[s], source::newest_position(client)).first;
    }
    if (row != rows.end() || end == drained_at_.end()) continue;
    if (journal_->read_up_to(s) < end->second) continue;  // its reader is on the way
    merger_.end(s);
    change.removed.push_back(s);
    change.ends.push_back(end->second);
  }
  looked_at_ = at;
  merger_.plan_up_to(at);
  merge_signal_.notify();
  if (change.removed.empty()) return;
  Lock lock(m_);
  shard_change_ = std::move(change);
}

std::optional<Pipeline::ShardChange> Pipeline::shard_change() const {
  Lock lock(m_);
  return shard_change_;
}

Step Pipeline::checkpoint_step() {
  try {
    checkpointer_.save();
    waits_.report("ckpt", {});
  } catch (const Error& e) {
    if (e.remedy() != Remedy::retry) throw;
    waits_.report("ckpt", e.what());
  }
  return Step::idle;
}

Step Pipeline::journal_step() {
  auto resume = checkpointer_.resume();
  for (std::size_t s = 0; s < resume.size(); ++s) journal_->trim(static_cast<oplog::ShardIndex>(s), resume[s]);
  journal_->sync();
  auto size = journal_->size();
  waits_.report("journal", size.full ? fmt::format("full: {} MB wait to be applied, reading pauses (journal.size_limit); {}", size.bytes / 1'000'000, room_on_the_source()) : std::string());
  return Step::idle;
}

// How long reading may pause: until the source's oplog, which moves on, has lost where it stands. Throws once it has: the
// reader itself would notice only when there is room again, after hours of copying or applying for nothing.
std::string Pipeline::room_on_the_source() {
  std::string out;
  for (std::size_t s = 0; s < source_.shards().size(); ++s) {
    const auto& shard = source_.shards()[s];
    try {
      auto client = shard.pool->acquire();
      auto oldest = source::oplog_window(client).oldest;
      auto pause = readers_[s].pauses_at();
      if (pause && oldest > *pause) source::throw_history_lost(client.label(), *pause, oldest);
      auto seconds = static_cast<std::int64_t>(journal_->read_up_to(static_cast<oplog::ShardIndex>(s)).t) - oldest.t;
      out += fmt::format("{}the oplog of {} lasts about {} h {} min more", out.empty() ? "" : ", ", shard.name, std::max<std::int64_t>(seconds, 0) / 3600, std::max<std::int64_t>(seconds, 0) / 60 % 60);
    } catch (const Error& e) {
      if (e.remedy() != Remedy::retry) throw;
      out += fmt::format("{}how long the oplog of {} lasts is not known: {}", out.empty() ? "" : ", ", shard.name, e.what());
    }
  }
  return out;
}

template <class F>
void Pipeline::retrying(const char* component, std::stop_token stop, F&& f) {
  Backoff backoff;
  while (!stop.stop_requested()) {
    try {
      f();
      waits_.report(component, {});
      return;
    } catch (const Error& e) {
      if (e.remedy() != Remedy::retry) throw;
      waits_.report(component, e.what());
      if (!sleep_for(stop, backoff.next())) return;
    }
  }
}

void Pipeline::push_ddl(DdlJob job) { TWIN_INVARIANT(ddl_queue_.try_push(job, 0)); }

Step Pipeline::ddl_step(std::stop_token stop) {
  auto job = ddl_queue_.try_pop();
  if (!job) return Step::idle;
  run_ddl(*job, stop);
  if (stop.stop_requested()) return Step::done;
  frontier_.part_done(job->epoch);
  return Step::progress;
}

void Pipeline::run_ddl(const DdlJob& job, std::stop_token stop) {
  // The checkpoint just before it: after a crash no earlier operation meets what the DDL has made.
  retrying("ckpt", stop, [&] { checkpointer_.save(); });
  if (job.consistency) {
    retrying("ddl", stop, [&] { ddl_.build_held_unique(); });
    retrying("ckpt", stop, [&] { checkpointer_.save_phase(checkpoint::Phase::replicating); });
    if (stop.stop_requested()) return;
    consistent_ = true;
    log::info("apply", "the target is consistent");
    return;
  }
  for (const auto& ddl : job.ddls) {
    bool tolerant = !planner_->exact();
    if (ddl->kind == oplog::DdlKind::bring_in) {
      bring_in(*ddl, stop);
      continue;
    }
    retrying("ddl", stop, [&] {
      log::debug("apply", "{} {} {}", oplog::to_string(ddl->kind), ddl->ns, ddl->to);
      // A second try may meet what its first one has done.
      ddl_.apply(*ddl, std::exchange(tolerant, true), consistent_);
    });
  }
  retrying("ddl", stop, [&] { layout_.refresh(); });
}

// As it was when it was renamed; in the catch-up, as it was at the catch-up's end, which the operations until then lead to.
void Pipeline::bring_in(const oplog::Ddl& ddl, std::stop_token stop) {
  if (alone_) throw Error(Remedy::pause, fmt::format("{} was renamed into the selection just before the source was lost: its documents ({}) are not on the target, and the source can't be asked", ddl.to, ddl.ns), "exclude it, or have the source back");
  bool exact = planner_->exact();
  copy::BringIn what{ddl.to.substr(0, ddl.to.find('.')), ddl.uuid, ddl.ns, exact ? ddl.at : exact_after_.front(), exact, consistent_};
  retrying("ddl", stop, [&] { copy::bring_in(source_, target_, layout_, ddl_, what, waits_.reporter("bring in"), stop); });
}

bool Pipeline::nothing_open() {
  checkpointer_.save();
  return checkpointer_.checkpointed() == frontier_.applied() && checkpointer_.resume() == frontier_.applied();
}

void Pipeline::hold(bool on) {
  if (planner_) planner_->hold(on);
  merge_signal_.notify();
}

void Pipeline::stop_after(std::vector<oplog::Timestamp> last) {
  planner_->stop_after(std::move(last));
  merge_signal_.notify();
}

void Pipeline::end_reading() {
  for (auto& reader : readers_) reader.end();
  planner_->stop_at_the_end();
  merge_signal_.notify();
}

std::vector<oplog::Timestamp> Pipeline::read() const {
  std::vector<oplog::Timestamp> out;
  for (oplog::ShardIndex s = 0; s < source_.shards().size(); ++s) out.push_back(journal_->read_up_to(s));
  return out;
}

oplog::Timestamp Pipeline::complete_up_to() const {
  auto shards = read();
  return std::min(merger_.horizon(), *std::min_element(shards.begin(), shards.end()));
}

Pipeline::Observed Pipeline::observe() {
  Observed o;
  // From the end to the beginning: positions only grow, so the law holds in what is seen.
  o.checkpointed = checkpointer_.checkpointed();
  o.applied = frontier_.applied();
  if (planner_) o.planned = planner_->planned();
  auto now = clock_.now();
  for (std::size_t s = 0; s < std::max(readers_.size(), alone_ ? resume_.size() : 0); ++s) {
    auto read = journal_->read_up_to(static_cast<oplog::ShardIndex>(s));
    o.read.push_back(s < o.planned.size() ? std::max(read, o.planned[s]) : read);  // by an earlier run
    if (alone_) continue;
    o.entries_read += readers_[s].entries_read();
    if (s < o.applied.size())
      if (auto ms = readers_[s].oldest_unapplied_ms(o.applied[s]); ms && (!o.oldest_unapplied_ms || *ms < *o.oldest_unapplied_ms)) o.oldest_unapplied_ms = ms;
    o.since_contact = std::max(o.since_contact, std::chrono::duration_cast<std::chrono::milliseconds>(now - readers_[s].last_contact()));
  }
  o.journal = journal_->size();
  o.ops_applied = frontier_.ops_applied();
  o.by_kind = frontier_.ops_by_kind();
  return o;
}

}  // namespace mongotwin::control
