// SPDX-License-Identifier: Apache-2.0
#include "copy/initial_copy.h"

#include <fmt/format.h>

#include "base/log.h"
#include "base/worker.h"
#include "copy/retrying.h"
#include "copy/target_maker.h"
#include "mongo/cursor.h"
#include "source/mongo_oplog.h"

namespace mongotwin::copy {
namespace {

constexpr std::chrono::milliseconds kLook{100};  // at a number of copiers that may have changed
constexpr std::uint64_t kSaveEveryBytes = 64u << 20;
constexpr std::size_t kQueuedPerCopier = 2;
constexpr const char* kMoved = "moved";

}  // namespace

// To whichever writer is free.
class InitialCopy::QueueSink final : public RangeReader::Sink {
 public:
  QueueSink(InitialCopy& copy, std::shared_ptr<RangeRun> run, std::stop_token stop) : copy_(copy), run_(std::move(run)), stop_(std::move(stop)) {}

  void take(Batch batch) override {
    auto number = run_->took(batch);
    {
      Lock lock(copy_.m_);
      copy_.wait_for(stop_, [this]() TWIN_TSA(no_thread_safety_analysis) {
        // A reader too many ends its range: another could not go on with it.
        auto copiers = copy_.limits_.copiers();
        return copiers > 0 && copy_.queue_.size() < kQueuedPerCopier * static_cast<std::size_t>(copiers);
      });
      if (stop_.stop_requested()) return;
      copy_.queue_.push_back({run_, number, std::move(batch)});
    }
    copy_.wake_.notify_all();
  }
  void again() override { run_->again(stop_); }

 private:
  InitialCopy& copy_;
  std::shared_ptr<RangeRun> run_;
  std::stop_token stop_;
};

// One after the other, in the order they come in.
class InitialCopy::OrderedSink final : public RangeReader::Sink {
 public:
  OrderedSink(InitialCopy& copy, RangeRun& run, BatchWriter& writer, std::stop_token stop) : copy_(copy), run_(run), writer_(writer), stop_(std::move(stop)) {}

  void take(Batch batch) override {
    {
      Lock lock(copy_.m_);
      copy_.wait_for(stop_, [this]() TWIN_TSA(no_thread_safety_analysis) { return copy_.limits_.copiers() > 0; });
    }
    if (stop_.stop_requested()) return;
    auto number = run_.took(batch);
    auto size = writer_.write(batch, run_.collection(), stop_);
    if (stop_.stop_requested()) return;
    // Of a clustered collection the last one says nothing: it is read by _id, not as it was inserted.
    if (run_.collection().keeps_order()) run_.collection().last = LastCopied{bson::Builder().value("_id", batch.documents.back()["_id"]).finish(), {}};
    run_.written(number, size);
  }
  void again() override {
    if (run_.collection().keeps_order()) copy_.recreate(run_.range().collection, stop_);
    run_.again(stop_);
  }

 private:
  InitialCopy& copy_;
  RangeRun& run_;
  BatchWriter& writer_;
  std::stop_token stop_;
};

template <class Ready>
void InitialCopy::wait_for(std::stop_token stop, Ready ready) {
  while (!stop.stop_requested() && !wake_.wait_for(m_, stop, kLook, ready)) {}
}

InitialCopy::Item& InitialCopy::item(std::size_t collection) {
  Lock lock(m_);
  return *items_[collection];
}

void InitialCopy::run(const source::SourceCatalog& catalog, const oplog::NamespaceFilter& filter, const std::function<void()>& planned, std::stop_token stop) {
  for (const auto& c : catalog.collections)
    if (filter.includes(c.ns)) add(c, filter);
  std::vector<source::SourceView> views;
  for (const auto& view : catalog.views)
    if (filter.includes(view.ns)) views.push_back(view);
  create_targets(stop);
  plan_ranges(stop);
  save_plan(views, stop);
  if (stop.stop_requested()) return;
  planned();
  copy_all(views, filter, stop);
}

void InitialCopy::go_on(const oplog::NamespaceFilter& filter, std::stop_token stop) {
  Plan plan;
  retrying(report_, stop, [&] { plan = plan_.load(); });
  retrying(report_, stop, [&] { layout_.refresh(); });
  if (stop.stop_requested()) return;
  for (const auto& c : plan.collections) add(c.from, filter);
  take(plan);
  copy_all(plan.views, filter, stop);
}

void InitialCopy::add(const source::SourceCollection& from, const oplog::NamespaceFilter& filter) {
  Lock lock(m_);
  started_ = std::chrono::steady_clock::now();
  auto& copy = items_.emplace_back(std::make_unique<Item>())->copy;
  copy.from = from;
  copy.target_ns = filter.target(from.ns);
  indexes_total_ += from.indexes.size();
}

void InitialCopy::create_targets(std::stop_token stop) {
  std::vector<TargetMaker::Wanted> wanted;
  {
    Lock lock(m_);
    for (const auto& i : items_) wanted.push_back({&i->copy.from, i->copy.target_ns});
  }
  TargetMaker maker(source_, target_, layout_, ddl_);
  retrying(report_, stop, [&] { maker.prepare(wanted); });
  for (const auto& one : wanted) {
    if (stop.stop_requested()) return;
    retrying(report_, stop, [&] { maker.make(one); });
  }
  retrying(report_, stop, [&] { layout_.refresh(); });
}

void InitialCopy::plan_ranges(std::stop_token stop) {
  std::size_t count = 0;
  {
    Lock lock(m_);
    count = items_.size();
  }
  for (std::size_t n = 0; n < count && !stop.stop_requested(); ++n) {
    auto& c = item(n).copy;
    std::vector<Range> ranges;
    Size size;
    retrying(report_, stop, [&] {
      size = estimate(source_, c.from);
      ranges = cut(source_, c.from, n, {size, limits_.range_bytes, reading_of(c), start_}, stop);
    });
    Lock lock(m_);
    c.estimate = size;
    for (const auto& range : ranges) add_range(range, next_number_++, {});
  }
}

// Read in natural order, two documents of one _id, and one that an update moves from shard to shard, are only found by the
// target's refusal, which takes one place for both.
Reading InitialCopy::reading_of(const CollectionCopy& c) const {
  auto on_target = layout_.shard_key(c.target_ns);
  bool one_owner = c.from.shards.size() == 1 || (c.from.shard_key && source::ShardKey(*c.from.shard_key).is_id());
  if (limits_.reading != Reading::natural || one_owner || on_target.empty() || on_target == std::vector<std::string>{"_id"}) return limits_.reading;
  log::info("copy", "source: {}: read by _id, since in natural order two documents of one _id on different shards would not be found", c.from.ns);
  return Reading::id;
}

void InitialCopy::add_range(const Range& range, std::size_t number, Size before) {
  auto& of = *items_[range.collection];
  ranges_.push_back(std::make_shared<RangeRun>(range, number, before, of.copy));
  ++of.ranges_left;
  ++ranges_total_;
  ++outstanding_;
}

void InitialCopy::save_plan(const std::vector<source::SourceView>& views, std::stop_token stop) {
  Plan plan;
  {
    Lock lock(m_);
    for (const auto& i : items_) plan.collections.push_back({i->copy.from, i->copy.estimate, false, false});
    for (const auto& run : ranges_) plan.ranges.push_back({run->number(), run->range(), false, {}, {}, {}});
  }
  plan.views = views;
  retrying(report_, stop, [&] { plan_.save(plan); });
}

void InitialCopy::take(const Plan& plan) {
  Lock lock(m_);
  for (std::size_t n = 0; n < plan.collections.size(); ++n) {
    auto& i = *items_[n];
    i.copy.estimate = plan.collections[n].estimate;
    i.indexed = plan.collections[n].indexed;
    if (i.indexed) indexes_done_ += i.copy.from.indexes.size();
  }
  next_number_ = plan.next_number;
  for (const auto& range : plan.ranges) {
    auto& i = *items_.at(range.what.collection);
    i.copy.documents += range.size.documents;
    i.copy.bytes += range.size.bytes;
    bytes_before_ += range.size.bytes;
    if (!range.done) {
      auto what = range.what;
      what.begun = true;
      add_range(what, range.number, range.size);
      continue;
    }
    ++ranges_total_;
    ++ranges_done_;
    if (range.what.by == Range::By::natural) i.versions.insert(range.version);
    if (range.last) i.copy.last = range.last;
  }
  log::info("copy", "going on with a copy that was interrupted: {} of {} ranges are done", ranges_done_, ranges_total_);
}

void InitialCopy::copy_all(const std::vector<source::SourceView>& views, const oplog::NamespaceFilter& filter, std::stop_token stop) {
  std::stop_callback forward(stop, [this] { halt_.request_stop(); });
  auto halt = halt_.get_token();
  std::vector<std::size_t> whole;
  std::size_t count = 0;
  {
    Lock lock(m_);
    count = items_.size();
    for (std::size_t n = 0; n < count; ++n)
      if (items_[n]->ranges_left == 0) whole.push_back(n);
  }
  for (std::size_t n = 0; limits_.indexes_before && n < count; ++n) build_indexes_of(n, halt);
  for (auto n : whole) collection_is_whole(n, halt);
  run_threads(halt);
  {
    Lock lock(m_);
    if (error_) std::rethrow_exception(error_);
  }
  for (const auto& view : views) retrying(report_, stop, [&] { ddl_.create_view(filter.target(view.ns), oplog::view_on_target(filter, view.ns, view.definition), true); });
}

void InitialCopy::run_threads(std::stop_token halt) {
  std::vector<std::jthread> threads;
  for (int n = 0; n < limits_.index_builds; ++n) threads.emplace_back([=, this] { guarded(fmt::format("copy.index.{:02}", n), [&] { build_indexes(halt); }); });
  for (int copiers = 0;;) {
    for (auto wanted = limits_.copiers(); copiers < wanted; ++copiers) {
      auto n = copiers;
      threads.emplace_back([=, this] { guarded(fmt::format("copy.read.{:02}", n), [&] { read_ranges(n, halt); }); });
      threads.emplace_back([=, this] { guarded(fmt::format("copy.write.{:02}", n), [&] { write_batches(n, halt); }); });
    }
    Lock lock(m_);
    wake_.wait_for(m_, halt, kLook, [this]() TWIN_TSA(no_thread_safety_analysis) { return outstanding_ == 0; });
    if (halt.stop_requested() || outstanding_ == 0) break;
  }
  halt_.request_stop();
}

template <class F>
void InitialCopy::guarded(const std::string& name, F&& work) {
  name_this_thread(name);
  try {
    work();
  } catch (...) {
    {
      Lock lock(m_);
      if (!error_) error_ = std::current_exception();
    }
    halt_.request_stop();
  }
}

void InitialCopy::read_ranges(int number, std::stop_token stop) {
  RangeReader reader(source_, {limits_.preference, start_}, report_, &throttle_, replies_);
  BatchWriter writer(source_, target_, layout_, report_, commands_);
  while (auto run = next_range(number, stop)) {
    RangeReader::End end{};
    if (run->range().by == Range::By::order) {
      OrderedSink sink(*this, *run, writer, stop);
      end = reader.read(run->range(), run->collection(), sink, stop);
    } else {
      QueueSink sink(*this, run, stop);
      end = reader.read(run->range(), run->collection(), sink, stop);
    }
    if (end == RangeReader::End::stopped || stop.stop_requested()) return;
    if (end == RangeReader::End::gone) run->collection().gone = true;
    if (run->is_read(end == RangeReader::End::moved ? kMoved : reader.version())) finish_range(*run, stop);
  }
}

std::shared_ptr<RangeRun> InitialCopy::next_range(int number, std::stop_token stop) {
  Lock lock(m_);
  wait_for(stop, [&]() TWIN_TSA(no_thread_safety_analysis) { return !ranges_.empty() && number < limits_.copiers(); });
  if (stop.stop_requested()) return nullptr;
  auto run = std::move(ranges_.front());
  ranges_.pop_front();
  return run;
}

void InitialCopy::write_batches(int number, std::stop_token stop) {
  BatchWriter writer(source_, target_, layout_, report_, commands_);
  while (auto next = next_batch(number, stop)) {
    auto& run = *next->run;
    auto size = writer.write(next->batch, run.collection(), stop);
    if (stop.stop_requested()) return;
    next->batch = {};
    bool whole = run.written(next->number, size);
    if (auto progress = run.worth_saving(kSaveEveryBytes)) retrying(report_, stop, [&] { plan_.range_at(run.number(), progress->size, progress->position); });
    if (whole) finish_range(run, stop);
  }
}

std::optional<InitialCopy::Queued> InitialCopy::next_batch(int number, std::stop_token stop) {
  std::optional<Queued> next;
  {
    Lock lock(m_);
    wait_for(stop, [&]() TWIN_TSA(no_thread_safety_analysis) { return !queue_.empty() && number < limits_.copiers(); });
    if (stop.stop_requested()) return {};
    next = std::move(queue_.front());
    queue_.pop_front();
  }
  wake_.notify_all();
  return next;
}

void InitialCopy::finish_range(RangeRun& run, std::stop_token stop) {
  auto& c = run.collection();
  if (c.last) retrying(report_, stop, [&] {
    auto client = source_.shards()[c.from.shards.front()].pool->acquire();
    c.last->was_there = source::newest_position(client);
  });
  retrying(report_, stop, [&] { plan_.range_done(run.number(), run.size(), c.last, run.version()); });
  if (stop.stop_requested()) return;
  auto n = run.range().collection;
  bool last = false;
  {
    Lock lock(m_);
    ++ranges_done_;
    if (run.range().by == Range::By::natural) items_[n]->versions.insert(run.version());
    last = --items_[n]->ranges_left == 0;
  }
  if (last) collection_is_whole(n, stop);
  {
    Lock lock(m_);
    --outstanding_;
  }
  wake_.notify_all();
}

// It has been read; what is left are its indexes, unless documents changed shards while they were read in natural order.
void InitialCopy::collection_is_whole(std::size_t collection, std::stop_token stop) {
  auto& i = item(collection);
  bool moved = false;
  {
    Lock lock(m_);
    moved = i.versions.size() > 1 || i.versions.contains(kMoved);
  }
  if (moved && !i.copy.gone) return read_by_id(collection, stop);
  if (i.copy.key_lacking > 0)
    log::warn("copy", "target: {}: {} documents lack a field of the target's shard key; they count as null there and stay in one chunk", i.copy.target_ns, i.copy.key_lacking.load());
  if (i.indexed || i.copy.from.indexes.empty()) {
    i.copy.done = true;
    return;
  }
  {
    Lock lock(m_);
    to_index_.push_back(collection);
    ++outstanding_;
  }
  wake_.notify_all();
}

// Range by range, each of which is quick enough to be read while no document moves.
void InitialCopy::read_by_id(std::size_t collection, std::stop_token stop) {
  auto& i = item(collection);
  log::info("copy", "source: {}: documents changed their shard while it was read in natural order: reading it again by _id", i.copy.from.ns);
  std::vector<Range> ranges;
  retrying(report_, stop, [&] { ranges = cut(source_, i.copy.from, collection, {estimate(source_, i.copy.from), limits_.range_bytes, Reading::id, start_}, stop); });
  std::size_t first = 0;
  {
    Lock lock(m_);
    first = next_number_;
    next_number_ += ranges.size();
  }
  retrying(report_, stop, [&] { plan_.read_by_id(collection, first, ranges); });
  if (stop.stop_requested()) return;
  {
    Lock lock(m_);
    i.versions.clear();
    i.copy.documents = i.copy.bytes = 0;
    for (auto& range : ranges) {
      range.begun = true;
      add_range(range, first++, {});
    }
  }
  wake_.notify_all();
  if (ranges.empty()) collection_is_whole(collection, stop);
}

void InitialCopy::build_indexes(std::stop_token stop) {
  for (;;) {
    std::size_t n = 0;
    {
      Lock lock(m_);
      wait_for(stop, [this]() TWIN_TSA(no_thread_safety_analysis) { return !to_index_.empty(); });
      if (stop.stop_requested()) return;
      n = to_index_.front();
      to_index_.pop_front();
    }
    build_indexes_of(n, stop);
    if (stop.stop_requested()) return;
    item(n).copy.done = true;
    {
      Lock lock(m_);
      --outstanding_;
    }
    wake_.notify_all();
  }
}

void InitialCopy::build_indexes_of(std::size_t collection, std::stop_token stop) {
  auto& i = item(collection);
  if (i.indexed || i.copy.from.indexes.empty()) return;
  {
    Lock lock(m_);
    indexing_.insert(collection);
  }
  retrying(report_, stop, [&] { ddl_.create_indexes(i.copy.target_ns, i.copy.from.indexes, false); });
  if (stop.stop_requested()) return;
  retrying(report_, stop, note_held_);
  retrying(report_, stop, [&] { plan_.indexed(collection); });
  i.indexed = true;
  Lock lock(m_);
  indexing_.erase(collection);
  indexes_done_ += i.copy.from.indexes.size();
}

void InitialCopy::recreate(std::size_t collection, std::stop_token stop) {
  auto& i = item(collection);
  log::info("copy", "{}: reading it was interrupted; its order is part of it, so it is copied again from its start", i.copy.target_ns);
  retrying(report_, stop, [&] {
    ddl_.apply({oplog::DdlKind::drop, i.copy.target_ns, {}, false, {}, {}}, true, false);
    ddl_.create_collection(i.copy.target_ns, i.copy.from.options, true);
  });
  // Those that this run or an earlier one has built are noted as built.
  if (!i.indexed || i.copy.from.indexes.empty()) return;
  retrying(report_, stop, [&] { ddl_.create_indexes(i.copy.target_ns, i.copy.from.indexes, false); });
  retrying(report_, stop, note_held_);
}

std::vector<InitialCopy::CappedPosition> InitialCopy::capped_positions(const std::vector<oplog::Timestamp>& resume, std::stop_token stop) {
  std::vector<CappedPosition> out;
  Lock lock(m_);
  for (const auto& i : items_) {
    auto& c = i->copy;
    if (!c.last) continue;
    for (auto shard : c.from.shards) {
      auto client = source_.shards()[shard].pool->acquire();
      auto up_to = c.last->was_there.is_null() ? source::newest_position(client) : c.last->was_there;
      if (auto ts = source::inserted_at(client, c.from.uuid, c.last->id["_id"], resume[shard], up_to, stop)) out.push_back({c.from.uuid, *ts});
    }
  }
  return out;
}

status::CopyProgress InitialCopy::progress() const {
  status::CopyProgress p;
  Lock lock(m_);
  for (const auto& i : items_) {
    const auto& c = i->copy;
    status::CollectionProgress one;
    one.ns = c.target_ns;
    one.documents_done = c.documents;
    one.bytes_done = c.bytes;
    one.done = c.done;
    // Estimates count orphans and what was there at the beginning; what is finished is exactly what it is.
    one.documents_total = c.done ? one.documents_done : std::max(c.estimate.documents, one.documents_done);
    one.bytes_total = c.done ? one.bytes_done : std::max(c.estimate.bytes, one.bytes_done);
    p.documents_total += one.documents_total;
    p.documents_done += one.documents_done;
    p.bytes_total += one.bytes_total;
    p.bytes_done += one.bytes_done;
    p.collections.push_back(std::move(one));
  }
  p.ranges_total = ranges_total_;
  p.ranges_done = ranges_done_;
  p.indexes_total = indexes_total_;
  p.indexes_done = indexes_done_;
  auto seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - started_).count();
  if (auto now = p.bytes_done - std::min(bytes_before_, p.bytes_done); now > 0 && seconds > 1)
    p.eta_s = static_cast<std::uint64_t>(static_cast<double>(p.bytes_total - p.bytes_done) * seconds / static_cast<double>(now));
  return p;
}

}  // namespace mongotwin::copy
