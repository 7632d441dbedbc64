// SPDX-License-Identifier: Apache-2.0
#include "oplog/assembler.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "bson/typed_bytes.h"

namespace mongotwin::oplog {
namespace {

bool is_partial_or_prepared(const Entry& entry) { return entry.o["partialTxn"].truthy() || entry.o["prepare"].truthy(); }

// Whether this is one part of a transaction. 7.0 and later also batch plain and retryable writes into applyOps, which
// are complete in themselves: plain ones have no session; retryable ones say multiOpType, and their prevOpTime links
// statements, not the parts of a transaction.
bool is_chained(const Entry& entry) {
  if (entry.transaction.empty() || entry.doc["multiOpType"].truthy()) return false;
  return is_partial_or_prepared(entry) || !entry.previous.is_null();
}

// Whether somebody ran the command applyOps (mongorestore --oplogReplay does). Up to 6.0 it stands in the oplog as it
// was sent, and means what it says: an insert of a document that is there replaces it.
bool is_command_of_a_client(const Entry& entry) { return static_cast<bool>(entry.o["$db"]); }

using DocumentKey = std::pair<const Collection*, std::string>;

DocumentKey key_of(const Op& op) {
  return {op.collection.get(), bson::typed_bytes(op.id())};
}

// What one shard's operations do with a document.
struct Site {
  std::size_t shard;
  bool was_there;         // its first operation is not an insert
  bool stays;             // its last one is not a remove
  std::size_t first_out;  // its first remove
};

std::map<DocumentKey, std::vector<Site>> find_sites(const std::vector<std::vector<Op>>& by_shard) {
  std::map<DocumentKey, std::vector<Site>> sites;
  for (std::size_t s = 0; s < by_shard.size(); ++s)
    for (std::size_t n = 0; n < by_shard[s].size(); ++n) {
      const auto& op = by_shard[s][n];
      if (!op.collection) continue;
      auto& list = sites[key_of(op)];
      if (list.empty() || list.back().shard != s) list.push_back({s, op.kind != OpKind::insert, true, SIZE_MAX});
      list.back().stays = op.kind != OpKind::remove;
      if (op.kind == OpKind::remove) list.back().first_out = std::min(list.back().first_out, n);
    }
  return sites;
}

// A shard-key update moves a document: a delete on one shard, an insert on the other; in one transaction it may move
// on, or back. The shards' prepares say nothing of their order. Document by document: first it leaves the shard where
// it was, then come the shards that it only passed through, and last the one where it stays.
void order_moves(std::vector<std::vector<Op>>& by_shard, std::vector<Op>& out) {
  auto sites = find_sites(by_shard);
  auto turn = [&](std::size_t s, std::size_t n) {
    const auto& op = by_shard[s][n];
    if (!op.collection) return 0;
    const auto& list = sites.at(key_of(op));
    if (list.size() == 1) return 0;
    const auto& site = *std::find_if(list.begin(), list.end(), [&](const Site& x) { return x.shard == s; });
    if (site.was_there && n <= site.first_out) return 0;
    return site.stays ? 2 : 1;
  };
  for (int now : {0, 1, 2})
    for (std::size_t s = 0; s < by_shard.size(); ++s)
      for (std::size_t n = 0; n < by_shard[s].size(); ++n)
        if (turn(s, n) == now) out.push_back(by_shard[s][n]);
}

// Of a transaction that may be in the copy in part, see Assembler::whole(): a document that one shard lets go may have
// been copied from another one by now. What happened to it before it left must not happen to it there.
void only_take_away(std::vector<Op>& ops) {
  struct Document {
    Op first;
    std::size_t last;
  };
  std::map<DocumentKey, Document> documents;
  for (std::size_t n = 0; n < ops.size(); ++n)
    if (ops[n].collection) documents.try_emplace(key_of(ops[n]), Document{ops[n], n}).first->second.last = n;
  std::vector<Op> out;
  for (std::size_t n = 0; n < ops.size(); ++n) {
    auto& op = ops[n];
    const auto* document = op.collection ? &documents.at(key_of(op)) : nullptr;
    if (document && ops[document->last].kind == OpKind::remove) {
      if (n != document->last || document->first.kind == OpKind::insert) continue;
      op.only_as_keyed = true;
      op.doc = document->first.doc;
      op.o = op.key = document->first.key;
    }
    out.push_back(op);
  }
  ops = std::move(out);
}

}  // namespace

bool Assembler::is_barrier(ShardIndex shard, const Entry& entry) const {
  return Catalog::is_ddl(entry) && !in_listing(shard, entry.ts);
}

std::vector<Op> Assembler::feed(ShardIndex shard, const Entry& entry) {
  TWIN_INVARIANT(!has_more());
  std::vector<Op> out;
  if (Catalog::is_ddl(entry)) {
    feed_ddl(shard, entry, entry.ts, out);
  } else if (entry.op == EntryOp::command) {
    auto name = entry.command();
    if (name == "applyOps") feed_apply_ops(shard, entry, out);
    else if (name == "commitTransaction") feed_commit(shard, entry, out);
    else open_.erase({shard, entry.transaction});  // abortTransaction
  } else if (entry.op != EntryOp::noop) {
    feed_write(shard, entry, entry.ts, false, out);
  }
  return out;
}

std::vector<Op> Assembler::more() {
  auto part = std::move(rest_.parts.front());
  rest_.parts.pop_front();
  std::vector<Op> out;
  unwrap(rest_.shard, part, rest_.visible, true, out);
  return out;
}

void Assembler::feed_write(ShardIndex shard, const Entry& entry, Timestamp visible, bool in_transaction, std::vector<Op>& out) {
  if (NamespaceFilter::is_internal_database(entry.database())) return;
  if (!entry.ui) throw Error(Remedy::pause, fmt::format("shard {}: an entry without a UUID on {} (ts {})", shard_names_[shard], entry.ns, to_string(entry.ts)), "the source is older than MongoDB 4.4");
  auto collection = catalog_.written(shard, entry);
  if (!collection) {
    if (in_listing(shard, entry.ts) || entry.from_migrate) return;
    throw Error(Remedy::pause, fmt::format("shard {}: an operation on {} (UUID {}, ts {}), a collection whose creation was never seen", shard_names_[shard], entry.ns, entry.ui->to_string(), to_string(entry.ts)),
                "start again with a new copy, and report this with the oplog entries of that UUID");
  }
  if (!collection->replicated) return;
  // The balancer's own copies and clean-ups; the documents' real history is in the owner's oplog.
  if (entry.from_migrate && !collection->take_migrated) return;
  if (entry.op == EntryOp::insert && entry.ts <= collection->copied_up_to) return;
  Op op{};
  op.kind = entry.op == EntryOp::insert ? OpKind::insert : entry.op == EntryOp::update ? OpKind::update : OpKind::remove;
  op.collection = std::move(collection);
  op.ts = visible;
  op.shard = shard;
  op.doc = entry.doc;
  op.o = entry.o;
  op.key = entry.op == EntryOp::update ? entry.o2.value_or(entry.o) : entry.o;
  op.in_transaction = in_transaction;
  if (!op.id()) throw Error(Remedy::pause, fmt::format("shard {}: an operation without an _id on {} (ts {}): {}", shard_names_[shard], entry.ns, to_string(entry.ts), bson::to_json(entry.o)), "report it with the server's version");
  out.push_back(std::move(op));
}

void Assembler::feed_ddl(ShardIndex shard, const Entry& entry, Timestamp visible, std::vector<Op>& out) {
  if (in_listing(shard, entry.ts) || NamespaceFilter::is_internal_database(entry.database())) return;
  for (auto& ddl : catalog_.apply(shard, entry)) {
    Op op{};
    op.kind = OpKind::ddl;
    op.ts = visible;
    op.shard = shard;
    op.doc = entry.doc;
    op.ddl = std::make_shared<const Ddl>(std::move(ddl));
    out.push_back(std::move(op));
  }
}

void Assembler::unwrap(ShardIndex shard, const Entry& part, Timestamp visible, bool in_transaction, std::vector<Op>& out) {
  for (const auto& e : part.o.fields("applyOps")) {
    auto inner = parse_inner(part, *e.document());
    if (part.from_migrate) inner.from_migrate = true;
    if (inner.op == EntryOp::insert && is_command_of_a_client(part)) inner.op = EntryOp::update;
    if (Catalog::is_ddl(inner)) feed_ddl(shard, inner, visible, out);
    else if (inner.op == EntryOp::command && inner.command() == "applyOps") unwrap(shard, inner, visible, in_transaction, out);
    else if (inner.op != EntryOp::noop) feed_write(shard, inner, visible, in_transaction, out);
  }
}

Assembler::Open& Assembler::hold(ShardIndex shard, const Entry& entry) {
  auto& open = open_[{shard, entry.transaction}];
  // A chain starts with a null prevOpTime: what an earlier try under the same number left is void.
  if (entry.previous.is_null() && !open.emitted) open = Open{};
  if (open.first.is_null()) open.first = entry.ts;
  if (!open.emitted) open.parts.push_back(parse_entry(keep_(entry.doc)));
  open.prepared = open.prepared || entry.o["prepare"].truthy();
  open.maybe_half = open.prepared && !exact_ && entry.ts <= *std::max_element(listed_up_to_.begin(), listed_up_to_.end());
  return open;
}

void Assembler::feed_apply_ops(ShardIndex shard, const Entry& entry, std::vector<Op>& out) {
  if (!is_chained(entry)) return unwrap(shard, entry, entry.ts, !entry.transaction.empty(), out);
  auto& open = hold(shard, entry);
  if (is_partial_or_prepared(entry)) return;
  auto parts = std::move(open.parts);
  if (!parts.front().previous.is_null())
    throw Error(Remedy::resync, fmt::format("shard {}: the transaction that ends at ts {} began before the start position", shard_names_[shard], to_string(entry.ts)), "start again with a new copy");
  open_.erase({shard, entry.transaction});
  rest_ = {shard, entry.ts, std::move(parts)};
  out = more();
}

void Assembler::feed_commit(ShardIndex shard, const Entry& entry, std::vector<Op>& out) {
  auto mine = open_.find({shard, entry.transaction});
  if (mine == open_.end())
    throw Error(Remedy::resync, fmt::format("shard {}: the transaction committed at ts {} was prepared before the start position", shard_names_[shard], to_string(entry.ts)), "start again with a new copy");
  if (mine->second.emitted) {
    open_.erase(mine);
    return;
  }
  std::vector<std::pair<ShardIndex, Open*>> participants;
  for (ShardIndex s = 0; s < shard_names_.size(); ++s) {
    auto it = open_.find({s, entry.transaction});
    if (it == open_.end() || !it->second.prepared || it->second.emitted) continue;
    if (s != shard && it->second.maybe_half) continue;  // at its own commit, unless that is from before the copy
    it->second.emitted = true;
    participants.emplace_back(s, &it->second);
  }
  bool alone = participants.size() == 1 && !participants.front().second->maybe_half;
  std::vector<std::vector<Op>> by_shard;
  for (auto& [s, open] : participants) {
    auto parts = std::exchange(open->parts, {});
    if (alone) {
      rest_ = {s, entry.ts, std::move(parts)};
      break;
    }
    auto& ops = by_shard.emplace_back();
    for (const auto& part : parts) unwrap(s, part, entry.ts, true, ops);
    if (open->maybe_half) only_take_away(ops);
  }
  open_.erase(mine);
  if (alone) out = more();
  else order_moves(by_shard, out);
}

void Assembler::rebuild(ShardIndex shard, const Entry& entry) {
  if (entry.op != EntryOp::command) return;
  auto name = entry.command();
  if (name == "applyOps" && is_chained(entry)) {
    hold(shard, entry);
    if (!is_partial_or_prepared(entry)) open_.erase({shard, entry.transaction});
  } else if (name == "commitTransaction" || name == "abortTransaction") {
    open_.erase({shard, entry.transaction});
  }
}

bool Assembler::whole() const {
  return std::none_of(open_.begin(), open_.end(), [](const auto& o) { return o.second.maybe_half && !o.second.emitted; });
}

std::optional<Timestamp> Assembler::oldest_open(ShardIndex shard) const {
  std::optional<Timestamp> oldest;
  for (const auto& [key, open] : open_)
    if (key.first == shard && !open.emitted && (!oldest || open.first < *oldest)) oldest = open.first;
  return oldest;
}

std::vector<Assembler::AwaitedCommit> Assembler::awaited_commits() const {
  std::vector<AwaitedCommit> out;
  for (const auto& [key, open] : open_)
    if (open.emitted) out.push_back({key.first, key.second});
  return out;
}

void Assembler::restore_awaited(const std::vector<AwaitedCommit>& awaited) {
  for (const auto& a : awaited) {
    auto& open = open_[{a.shard, a.transaction}];
    open.emitted = true;
    open.prepared = true;
  }
}

}  // namespace mongotwin::oplog
