// SPDX-License-Identifier: Apache-2.0
#include "checkpoint/checkpoint.h"

#include <fmt/format.h>

#include <array>

#include "base/error.h"

namespace mongotwin::checkpoint {
namespace {

constexpr std::array kPhases = {"copying", "catching_up", "replicating", "finishing", "finished", "opening", "switched", "failing_over", "failed_over"};

void append_timestamps(bson::Builder& b, const char* name, const std::vector<oplog::Timestamp>& list) {
  b.open_array(name);
  for (std::size_t n = 0; n < list.size(); ++n) b.timestamp(std::to_string(n), list[n]);
  b.close();
}

void append_strings(bson::Builder& b, const char* name, const std::vector<std::string>& list) {
  b.open_array(name);
  for (std::size_t n = 0; n < list.size(); ++n) b.string(std::to_string(n), list[n]);
  b.close();
}

void append_awaited(bson::Builder& b, const std::vector<oplog::Assembler::AwaitedCommit>& awaited) {
  b.open_array("awaited");
  for (std::size_t n = 0; n < awaited.size(); ++n) {
    // The key is the bytes of lsid and txnNumber: kept as text, two hexadecimal digits a byte.
    std::string hex;
    for (unsigned char c : awaited[n].transaction) hex += fmt::format("{:02x}", c);
    b.open_document(std::to_string(n)).int32("shard", static_cast<std::int32_t>(awaited[n].shard)).string("transaction", hex).close();
  }
  b.close();
}

std::vector<oplog::Timestamp> timestamps(bson::View v) {
  std::vector<oplog::Timestamp> out;
  for (const auto& e : v) out.push_back(e.timestamp().value_or(oplog::Timestamp()));
  return out;
}

std::vector<std::string> strings(bson::View v) {
  std::vector<std::string> out;
  for (const auto& e : v) out.emplace_back(e.string().value_or(""));
  return out;
}

}  // namespace

const char* to_string(Phase phase) { return kPhases[static_cast<std::size_t>(phase)]; }

Checkpoint Checkpoint::parse(bson::View d) {
  Checkpoint c;
  auto phase = d.string("phase").value_or("");
  bool known = false;
  for (std::size_t n = 0; n < kPhases.size(); ++n)
    if (phase == kPhases[n]) {
      c.phase = static_cast<Phase>(n);
      known = true;
    }
  if (!known) throw Error(Remedy::pause, fmt::format("the checkpoint on the target has an unknown phase \"{}\"", phase), "it was written by another version of mongotwin; use that version, or remove the checkpoint and copy again");
  c.source_id = d.string("source_id").value_or("");
  c.namespaces = d.string("namespaces").value_or("");
  c.shards = strings(d.fields("shards"));
  c.hosts = strings(d.fields("hosts"));
  c.positions = timestamps(d.fields("positions"));
  c.resume = timestamps(d.fields("resume"));
  c.listed_up_to = timestamps(d.fields("listed_up_to"));
  for (const auto& e : d.fields("awaited")) {
    auto hex = std::string(e.fields().string("transaction").value_or(""));
    std::string bytes;
    for (std::size_t n = 0; n + 1 < hex.size(); n += 2) bytes += static_cast<char>(std::stoi(hex.substr(n, 2), nullptr, 16));
    c.awaited.push_back({static_cast<oplog::ShardIndex>(e.fields().integer("shard").value_or(0)), bytes});
  }
  c.generation = d.integer("generation").value_or(0);
  c.handover = bson::Document::copy_of(d.fields("handover"));
  c.other_way = bson::Document::copy_of(d.fields("other_way"));
  c.notes = strings(d.fields("notes"));
  c.failure = d.string("failure").value_or("");
  if (d["users"]) c.users = strings(d.fields("users"));
  c.catalog = bson::Document::copy_of(d.fields("catalog"));
  c.held = bson::Document::copy_of(d.fields("held"));
  c.balancers = bson::Document::copy_of(d.fields("balancers"));
  c.copy_planned = d["copy_planned"].truthy();
  c.created = strings(d.fields("created"));
  c.emptied = strings(d.fields("emptied"));
  return c;
}

bson::Document Checkpoint::fields_of_users(const std::vector<std::string>& users) {
  bson::Builder b;
  append_strings(b, "users", users);
  return b.finish();
}

void Checkpoint::add_shard(const std::string& name, const std::string& host, oplog::Timestamp start) {
  hosts.resize(shards.size());
  shards.push_back(name);
  hosts.push_back(host);
  positions.push_back(start);
  resume.push_back(start);
  listed_up_to.emplace_back();
}

void Checkpoint::remove_shard(oplog::ShardIndex shard) {
  hosts.resize(shards.size());
  auto erase = [&](auto& list) { list.erase(list.begin() + static_cast<std::ptrdiff_t>(shard)); };
  erase(shards);
  erase(hosts);
  erase(positions);
  erase(resume);
  erase(listed_up_to);
  std::erase_if(awaited, [&](const auto& a) { return a.shard == shard; });
  for (auto& a : awaited) a.shard -= a.shard > shard;
  oplog::Catalog all{oplog::NamespaceFilter()};
  all.load(catalog);
  all.remove_shard(shard);
  catalog = all.to_document();
}

bson::Document Checkpoint::to_fields() const {
  bson::Builder b;
  b.string("phase", to_string(phase)).int64("generation", generation).string("source_id", source_id).string("namespaces", namespaces);
  append_strings(b, "shards", shards);
  append_strings(b, "hosts", hosts);
  append_timestamps(b, "positions", positions);
  append_timestamps(b, "resume", resume);
  append_timestamps(b, "listed_up_to", listed_up_to);
  append_awaited(b, awaited);
  b.document("catalog", catalog).document("held", held);
  b.boolean("copy_planned", copy_planned);
  append_strings(b, "created", created);
  append_strings(b, "emptied", emptied);
  return b.finish();
}

void Checkpointer::save() {
  Lock lock(save_m_);
  if (auto cut = frontier_.take_cut()) {
    if (pending_ && pending_->catalog && !cut->catalog) cut->catalog = std::move(pending_->catalog);
    pending_ = std::move(cut);
  }
  // After the cut: what its DDL holds back must not be missing beside it. Held back too early is harmless, the DDL
  // behind the cut is seen again.
  auto held = held_();
  if (!pending_ && held == held_saved_) return;
  bson::Builder b;
  if (pending_) {
    append_timestamps(b, "positions", pending_->positions);
    append_timestamps(b, "resume", pending_->resume);
    append_awaited(b, pending_->awaited);
    if (pending_->catalog) b.document("catalog", *pending_->catalog);
  }
  b.document("held", held);
  before_save_();
  store_.save(b.finish());
  held_saved_ = held;
  if (!pending_) return;
  Lock state(state_m_);
  for (std::size_t s = 0; s < checkpointed_.size(); ++s) TWIN_INVARIANT(checkpointed_[s] <= pending_->positions[s]);
  checkpointed_ = pending_->positions;
  resume_ = pending_->resume;
  pending_.reset();
}

void Checkpointer::save_phase(Phase phase) {
  save();
  store_.save(bson::Builder().string("phase", to_string(phase)).finish());
}

}  // namespace mongotwin::checkpoint
