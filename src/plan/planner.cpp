// SPDX-License-Identifier: Apache-2.0
#include "plan/planner.h"

#include <utility>

#include "base/error.h"
#include "plan/doc_key.h"

namespace mongotwin::plan {

using oplog::Op;
using oplog::OpKind;
using oplog::ShardIndex;
using oplog::Timestamp;

Planner::Planner(PlannerLimits limits, Merger& merger, oplog::Assembler& assembler, oplog::Catalog& catalog, Frontier& frontier,
                 std::vector<LaneQueue*> lanes, BarrierWork work)
    : limits_(limits), merger_(merger), assembler_(assembler), catalog_(catalog), frontier_(frontier), lanes_(std::move(lanes)),
      work_(std::move(work)), lanes_used_(lanes_.size()), builders_(lanes_.size()), waiting_(lanes_.size()), lanes_wanted_(lanes_.size()) {}

void Planner::add_lane(LaneQueue& queue) {
  lanes_.push_back(&queue);
  builders_.emplace_back();
  waiting_.emplace_back();
}

void Planner::start_at(std::vector<Timestamp> start, std::vector<Timestamp> exact_after, std::vector<Timestamp> resume) {
  start_ = std::move(start);
  resume_ = std::move(resume);
  exact_after_ = std::move(exact_after);
  last_cut_ = start_;
  for (const auto* some : {&start_, &exact_after_})
    for (auto ts : *some) known_before_ = std::max(known_before_, ts);
  frontier_.start_at(start_);
  Lock lock(m_);
  planned_ = start_;
}

void Planner::hold(bool on) {
  Lock lock(m_);
  if (held_ == on) return;  // drained already, it stays so
  held_ = on;
  drained_ = false;
  moment_.reset();
}

bool Planner::drained() const {
  Lock lock(m_);
  return drained_ && lanes_quiet();
}

std::optional<Timestamp> Planner::moment() const {
  Lock lock(m_);
  return moment_;
}

// While catching up, documents that clash stay parked until the target is exact: they are not under way.
bool Planner::lanes_quiet() const { return (exact_ ? frontier_.in_flight() : frontier_.active()) == 0; }

void Planner::stop_after(std::vector<Timestamp> last) {
  Lock lock(m_);
  stop_after_ = std::move(last);
  stopped_ = false;
}

void Planner::stop_at_the_end() {
  Lock lock(m_);
  stop_at_the_end_ = true;
}

bool Planner::at_the_end() const {
  Lock lock(m_);
  return stop_at_the_end_;
}

std::vector<Timestamp> Planner::planned() const {
  Lock lock(m_);
  return planned_;
}

std::vector<Timestamp> Planner::positions() const {
  auto out = start_;
  for (ShardIndex s = 0; s < out.size(); ++s) out[s] = std::max(out[s], merger_.position(s));
  return out;
}

bool Planner::reached(const std::vector<Timestamp>& goal) const {
  auto at = positions();
  for (ShardIndex s = 0; s < at.size(); ++s)
    if (at[s] < goal[s]) return false;
  return true;
}

bool Planner::rebuilt() const {
  for (ShardIndex s = 0; s < start_.size(); ++s)
    if (merger_.position(s) < start_[s]) return false;
  return true;
}

Step Planner::step() {
  for (std::size_t n = 0; n < limits_.entries_per_step; ++n) {
    auto go = gates();
    if (go == Go::on) go = work_off_backlog();
    if (go == Go::on) go = plan_next();
    if (go == Go::idle) return Step::idle;
  }
  return Step::progress;
}

Planner::Go Planner::gates() {
  if (!hand_over()) return Go::idle;
  bool parked = work_.has_parked && work_.has_parked();
  if (barrier_ || (parked && exact_)) {
    if (open_ops_ > 0 && !barrier_) {
      close_epoch(entry_done());
      return Go::again;
    }
    if (frontier_.active() > 0) return Go::idle;
    if (parked && !work_.resolve_parked()) return Go::idle;
    barrier_ = false;
    return Go::again;
  }
  return change_lanes();
}

Planner::Go Planner::change_lanes() {
  std::size_t wanted = lanes_wanted_;
  if (wanted == lanes_used_ || wanted == 0 || wanted > lanes_.size()) return Go::on;
  if (open_ops_ > 0) {
    close_epoch(entry_done());
    return Go::again;
  }
  if (frontier_.active() > 0) return Go::idle;
  lanes_used_ = wanted;
  return Go::on;
}

Planner::Go Planner::become_exact() {
  if (open_ops_ > 0) close_epoch(true);
  if (!hand_over() || frontier_.active() > 0) return Go::idle;
  if (work_.has_parked && work_.has_parked() && !work_.resolve_parked()) return Go::idle;
  exact_ = true;
  assembler_.become_exact();
  if (work_.start_consistency) {
    auto epoch = frontier_.open(1, make_cut());
    barrier_ = true;
    work_.start_consistency(epoch);
  }
  return Go::again;
}

Planner::Go Planner::work_off_backlog() {
  while (!entry_done()) {
    if (backlog_.empty()) {
      take(assembler_.more());
      continue;
    }
    if (backlog_.front().kind != OpKind::ddl) {
      // A large transaction goes in several epochs, the last of which has the cut.
      if (epoch_full(backlog_.front().o.size())) {
        if (!room_in_flight()) return Go::idle;
        close_epoch(false);
        return Go::again;
      }
      add(backlog_.front());
      backlog_.pop_front();
      continue;
    }
    if (open_ops_ > 0) {
      close_epoch(false);
      barrier_ = true;
      return Go::again;
    }
    if (frontier_.active() > 0 || (work_.has_parked && work_.has_parked())) {
      barrier_ = true;
      return Go::again;
    }
    std::vector<std::shared_ptr<const oplog::Ddl>> ddls;
    while (!backlog_.empty() && backlog_.front().kind == OpKind::ddl) {
      ++open_by_kind_["ddl"];
      ddls.push_back(backlog_.front().ddl);
      backlog_.pop_front();
    }
    close_ddl(std::move(ddls), entry_done());
    return Go::again;
  }
  return Go::on;
}

Planner::Go Planner::plan_next() {
  const auto* next = merger_.peek();
  {
    Lock lock(m_);
    if (stopped_ || (stop_after_ && reached(*stop_after_))) next = nullptr;
  }
  bool over = next == nullptr && at_the_end();
  if (!exact_ && (over || (reached(exact_after_) && rebuilt())) && assembler_.whole()) return become_exact();
  // Shards share a ts often: the first of a second. Between two such entries the source has no state of one moment.
  if (!next || (held_ && !merger_.between_twins(*next)) || lanes_wanted_ == 0) {
    auto step = settle();
    return step == Step::idle ? Go::idle : Go::again;
  }
  if (next->entry.ts <= start_[next->shard]) {
    auto merged = merger_.pop();
    assembler_.rebuild(merged.shard, merged.entry);
    return Go::again;
  }
  bool barrier = assembler_.is_barrier(next->shard, next->entry);
  if (open_ops_ > 0 && (barrier || epoch_full(next->entry.doc.size()))) {
    if (!room_in_flight()) return Go::idle;
    close_epoch(true);
    return Go::again;
  }
  // The catalog may change with this entry: its changes so far belong to the cut before.
  if (barrier && positions() != last_cut_) close_epoch(true);
  auto merged = merger_.pop();
  auto ops = assembler_.feed(merged.shard, merged.entry);
  if (!ops.empty() && ops.front().in_transaction) ++open_by_kind_["transaction"];
  take(std::move(ops));
  return Go::again;
}

void Planner::take(std::vector<Op> ops) {
  backlog_.insert(backlog_.end(), std::make_move_iterator(ops.begin()), std::make_move_iterator(ops.end()));
}

void Planner::add(const Op& op) {
  // Under a collation that is not simple, different strings may be one document: all in one lane.
  bool serial = op.collection->capped || !op.collection->simple_collation;
  auto hash = hash_id(op.id(), op.collection->id);
  auto lane = (serial ? op.collection->id * 0x9e3779b97f4a7c15ULL : hash) % lanes_used_;
  builders_[lane].add(op, hash);
  ++open_ops_;
  open_bytes_ += op.o.size() + 128;
  ++open_by_kind_[to_string(op.kind)];
}

Cut Planner::make_cut() {
  Cut cut;
  cut.positions = positions();
  cut.resume = cut.positions;
  for (ShardIndex s = 0; s < cut.resume.size(); ++s) {
    // Open transactions of a shard are all known once it has been read up to the start; until then the rest stays to be read.
    if (merger_.position(s) < start_[s]) cut.resume[s] = std::max(resume_[s], merger_.position(s));
    if (auto oldest = assembler_.oldest_open(s)) cut.resume[s] = std::min(cut.resume[s], *oldest);
  }
  cut.awaited = assembler_.awaited_commits();
  cut.catalog = catalog_.take_changes();
  cut.ops_by_kind = std::exchange(open_by_kind_, {});
  for (const auto& [kind, n] : cut.ops_by_kind)
    if (kind != "transaction") cut.ops += n;
  last_cut_ = cut.positions;
  Lock lock(m_);
  for (ShardIndex s = 0; s < planned_.size(); ++s) TWIN_INVARIANT(planned_[s] <= cut.positions[s]);
  planned_ = cut.positions;
  return cut;
}

void Planner::close_epoch(bool with_cut) {
  std::size_t parts = 0;
  for (const auto& builder : builders_) parts += !builder.empty();
  auto epoch = frontier_.open(parts, with_cut ? std::optional(make_cut()) : std::nullopt, open_bytes_);
  for (std::size_t lane = 0; lane < lanes_.size(); ++lane)
    if (!builders_[lane].empty()) waiting_[lane] = builders_[lane].take(epoch, !exact_);
  open_ops_ = open_bytes_ = 0;
}

void Planner::close_ddl(std::vector<std::shared_ptr<const oplog::Ddl>> ddls, bool with_cut) {
  auto epoch = frontier_.open(1, with_cut ? std::optional(make_cut()) : std::nullopt);
  barrier_ = true;
  work_.start_ddl(std::move(ddls), epoch);
}

bool Planner::room_in_flight() const {
  auto active = frontier_.active();
  return active == 0 || (active < limits_.epochs_in_flight_max && frontier_.active_bytes() + open_bytes_ <= limits_.bytes_in_flight_max);
}

bool Planner::hand_over() {
  bool all = true;
  for (std::size_t lane = 0; lane < lanes_.size(); ++lane) {
    if (!waiting_[lane]) continue;
    auto bytes = waiting_[lane]->bytes;
    if (lanes_[lane]->try_push(*waiting_[lane], bytes)) waiting_[lane].reset();
    else all = false;
  }
  return all;
}

Step Planner::settle() {
  if (open_ops_ > 0) {
    if (!room_in_flight()) return Step::idle;
    close_epoch(true);
    return Step::progress;
  }
  if (positions() != last_cut_ && room_in_flight()) close_epoch(true);  // only time has passed, or entries that change nothing
  const auto* next = merger_.peek();
  bool at_a_moment = next == nullptr || !merger_.between_twins(*next);
  Lock lock(m_);
  if (held_ && at_a_moment && open_ops_ == 0 && lanes_quiet() && last_cut_ == positions()) drained_ = true;
  bool over = (stop_after_ && reached(*stop_after_)) || (stop_at_the_end_ && exact_ && !held_ && lanes_wanted_ != 0 && merger_.peek() == nullptr);
  if (over && frontier_.in_flight() == 0 && last_cut_ == positions()) stopped_ = true;
  if (drained_ || (stopped_ && at_a_moment))
    if (auto moment = merger_.moment(); moment >= known_before_) moment_ = moment;
  return Step::idle;
}

}  // namespace mongotwin::plan
