// SPDX-License-Identifier: Apache-2.0
#include "apply/parking_lot.h"

#include <fmt/format.h>

#include <set>

#include "apply/lane_applier.h"
#include "base/log.h"
#include "mongo/errors.h"
#include "oplog/delta.h"
#include "plan/doc_key.h"

namespace mongotwin::apply {
namespace {

using plan::DocWrite;
using plan::WriteKind;

constexpr std::size_t kTogetherMax = 1000;             // documents looked at together, and in one transaction
constexpr std::size_t kTogetherBytesMax = 8u << 20;
constexpr std::size_t kChainShare = 4;                 // a pass that settles less than a quarter is following a chain

std::size_t bytes_of(const DocWrite& w) {
  std::size_t bytes = w.doc.size();
  for (const auto& op : w.deltas) bytes += op.o.size();
  return bytes;
}

void fold_onto(DocWrite& parked, DocWrite& next) {
  if (next.kind != WriteKind::patch) {
    parked.kind = next.kind;
    parked.doc = std::move(next.doc);
    parked.deltas.clear();
    parked.fresh = false;
    return;
  }
  for (auto& op : next.deltas) {
    if (parked.kind == WriteKind::put) parked.doc = oplog::apply_delta(parked.doc, op.o);
    else if (parked.kind == WriteKind::patch) parked.deltas.push_back(std::move(op));
  }
}

// The state that the document shall have in the end; nullopt if it shall be gone.
std::optional<bson::Document> final_state(TargetWriter& writer, const std::string& ns, const DocWrite& w, std::optional<bson::Document>& current) {
  auto found = writer.find(ns, bson::Builder().value("_id", w.id()).finish());
  if (!found.empty()) current = found.front();
  if (w.kind == WriteKind::remove) return {};
  if (w.kind == WriteKind::put) return w.doc;
  if (!current) return {};
  auto doc = *current;
  for (const auto& op : w.deltas) doc = oplog::apply_delta(doc, op.o);
  return doc;
}

// A ring of documents that wait for each other's unique values: all out and all in again, in one transaction.
void swap_in_transaction(TargetWriter& writer, const std::string& ns, const std::vector<const DocWrite*>& ring) {
  auto shard_key = writer.shard_key(ns);
  std::vector<bson::Document> removes, finals;
  for (const auto* w : ring) {
    std::optional<bson::Document> current;
    auto state = final_state(writer, ns, *w, current);
    if (current) removes.push_back(key_query(shard_key, *current));
    if (state) finals.push_back(*state);
  }
  std::vector<bson::View> inserts(finals.begin(), finals.end());
  try {
    writer.replace_all(ns, removes, inserts);
  } catch (const mongo::CommandError& e) {
    if (e.code() != mongo::code::kDuplicateKey) throw;
    throw Error(Remedy::pause, fmt::format("target: {}: the document {} clashes on a unique index with one that the source does not have: {}", ns, bson::to_json(ring.front()->id()), e.what()),
                "something else wrote to the target; remove the document that stands in the way");
  }
}

}  // namespace

ParkingLot::Key ParkingLot::key_of(const DocWrite& w) { return {w.collection->id, plan::hash_id(w.id(), w.collection->id)}; }

void ParkingLot::park(DocWrite write) {
  Lock lock(m_);
  auto key = key_of(write);
  parked_.emplace(std::move(key), std::move(write));
  count_ = parked_.size();
}

bool ParkingLot::follow(DocWrite& write) {
  Lock lock(m_);
  auto it = parked_.find(key_of(write));
  if (it == parked_.end()) return false;
  fold_onto(it->second, write);
  return true;
}

bool ParkingLot::resolve(TargetWriter& writer) {
  Lock lock(m_);
  if (not_before_ && clock_.now() < *not_before_) return false;
  try {
    resolve_all(writer);
  } catch (const mongo::CommandError& e) {
    if (e.remedy() != Remedy::retry) throw;
    not_before_ = clock_.now() + backoff_.next();
    report_(e.what());
    return false;
  }
  if (not_before_) report_({});
  not_before_.reset();
  backoff_.reset();
  parked_.clear();
  count_ = 0;
  return true;
}

// May break off anywhere and be called again: a state that is there already is not written twice. A chain, in which each
// document waits for the next one to give its value away, would settle by one or two documents a pass.
void ParkingLot::resolve_all(TargetWriter& writer) {
  log::debug("apply", "{} documents clashed on unique indexes while lanes ran in parallel; bringing them to their final states", parked_.size());
  for (bool again = true; again && !parked_.empty();) {
    auto before = parked_.size();
    settle_some(writer);
    auto settled = before - parked_.size();
    again = settled > 0 && (settled >= before / kChainShare || parked_.size() > kTogetherMax);
  }
  std::map<std::string, std::vector<const DocWrite*>> rings;
  for (const auto& [key, write] : parked_) rings[write.collection->ns].push_back(&write);
  for (const auto& [ns, ring] : rings) swap_in_transaction(writer, ns, ring);
}

// One pass: each parked write is tried once, many together; what took place is parked no more.
void ParkingLot::settle_some(TargetWriter& writer) {
  std::vector<DocWrite*> together;
  std::size_t bytes = 0;
  std::set<const DocWrite*> clashing;
  auto flush = [&] {
    if (together.empty()) return;
    for (const auto* w : apply_exact(writer, together.front()->collection->ns, together, false)) clashing.insert(w);
    together.clear();
    bytes = 0;
  };
  for (auto& [key, write] : parked_) {
    if (!together.empty() && (together.front()->collection->ns != write.collection->ns || together.size() == kTogetherMax || bytes > kTogetherBytesMax)) flush();
    together.push_back(&write);
    bytes += bytes_of(write);
  }
  flush();
  std::erase_if(parked_, [&](const auto& p) { return !clashing.contains(&p.second); });
}

}  // namespace mongotwin::apply
