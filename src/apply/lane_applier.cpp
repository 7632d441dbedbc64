// SPDX-License-Identifier: Apache-2.0
#include "apply/lane_applier.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <map>
#include <set>

#include "mongo/errors.h"
#include "oplog/delta.h"
#include "plan/doc_key.h"

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

// How often the bytes are in memory at the same time: of what is written, in the write, the command and the driver; of what
// is read before, in the driver, the reply and the final document, and then in its command as above.
constexpr std::size_t kCopiesWritten = 3, kCopiesRead = 3;

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

void remove_all(TargetWriter& writer, const std::string& ns, const std::vector<bson::Document>& queries) {
  if (queries.empty()) return;
  if (auto result = writer.remove(ns, queries, false); !result.errors.empty())
    throw Error(Remedy::pause, fmt::format("target: {}: a delete is refused: {}", ns, result.errors.front().message));
}

Step LaneApplier::step() {
  if (not_before_ && clock_.now() < *not_before_) return Step::idle;
  if (!batch_ && !take_up()) return Step::idle;
  if (!groups_.empty()) return write(groups_.front());
  if (next_round_ < batch_->rounds.size()) open_round(batch_->rounds[next_round_++]);
  else close_batch();
  return Step::progress;
}

std::size_t LaneApplier::step_bytes() const {
  if (groups_.empty()) return 0;
  const auto& group = groups_.front();
  auto needed = kCopiesWritten * std::min(group.bytes, std::max(kCommandBytesMax, group.largest));
  if (!group.reads) return needed;
  auto known = largest_read_.find(group.collection->id);
  auto document = known == largest_read_.end() ? kReplyBytesMax : known->second;
  return needed + kCopiesRead * std::min(document * group.writes.size(), kReadBytesMax + kReplyBytesMax);
}

bool LaneApplier::take_up() {
  batch_ = queue_.try_pop();
  next_round_ = 0;
  parked_ = false;
  return batch_.has_value();
}

void LaneApplier::open_round(plan::Round& round) {
  for (auto& w : round) {
    if (!lot_.empty() && lot_.follow(w)) {
      parked_ = true;
      continue;
    }
    auto it = std::find_if(groups_.begin(), groups_.end(), [&](const auto& g) { return g.collection == w.collection.get(); });
    if (it == groups_.end()) it = groups_.insert(groups_.end(), {w.collection.get(), {}, batch_->tolerant, 0, 0, batch_->tolerant});
    it->writes.push_back(&w);
    it->bytes += w.bytes();
    it->largest = std::max(it->largest, w.bytes());
    it->reads |= w.kind == WriteKind::patch && w.deltas.size() != 1;
  }
}

Step LaneApplier::write(Group& group) {
  const auto& ns = group.collection->ns;
  Writes clashes;
  try {
    if (group.collection->capped) apply_capped(ns, group);
    else if (group.tolerant) clashes = apply_exactly(ns, group.writes, false);
    else apply_fast(ns, group.writes), clashes = std::move(group.writes);  // apply_fast leaves the clashes in `writes`
  } catch (const mongo::CommandError& e) {
    if (e.remedy() != Remedy::retry) throw;
    // The command may have taken place: from here on the documents may be newer than the operations.
    group.tolerant = true;
    not_before_ = clock_.now() + backoff_.next();
    report_(e.what());
    return Step::idle;
  }
  if (not_before_) report_({});
  not_before_.reset();
  backoff_.reset();
  for (auto* w : clashes) lot_.park(std::move(*w));
  parked_ |= !clashes.empty();
  groups_.pop_front();
  return Step::progress;
}

void LaneApplier::close_batch() {
  auto epoch = batch_->epoch;
  batch_.reset();
  if (parked_) frontier_.part_parked(epoch);
  else frontier_.part_done(epoch);
}

LaneApplier::Writes LaneApplier::apply_exactly(const std::string& ns, const Writes& writes, bool strict) {
  std::size_t largest = 0;
  auto clashes = apply_exact(*writer_, ns, writes, strict, &largest);
  auto& known = largest_read_[writes.front()->collection->id];
  known = std::max(largest, known / 2);
  return clashes;
}

void LaneApplier::apply_fast(const std::string& ns, Writes& writes) {
  auto shard_key = writer_->shard_key(ns);
  Sorted sorted;
  for (auto* w : writes) sort_one(*w, shard_key, sorted);
  remove_all(*writer_, ns, sorted.removes);
  auto exact = std::move(sorted.exact);
  if (!sorted.updates.empty()) {
    auto result = writer_->update(ns, sorted.updates, false);
    // A document was not met, or one could not be updated as it is: look at each of them.
    if (!result.errors.empty() || result.n < static_cast<std::int64_t>(sorted.updates.size())) append(exact, sorted.update_of);
  }
  if (!sorted.inserts.empty())
    for (const auto& error : writer_->insert(ns, sorted.inserts, false).errors) exact.push_back(sorted.insert_of[error.index]);
  writes = exact.empty() ? Writes() : apply_exactly(ns, exact, true);
}

// In order, since natural order is part of what a capped collection is. Inserts and removes, which a rolling collection
// has in turn, go together as far as they reach. Tried again, it goes on where it stood: states that the documents have
// left behind may clash with what others are by now.
void LaneApplier::apply_capped(const std::string& ns, Group& group) {
  // What is removed and comes back is for the next run: tried again, this one would remove it from its place.
  std::set<std::uint64_t> removed;
  auto goes_together = [&](const DocWrite* w) {
    auto id = plan::hash_id(w->id(), w->collection->id);
    if (w->kind == WriteKind::remove) {
      removed.insert(id);
      return true;
    }
    return w->kind == WriteKind::put && w->fresh && !removed.contains(id) && !oplog::insert_needs_literal(w->doc);
  };
  const auto& writes = group.writes;
  while (group.done < writes.size()) {
    auto next = writes.begin() + static_cast<long>(group.done);
    removed.clear();
    auto end = lot_.empty() ? std::find_if_not(next, writes.end(), std::ref(goes_together)) : next;
    if (end == next) {
      take_capped(ns, **next, group.tolerant);
      ++group.done;
    } else {
      roll(ns, {next, end}, group.tolerant);
      group.done += static_cast<std::size_t>(end - next);
    }
  }
}

// All removes, then the inserts that none of them takes back: at no time does the collection hold more than the source's
// did, so that it evicts nothing by itself; and tried again, what it inserted is still there.
void LaneApplier::roll(const std::string& ns, const Writes& writes, bool tolerant) {
  std::vector<bson::Document> removes;
  std::map<std::uint64_t, std::size_t> alive;  // hash of _id, since 1 and 1.0 are one document → place among the writes
  for (std::size_t n = 0; n < writes.size(); ++n) {
    auto key = plan::hash_id(writes[n]->id(), writes[n]->collection->id);
    if (writes[n]->kind == WriteKind::put) {
      alive[key] = n;
    } else if (alive.erase(key) == 0 || tolerant) {
      removes.push_back(key_query({}, writes[n]->key));
    }
  }
  remove_all(*writer_, ns, removes);
  std::set<std::size_t> order;
  for (const auto& [key, n] : alive) order.insert(n);
  Writes run;
  std::vector<bson::View> inserts;
  for (auto n : order) {
    run.push_back(writes[n]);
    inserts.push_back(writes[n]->doc);
  }
  for (std::size_t at = 0; at < inserts.size();) {
    auto result = writer_->insert(ns, {inserts.begin() + static_cast<long>(at), inserts.end()}, true);
    if (result.errors.empty()) break;
    at += result.errors.front().index;
    if (result.errors.front().code != mongo::code::kDuplicateKey)
      throw Error(Remedy::pause, fmt::format("target: {}: the document {} is refused: {}", ns, bson::to_json(run[at]->id()), result.errors.front().message));
    take_capped(ns, *run[at++], tolerant);
  }
}

// Where the target may be newer, a clash means that the document is gone again later on: it is parked at once, since
// what follows for it is in this very round. The write itself stays as it is, for it may be tried again.
void LaneApplier::take_capped(const std::string& ns, DocWrite& write, bool tolerant) {
  auto copy = write;
  if (!lot_.empty() && lot_.follow(copy)) {
    parked_ = true;
    return;
  }
  if (apply_exact(*writer_, ns, {&write}, !tolerant).empty()) return;
  if (!tolerant) throw Error(Remedy::pause, fmt::format("target: {}: the document {} clashes on a unique index", ns, bson::to_json(write.id())), "start again with a new copy");
  lot_.park(std::move(copy));
  parked_ = true;
}

}  // namespace mongotwin::apply
