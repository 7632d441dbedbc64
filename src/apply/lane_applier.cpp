// SPDX-License-Identifier: Apache-2.0
#include "apply/lane_applier.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/backoff.h"
#include "mongo/errors.h"
#include "oplog/delta.h"

namespace mongotwin::apply {

using plan::DocWrite;
using plan::WriteKind;

namespace {

// Every path of the target's key is in the document key that the oplog entry carries.
bool covered(const std::vector<std::string>& shard_key, bson::View key) {
  return std::all_of(shard_key.begin(), shard_key.end(), [&](const auto& path) { return path == "_id" || key[path]; });
}

bool changes_key(const std::vector<std::string>& shard_key, const DocWrite& w) {
  return std::any_of(shard_key.begin(), shard_key.end(), [&](const auto& path) {
    return path != "_id" && std::any_of(w.deltas.begin(), w.deltas.end(), [&](const auto& op) { return oplog::touches(op.o, path); });
  });
}

bool keeps_key(const std::vector<std::string>& shard_key, const DocWrite& w) {
  return std::all_of(shard_key.begin(), shard_key.end(), [&](const auto& path) {
    return path == "_id" || (w.key[path] && w.key[path].same_value(w.doc.view().at_path(path)));
  });
}

struct Sorted {
  std::vector<bson::View> inserts;
  std::vector<DocWrite*> insert_of;
  std::vector<UpdateStatement> updates;
  std::vector<DocWrite*> update_of;
  std::vector<bson::Document> removes;
  std::vector<DocWrite*> exact;
};

// True if the patch went onto the list of updates.
bool sort_patch(DocWrite& w, const std::vector<std::string>& shard_key, Sorted& out) {
  if (w.deltas.size() != 1 || changes_key(shard_key, w)) return false;
  auto update = oplog::as_update(w.deltas.front().o);
  if (!update) return false;
  auto key = covered(shard_key, w.key) ? shard_key : std::vector<std::string>();
  out.updates.push_back({key_query(key, w.key), std::move(update->document), update->form == oplog::Update::Form::pipeline, false});
  out.update_of.push_back(&w);
  return true;
}

void sort_one(DocWrite& w, const std::vector<std::string>& shard_key, Sorted& out) {
  if (w.kind == WriteKind::remove) {
    out.removes.push_back(key_query(covered(shard_key, w.key) ? shard_key : std::vector<std::string>(), w.key));
  } else if (w.kind == WriteKind::patch) {
    if (!sort_patch(w, shard_key, out)) out.exact.push_back(&w);
  } else if (w.fresh && !oplog::insert_needs_literal(w.doc)) {
    out.inserts.push_back(w.doc);
    out.insert_of.push_back(&w);
  } else if (!w.fresh && !oplog::replacement_needs_literal(w.doc) && w.id().same_value(w.doc["_id"]) && keeps_key(shard_key, w)) {
    out.updates.push_back({key_query(shard_key, w.key), w.doc, false, false});
    out.update_of.push_back(&w);
  } else {
    out.exact.push_back(&w);
  }
}

void append(std::vector<DocWrite*>& to, const std::vector<DocWrite*>& from) { to.insert(to.end(), from.begin(), from.end()); }

}  // namespace

Step LaneApplier::step(std::stop_token stop) {
  auto batch = queue_.try_pop();
  if (!batch) return Step::idle;
  bool parked = false;
  for (auto& round : batch->rounds) {
    parked |= apply_round(round, batch->tolerant, stop);
    if (stop.stop_requested()) return Step::done;  // not reported as done: a restart goes on from the checkpoint
  }
  if (parked) frontier_.part_parked(batch->epoch);
  else frontier_.part_done(batch->epoch);
  return Step::progress;
}

bool LaneApplier::apply_round(plan::Round& round, bool tolerant, std::stop_token stop) {
  bool parked = false;
  std::vector<std::pair<const oplog::Collection*, Writes>> groups;
  for (auto& w : round) {
    if (!lot_.empty() && lot_.follow(w)) {
      parked = true;
      continue;
    }
    auto it = std::find_if(groups.begin(), groups.end(), [&](const auto& g) { return g.first == w.collection.get(); });
    if (it == groups.end()) it = groups.insert(groups.end(), {w.collection.get(), {}});
    it->second.push_back(&w);
  }
  for (auto& [collection, writes] : groups) parked |= with_retry(collection->ns, writes, tolerant, stop);
  return parked;
}

// Returns true if a document was parked.
bool LaneApplier::with_retry(const std::string& ns, Writes& writes, bool tolerant, std::stop_token stop) {
  Backoff backoff;
  bool waited = false;
  while (!stop.stop_requested()) {
    try {
      Writes clashes;
      if (writes.front()->collection->capped) apply_capped(ns, writes, tolerant);
      else if (tolerant) clashes = apply_exact(*writer_, ns, writes, false);
      else apply_fast(ns, writes), clashes = std::move(writes);  // apply_fast leaves the clashes in `writes`
      if (waited) report_({});
      for (auto* w : clashes) lot_.park(std::move(*w));
      return !clashes.empty();
    } catch (const mongo::CommandError& e) {
      if (e.remedy() != Remedy::retry) throw;
      // The command may have taken place: from here on the documents may be newer than the operations.
      tolerant = true;
      waited = true;
      report_(e.what());
      if (!sleep_for(stop, backoff.next())) break;
    }
  }
  return false;
}

void LaneApplier::apply_fast(const std::string& ns, Writes& writes) {
  auto shard_key = writer_->shard_key(ns);
  Sorted sorted;
  for (auto* w : writes) sort_one(*w, shard_key, sorted);
  if (!sorted.removes.empty()) {
    auto result = writer_->remove(ns, sorted.removes, false);
    if (!result.errors.empty()) throw Error(Remedy::pause, fmt::format("target: {}: a delete is refused: {}", ns, result.errors.front().message));
  }
  auto exact = std::move(sorted.exact);
  if (!sorted.updates.empty()) {
    auto result = writer_->update(ns, sorted.updates, false);
    // A document was not met, or one could not be updated as it is: look at each of them.
    if (!result.errors.empty() || result.n < static_cast<std::int64_t>(sorted.updates.size())) append(exact, sorted.update_of);
  }
  if (!sorted.inserts.empty())
    for (const auto& error : writer_->insert(ns, sorted.inserts, false).errors) exact.push_back(sorted.insert_of[error.index]);
  writes = exact.empty() ? Writes() : apply_exact(*writer_, ns, exact, true);
}

// One after the other, in order: natural order is part of what a capped collection is.
void LaneApplier::apply_capped(const std::string& ns, Writes& writes, bool tolerant) {
  for (std::size_t i = 0; i < writes.size();) {
    Writes run;
    std::vector<bson::View> inserts;
    while (i < writes.size() && writes[i]->kind == WriteKind::put && writes[i]->fresh && !oplog::insert_needs_literal(writes[i]->doc)) {
      inserts.push_back(writes[i]->doc);
      run.push_back(writes[i++]);
    }
    for (std::size_t at = 0; at < inserts.size();) {
      auto result = writer_->insert(ns, {inserts.begin() + static_cast<long>(at), inserts.end()}, true);
      if (result.errors.empty()) break;
      at += result.errors.front().index;
      if (result.errors.front().code != mongo::code::kDuplicateKey)
        throw Error(Remedy::pause, fmt::format("target: {}: the document {} is refused: {}", ns, bson::to_json(run[at]->id()), result.errors.front().message));
      if (!apply_exact(*writer_, ns, {run[at]}, !tolerant).empty())
        throw Error(Remedy::pause, fmt::format("target: {}: the document {} clashes on a unique index", ns, bson::to_json(run[at]->id())), "start again with a new copy");
      ++at;
    }
    if (i < writes.size()) {
      if (!apply_exact(*writer_, ns, {writes[i]}, !tolerant).empty())
        throw Error(Remedy::pause, fmt::format("target: {}: the document {} clashes on a unique index", ns, bson::to_json(writes[i]->id())), "start again with a new copy");
      ++i;
    }
  }
}

}  // namespace mongotwin::apply
