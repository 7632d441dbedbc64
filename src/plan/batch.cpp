// SPDX-License-Identifier: Apache-2.0
#include "plan/batch.h"

#include "oplog/delta.h"

namespace mongotwin::plan {

using oplog::Op;
using oplog::OpKind;

namespace {
constexpr std::size_t kKeptWhole = 64u << 10;  // a larger entry is not kept for its key alone
}

std::size_t DocWrite::bytes() const {
  std::size_t n = 128 + doc.size() + key.size();
  for (const auto& op : deltas) n += op.o.size() + 128;
  return n;
}

DocWrite to_write(const Op& op) {
  DocWrite w;
  w.collection = op.collection;
  bool large = op.key.size() < op.doc.size() / 4 && op.doc.size() > kKeptWhole;
  w.key_owner = large ? bson::Document::copy_of(op.key) : op.doc;
  w.key = large ? w.key_owner.view() : op.key;
  w.ts = op.ts;
  if (op.kind == OpKind::insert) {
    w.kind = WriteKind::put;
    w.fresh = true;
    w.doc = bson::Document(std::make_shared<bson::Document>(op.doc), op.o);
  } else if (op.kind == OpKind::remove) {
    w.kind = WriteKind::remove;
    w.may_be_absent = op.collection->capped;
    w.only_as_keyed = op.only_as_keyed;
  } else if (oplog::classify(op.o) == oplog::UpdateKind::replacement) {
    w.kind = WriteKind::put;
    w.doc = oplog::replacement(op.o);
  } else {
    w.kind = WriteKind::patch;
    w.deltas.push_back(op);
  }
  return w;
}

bool fold(DocWrite& w, const Op& op) {
  // 1 and 1.0 are one document to the server, but not the same bytes: such a pair must be written step by step.
  if (!w.id().same_value(op.id()) || w.only_as_keyed || op.only_as_keyed) return false;
  auto next = to_write(op);
  switch (next.kind) {
    case WriteKind::remove:
      w.may_be_absent = next.may_be_absent || (w.kind == WriteKind::put && w.fresh);
      w.kind = WriteKind::remove;
      w.doc = {};
      w.deltas.clear();
      break;
    case WriteKind::put:
      // Removed and inserted again: what is there before may be anything, so it is not fresh.
      w.fresh = w.fresh && w.kind == WriteKind::put;
      w.kind = WriteKind::put;
      w.doc = std::move(next.doc);
      w.deltas.clear();
      break;
    case WriteKind::patch:
      if (w.kind == WriteKind::put) w.doc = oplog::apply_delta(w.doc, op.o);
      else if (w.kind == WriteKind::patch) w.deltas.push_back(op);
      // An update of a document just removed: its history is seen twice (a catch-up), the removal stands.
      break;
  }
  w.ts = op.ts;
  ++w.ops;
  return true;
}

void BatchBuilder::add(const Op& op, std::uint64_t hash) {
  ++batch_.ops;
  auto known = op.collection->capped ? last_.end() : last_.find(hash);
  if (known != last_.end()) {
    auto [round, index] = known->second;
    auto& write = batch_.rounds[round][index];
    if (write.collection == op.collection && fold(write, op)) return;
  }
  std::size_t round = known == last_.end() ? 0 : known->second.first + 1;
  // A capped collection keeps its order: nothing is folded, every write goes behind the one before it.
  if (op.collection->capped && !batch_.rounds.empty()) round = batch_.rounds.size() - 1;
  if (batch_.rounds.size() <= round) batch_.rounds.resize(round + 1);
  batch_.rounds[round].push_back(to_write(op));
  batch_.bytes += batch_.rounds[round].back().bytes();
  last_[hash] = {round, batch_.rounds[round].size() - 1};
}

LaneBatch BatchBuilder::take(std::uint64_t epoch, bool tolerant) {
  auto out = std::move(batch_);
  batch_ = LaneBatch();
  last_.clear();
  out.epoch = epoch;
  out.tolerant = tolerant;
  return out;
}

}  // namespace mongotwin::plan
