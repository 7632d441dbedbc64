// SPDX-License-Identifier: Apache-2.0
#include "copy/initial_copy.h"

#include <fmt/format.h>

#include <thread>

#include "base/backoff.h"
#include "base/log.h"
#include "base/worker.h"
#include "copy/presplit.h"
#include "mongo/cursor.h"
#include "source/mongo_oplog.h"

namespace mongotwin::copy {

template <class F>
void InitialCopy::retrying(std::stop_token stop, F&& f) {
  Backoff backoff;
  while (!stop.stop_requested()) {
    try {
      f();
      report_({});
      return;
    } catch (const mongo::CommandError& e) {
      if (e.remedy() != Remedy::retry) throw;
      report_(e.what());
      if (!sleep_for(stop, backoff.next())) return;
    }
  }
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
  retrying(stop, [&] { plan = plan_.load(); });
  retrying(stop, [&] { layout_.refresh(); });
  if (stop.stop_requested()) return;
  for (const auto& c : plan.collections) add(c.from, filter);
  take(plan);
  copy_all(plan.views, filter, stop);
}

void InitialCopy::add(const source::SourceCollection& from, const oplog::NamespaceFilter& filter) {
  Lock lock(m_);
  started_ = std::chrono::steady_clock::now();
  auto& copy = collections_.emplace_back(std::make_unique<CollectionCopy>());
  copy->from = from;
  copy->target_ns = filter.target(from.ns);
  indexes_total_ += from.indexes.size();
}

void InitialCopy::copy_all(const std::vector<source::SourceView>& views, const oplog::NamespaceFilter& filter, std::stop_token stop) {
  {
    std::vector<std::jthread> copiers;
    for (int n = 0; n < limits_.copiers; ++n) copiers.emplace_back([this, n, stop] { work(static_cast<std::size_t>(n), stop); });
  }
  {
    Lock lock(m_);
    if (error_) std::rethrow_exception(error_);
  }
  for (const auto& view : views) retrying(stop, [&] { ddl_.create_view(filter.target(view.ns), oplog::view_on_target(filter, view.ns, view.definition), true); });
}

void InitialCopy::save_plan(const std::vector<source::SourceView>& views, std::stop_token stop) {
  Plan plan;
  {
    Lock lock(m_);
    for (const auto& c : collections_) plan.collections.push_back({c->from, c->estimate, false});
    for (const auto& task : tasks_) plan.ranges.push_back({task.what, false, {}, {}});
  }
  plan.views = views;
  retrying(stop, [&] { plan_.save(plan); });
}

void InitialCopy::take(const Plan& plan) {
  Lock lock(m_);
  for (std::size_t n = 0; n < plan.collections.size(); ++n) {
    auto& c = *collections_[n];
    c.estimate = plan.collections[n].estimate;
    if (!plan.collections[n].indexed) continue;
    indexes_done_ += c.from.indexes.size();
    c.done = true;
  }
  for (std::size_t n = 0; n < plan.ranges.size(); ++n) {
    const auto& range = plan.ranges[n];
    auto& c = *collections_.at(range.what.collection);
    ++ranges_total_;
    if (range.done) {
      ++ranges_done_;
      c.documents += range.size.documents;
      c.bytes += range.size.bytes;
      bytes_before_ += range.size.bytes;
      if (range.last) c.last = range.last;
      continue;
    }
    ++c.ranges_left;
    tasks_.push_back({Task::range, range.what, n});
    tasks_.back().what.begun = true;
    ++outstanding_;
  }
  log::info("copy", "going on with a copy that was interrupted: {} of {} ranges are done", ranges_done_, ranges_total_);
  for (std::size_t n = 0; n < plan.collections.size(); ++n)
    if (collections_[n]->ranges_left == 0 && !collections_[n]->done) index_when_whole(n);
}

void InitialCopy::create_targets(std::stop_token stop) {
  layout_.refresh();
  for (std::size_t n = 0;; ++n) {
    CollectionCopy* c = nullptr;
    {
      Lock lock(m_);
      if (n == collections_.size()) break;
      c = collections_[n].get();
    }
    // Sharded beforehand by the user: taken as it is.
    if (!layout_.shard_key(c->target_ns).empty()) continue;
    retrying(stop, [&] {
      ddl_.create_collection(c->target_ns, c->from.options, true);
      if (!c->from.shard_key || !target_.sharded()) return;
      ddl_.shard_collection(c->target_ns, *c->from.shard_key, c->from.shard_key_unique);
      presplit(source_, target_, c->target_ns, *c->from.shard_key, c->from.uuid);
    });
    if (stop.stop_requested()) return;
  }
  layout_.refresh();
}

void InitialCopy::plan_ranges(std::stop_token stop) {
  std::size_t count = 0;
  {
    Lock lock(m_);
    count = collections_.size();
  }
  for (std::size_t n = 0; n < count && !stop.stop_requested(); ++n) {
    CollectionCopy* c = nullptr;
    {
      Lock lock(m_);
      c = collections_[n].get();
    }
    std::vector<Range> ranges;
    retrying(stop, [&] {
      auto size = estimate(source_, c->from);
      ranges = cut(source_, c->from, n, size, limits_.range_bytes);
      Lock lock(m_);
      c->estimate = size;
    });
    Lock lock(m_);
    c->ranges_left = ranges.size();
    ranges_total_ += ranges.size();
    for (auto& range : ranges) {
      tasks_.push_back({Task::range, std::move(range), tasks_.size()});
      ++outstanding_;
    }
  }
}

void InitialCopy::work(std::size_t number, std::stop_token stop) {
  name_this_thread(fmt::format("copy.{:02}", number));
  try {
    RangeCopier copier(source_, target_, layout_, report_, &throttle_);
    while (auto task = next_task(stop)) {
      do_task(*task, copier, stop);
      if (stop.stop_requested()) break;
      Lock lock(m_);
      if (--outstanding_ == 0) wake_.notify_all();
    }
  } catch (...) {
    Lock lock(m_);
    if (!error_) error_ = std::current_exception();
  }
  wake_.notify_all();
}

std::optional<InitialCopy::Task> InitialCopy::next_task(std::stop_token stop) {
  Lock lock(m_);
  wake_.wait(m_, stop, [this]() TWIN_TSA(no_thread_safety_analysis) { return !tasks_.empty() || outstanding_ == 0 || error_; });
  if (stop.stop_requested() || error_ || tasks_.empty()) return {};
  auto task = std::move(tasks_.front());
  tasks_.pop_front();
  return task;
}

void InitialCopy::do_task(const Task& task, RangeCopier& copier, std::stop_token stop) {
  CollectionCopy* c = nullptr;
  {
    Lock lock(m_);
    c = collections_[task.what.collection].get();
  }
  if (task.kind == Task::range) {
    auto size = copier.copy(task.what, *c, [&](const CollectionCopy& again) { recreate(again, stop); }, stop);
    if (stop.stop_requested()) return;
    retrying(stop, [&] { plan_.range_done(task.number, size, c->keeps_order() ? c->last : std::nullopt); });
    if (!stop.stop_requested()) finish_range(task.what.collection);
    return;
  }
  retrying(stop, [&] { ddl_.create_indexes(c->target_ns, c->from.indexes, false); });
  if (stop.stop_requested()) return;
  retrying(stop, note_held_);
  retrying(stop, [&] { plan_.indexed(task.what.collection); });
  c->done = true;
  Lock lock(m_);
  indexes_done_ += c->from.indexes.size();
}

void InitialCopy::recreate(const CollectionCopy& collection, std::stop_token stop) {
  log::info("copy", "{}: reading it was interrupted; its order is part of it, so it is copied again from its start", collection.target_ns);
  retrying(stop, [&] {
    ddl_.apply({oplog::DdlKind::drop, collection.target_ns, {}, false, {}, {}}, true, false);
    ddl_.create_collection(collection.target_ns, collection.from.options, true);
  });
}

std::vector<InitialCopy::CappedPosition> InitialCopy::capped_positions(const std::vector<oplog::Timestamp>& resume) {
  std::vector<CappedPosition> out;
  Lock lock(m_);
  for (const auto& c : collections_) {
    if (!c->last) continue;
    for (auto shard : c->from.shards) {
      auto client = source_.shards()[shard].pool->acquire();
      if (auto ts = source::inserted_at(client, c->from.uuid, (*c->last)["_id"], resume[shard])) out.push_back({c->from.uuid, *ts});
    }
  }
  return out;
}

// The last range of a collection makes room for its indexes.
void InitialCopy::finish_range(std::size_t collection) {
  Lock lock(m_);
  ++ranges_done_;
  if (--collections_[collection]->ranges_left == 0) index_when_whole(collection);
}

void InitialCopy::index_when_whole(std::size_t collection) {
  auto& c = *collections_[collection];
  if (c.from.indexes.empty()) {
    c.done = true;
    return;
  }
  Task task;
  task.kind = Task::indexes;
  task.what.collection = collection;
  tasks_.push_front(std::move(task));
  ++outstanding_;
  wake_.notify_all();
}

status::CopyProgress InitialCopy::progress() const {
  status::CopyProgress p;
  Lock lock(m_);
  for (const auto& c : collections_) {
    status::CollectionProgress one;
    one.ns = c->target_ns;
    one.documents_done = c->documents;
    one.bytes_done = c->bytes;
    one.done = c->done;
    // Estimates count orphans and what was there at the beginning; what is finished is exactly what it is.
    one.documents_total = c->done ? one.documents_done : std::max(c->estimate.documents, one.documents_done);
    one.bytes_total = c->done ? one.bytes_done : std::max(c->estimate.bytes, one.bytes_done);
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
