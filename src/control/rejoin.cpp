// SPDX-License-Identifier: Apache-2.0
#include "control/rejoin.h"

#include <fcntl.h>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

#include "bson/typed_bytes.h"
#include "control/insist.h"
#include "control/late_writes.h"
#include "control/other_way.h"
#include "mongo/cursor.h"
#include "source/mongo_oplog.h"
#include "source/oplog_reader.h"

namespace mongotwin::control {

using checkpoint::Checkpoint;
using checkpoint::Phase;
using oplog::Timestamp;

namespace {

constexpr int kClashesMost = 64;  // of one document: it may have as many unique indexes
constexpr std::size_t kTogether = 16;  // documents of 16 MB

std::string database_of(const std::string& ns) { return ns.substr(0, ns.find('.')); }
std::string name_of(const std::string& ns) { return ns.substr(ns.find('.') + 1); }

bson::Document find_by_ids(const std::string& ns, const std::vector<bson::View>& keys) {
  auto find = bson::Builder();
  find.string("find", name_of(ns)).open_document("filter").open_document("_id").open_array("$in");
  for (std::size_t n = 0; n < keys.size(); ++n) find.value(std::to_string(n), keys[n]["_id"]);
  find.close().close().close().open_document("readConcern").string("level", "majority").close();
  return find.finish();
}

void write_all(int fd, const std::string& text, const std::string& path) {
  for (std::size_t done = 0; done < text.size();) {
    auto n = ::write(fd, text.data() + done, text.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) throw Error(Remedy::pause, fmt::format("{} can't be written: {}", path, std::strerror(errno)), "make room there and ask for it again; nothing was changed on the old source yet");
    done += static_cast<std::size_t>(n);
  }
}

template <class F>
void insisting(std::stop_token stop, F&& f) {
  insist("rejoin", stop, std::forward<F>(f));
}

mongo::Shard* shard_of(mongo::Cluster& cluster, const std::string& name) {
  auto& shards = cluster.shards();
  auto it = std::find_if(shards.begin(), shards.end(), [&](const auto& shard) { return shard.name == name; });
  return it == shards.end() ? nullptr : &*it;
}

}  // namespace

Rejoin::Rejoin(Parts parts) : p_(std::move(parts)), other_store_(p_.pair.source->router(), p_.options.link) {}

void Rejoin::step(const char* name) {
  log::info("control", "rejoin: {}", name);
  p_.on_step(name);
}

Rejoin::Report Rejoin::run(bool may_copy, std::stop_token stop) {
  step("closing the old source");
  WriteBlock block(*p_.pair.source, p_.options.source_hooks, p_.options.link);
  if (auto obstacle = block.obstacle()) throw Error(Remedy::pause, obstacle->what, obstacle->hint);
  insisting(stop, [&] { block.close(stop); });
  look_beyond_the_cut(may_copy, stop);
  if (only_by_copy_ && !may_copy)
    throw Error(Remedy::pause, fmt::format("the old source can only be taken in again by a new copy, which replaces all that it has: {}", only_by_copy_->what()), "mongotwin rejoin --copy allows that; what it wrote beyond the cut is saved to a file first, as far as its oplogs tell");
  save_file(stop);
  try {
    if (!only_by_copy_) bring_back(stop);
  } catch (const Error& e) {
    if (stop.stop_requested() || !may_copy) throw;
    only_by_copy_ = e;
  }
  if (only_by_copy_) {
    log::warn("control", "rejoin: by a new copy: {}", only_by_copy_->what());
    report_.lines.push_back(fmt::format("the old source is copied anew: {}", only_by_copy_->what()));
  }
  step("changing the roles");
  insisting(stop, [&] { change_roles(only_by_copy_.has_value()); });
  return report_;
}

// And whether the new source can be followed from the failover on.
void Rejoin::look_beyond_the_cut(bool may_copy, std::stop_token stop) {
  step("looking for what it wrote beyond the cut");
  auto next = Checkpoint::parse(bson::Document(p_.saved.other_way));
  try {
    // What expires by itself meanwhile is beyond the cut too.
    insisting(stop, [&] { hold_on_source(p_.pair, next.held, Held::by_source_names); });
    insisting(stop, [&] {
      (void)committed_ends(*p_.pair.source);
      touched_.clear();
      commands_.clear();
      only_by_copy_.reset();
      report_.lines.clear();
      look_at_shards();
      demand_no_capped();
    });
    auto followed = by_name(*p_.pair.target, next.shards);
    for (std::size_t s = 0; s < followed.size(); ++s)
      insisting(stop, [&] {
        source::MongoOplog(*followed[s]->pool).open(next.resume[s]);
        demand_no_rename(*followed[s], next.resume[s]);
      });
  } catch (const Error& e) {
    if (stop.stop_requested() || (e.remedy() != Remedy::resync && !may_copy)) throw;
    demand_copy(e);
  }
}

void Rejoin::look_at_shards() {
  for (std::size_t s = 0; s < p_.saved.shards.size(); ++s) {
    const auto& name = p_.saved.shards[s];
    try {
      auto* shard = shard_of(*p_.pair.source, name);
      if (shard == nullptr) throw Error(Remedy::resync, fmt::format("the old source has no shard {} any more", name));
      look(*shard, p_.saved.positions.at(s), p_.saved.resume.at(s));
    } catch (const Error& e) {
      if (e.remedy() != Remedy::resync) throw;
      demand_copy(e);
      report_.lines.push_back(fmt::format("what the old source's shard {} wrote beyond the cut is not known: {}", name, e.what()));
    }
  }
  for (const auto& shard : p_.pair.source->shards()) {
    if (std::find(p_.saved.shards.begin(), p_.saved.shards.end(), shard.name) != p_.saved.shards.end()) continue;
    demand_copy(Error(Remedy::resync, fmt::format("the old source got the shard {} after the cut", shard.name)));
    report_.lines.push_back(fmt::format("what the old source's shard {} wrote, which it got after the cut, is not in the file", shard.name));
  }
}

void Rejoin::demand_copy(const Error& why) {
  if (!only_by_copy_) only_by_copy_ = why;
}

std::vector<mongo::Shard*> Rejoin::by_name(mongo::Cluster& cluster, const std::vector<std::string>& names) {
  std::vector<mongo::Shard*> out;
  for (const auto& name : names)
    if (auto* shard = shard_of(cluster, name)) out.push_back(shard);
  if (out.size() != names.size() || cluster.shards().size() != names.size())
    throw Error(Remedy::resync, fmt::format("{}: its shards are {} now, at the failover they were {}", cluster.label(), fmt::join(cluster.shard_names(), ", "), fmt::join(names, ", ")));
  return out;
}

// A document that is looked up by its collection's name of then would not be found.
void Rejoin::demand_no_rename(mongo::Shard& shard, Timestamp since) {
  if (touched_.empty()) return;
  auto client = shard.pool->acquire();
  auto find = bson::Builder();
  find.string("find", "oplog.rs").open_document("filter").open_document("ts").timestamp("$gt", since).close().string("op", "c").open_document("o.renameCollection").open_array("$in");
  std::size_t n = 0;
  for (const auto& [ns, documents] : touched_) find.string(std::to_string(n++), p_.pair.filter.target(ns));
  find.close().close().close().int32("limit", 1);
  for (const auto& entry : mongo::fetch_all(client, "local", find.finish()))
    throw Error(Remedy::resync, fmt::format("{} was renamed on the new source since the failover, and the old one had written to it beyond the cut", entry.view().fields("o").string("renameCollection").value_or("")));
}

// From `resume` on: the parts of a transaction that was open at the cut stand before it.
void Rejoin::look(mongo::Shard& shard, Timestamp cut, Timestamp resume) {
  auto from = std::min(cut, resume);
  source::MongoOplog(*shard.pool).open(from);
  auto client = shard.pool->acquire();
  auto find = bson::Builder().string("find", "oplog.rs").open_document("filter").open_document("ts").timestamp("$gte", from).close().close().int32("batchSize", 1000)
                  .open_document("readConcern").string("level", "majority").close().finish();
  mongo::Cursor cursor(client, "local", find);
  while (auto batch = cursor.next())
    for (const auto& e : batch->array) {
      auto entry = *e.document();
      bool beyond = entry["ts"].timestamp().value_or(Timestamp()) > cut;
      if (beyond || entry.fields("o")["applyOps"]) take(shard.name, entry);
    }
}

void Rejoin::take(const std::string& shard, bson::View entry) {
  if (!source::is_relevant(entry) || entry["fromMigrate"].truthy()) return;
  auto op = std::string(entry.string("op").value_or(""));
  auto ts = entry["ts"].timestamp().value_or(Timestamp());
  auto ns = std::string(entry.string("ns").value_or(""));
  auto o = entry.fields("o");
  if (op == "n") return;
  auto add_command = [&](const char* last) {
    auto line = bson::Builder();
    line.string("ns", ns).string("shard", shard).string("last", last).string("at", oplog::to_string(ts)).document("command", o);
    commands_.push_back(line.finish());
  };
  if (op == "c") {
    for (const auto& inner : o.fields("applyOps")) {
      auto whole = bson::Builder();
      whole.fields_of(inner.fields()).timestamp("ts", ts);
      take(shard, whole.finish());
    }
    auto command = o.begin();
    if (command == nullptr || command->key() == "applyOps" || command->key() == "commitTransaction" || command->key() == "abortTransaction") return;
    if (command->key() == "collMod" && changes_expiry_only(o)) return;  // a change of roles does that
    auto about = command->key() == "renameCollection" ? std::string(command->string().value_or("")) : database_of(ns) + "." + std::string(command->string().value_or(""));
    bool renamed_into = command->key() == "renameCollection" && p_.pair.filter.includes(o.string("to").value_or(""));
    if (!p_.pair.filter.includes(about) && !renamed_into) return;
    demand_copy(Error(Remedy::resync, fmt::format("shard {} has changed definitions beyond the cut: {} (ts {})", shard, bson::to_json(o, 200), oplog::to_string(ts))));
    add_command("command");
    if (command->key() == "renameCollection") follow_rename(about, std::string(o.string("to").value_or("")));
    return;
  }
  if (!p_.pair.filter.includes(ns)) return;
  if (name_of(ns) == "system.views") {
    demand_copy(Error(Remedy::resync, fmt::format("shard {} has changed views of {} beyond the cut (ts {})", shard, database_of(ns), oplog::to_string(ts))));
    add_command("view");
    return;
  }
  auto id = (op == "u" ? entry.fields("o2") : o)["_id"];
  if (!id) return;
  auto bytes = bson::typed_bytes(id);
  touched_[ns][bytes] = {op, ts, bson::Builder().value("_id", id).finish()};
}

// Documents are looked up where they are now. Of those that came by a rename from outside the selection, as $out does it,
// nothing is known.
void Rejoin::follow_rename(const std::string& from, const std::string& to) {
  if (!p_.pair.filter.includes(from)) {
    report_.lines.push_back(fmt::format("documents that came into {} by a rename of {} beyond the cut are not in the file", to, from));
    return;
  }
  auto moved = touched_.extract(from);
  if (moved.empty()) return;
  for (auto& [bytes, touched] : moved.mapped()) touched_[to].insert_or_assign(bytes, std::move(touched));  // each shard has its part
}

void Rejoin::demand_no_capped() {
  auto client = p_.pair.source->router().acquire();
  for (const auto& [ns, documents] : touched_) {
    auto list = bson::Builder().int32("listCollections", 1).open_document("filter").string("name", name_of(ns)).close().finish();
    for (const auto& listed : mongo::fetch_all(client, database_of(ns), list))
      if (listed.view().fields("options")["capped"].truthy()) demand_copy(Error(Remedy::resync, fmt::format("documents were written into the capped collection {} beyond the cut, whose order can't be put right", ns)));
  }
}

// One line a document, as the old source has it now; durable before anything of it is changed. A rejoin that was broken
// off may have changed some already: the file that it made has them as they were, and stays known.
void Rejoin::save_file(std::stop_token stop) {
  step("saving what it wrote beyond the cut");
  std::vector<std::string> earlier;
  bson::Document handover;
  insisting(stop, [&] {
    auto saved = p_.store.load();
    handover = bson::Document::copy_of(saved ? saved->view().fields("handover") : p_.saved.handover.view());
  });
  for (const auto& file : handover.view().fields("files")) earlier.emplace_back(file.string().value_or(""));
  std::size_t count = 0;
  for (const auto& [ns, documents] : touched_) count += documents.size();
  if (count + commands_.size() > 0) {
    auto path = new_file();
    write_file(path, stop);
    auto fields = bson::Builder();
    for (const auto& e : handover.view())
      if (e.key() != "files") fields.value(e.key(), e);
    fields.open_array("files");
    for (std::size_t n = 0; n < earlier.size(); ++n) fields.string(std::to_string(n), earlier[n]);
    fields.string(std::to_string(earlier.size()), path).close();
    handover = fields.finish();
    insisting(stop, [&] { p_.store.save(bson::Builder().document("handover", handover).finish()); });
    report_.lines.push_back(fmt::format("{} documents that the old source wrote beyond the cut are in {}", count, path));
    if (!commands_.empty()) report_.lines.push_back(fmt::format("and {} changes of its definitions", commands_.size()));
  } else if (!only_by_copy_ && earlier.empty()) {
    report_.lines.emplace_back("the old source had written nothing beyond the cut");
  }
  if (!earlier.empty()) report_.lines.push_back(fmt::format("as they were before a rejoin that was broken off: {}", fmt::join(earlier, ", ")));
  for (const auto& line : report_.lines) log::warn("control", "rejoin: {}", line);
}

std::string Rejoin::new_file() const {
  auto now = std::chrono::system_clock::now();
  auto directory = std::filesystem::absolute(p_.options.journal.path).parent_path();
  auto milliseconds = std::chrono::duration_cast<std::chrono::milliseconds>(now.time_since_epoch()).count() % 1000;
  return (directory / fmt::format("{}.beyond-the-cut.{:%Y%m%dT%H%M%S}.{:03}Z.json", p_.options.link, fmt::gmtime(std::chrono::system_clock::to_time_t(now)), milliseconds)).string();
}

void Rejoin::write_file(const std::string& path, std::stop_token stop) {
  int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0) throw Error(Remedy::pause, fmt::format("{} can't be made: {}", path, std::strerror(errno)), "make the directory writable and ask for it again");
  struct Closer {
    int fd;
    ~Closer() { ::close(fd); }
  } closer{fd};
  for (const auto& command : commands_) write_all(fd, bson::to_canonical_json(command) + "\n", path);
  for (const auto& [ns, documents] : touched_) {
    std::vector<bson::View> keys;
    auto flush = [&] {
      std::map<std::string, bson::Document> there;
      insisting(stop, [&] {
        auto client = p_.pair.source->router().acquire();
        for (auto& d : mongo::fetch_all(client, database_of(ns), find_by_ids(ns, keys))) {
          auto id = d["_id"];
          there.insert_or_assign(bson::typed_bytes(id), d);
        }
      });
      std::string text;
      for (const auto& key : keys) {
        auto id = key["_id"];
        auto bytes = bson::typed_bytes(id);
        const auto& touched = documents.at(bytes);
        auto found = there.find(bytes);
        auto line = bson::Builder();
        line.string("ns", ns).value("_id", id).string("last", touched.op == "i" ? "insert" : touched.op == "u" ? "update" : "delete").string("at", oplog::to_string(touched.ts));
        found == there.end() ? line.null("document") : line.document("document", found->second);
        text += bson::to_canonical_json(line.finish()) + "\n";
      }
      write_all(fd, text, path);
      keys.clear();
    };
    for (const auto& [bytes, touched] : documents) {
      keys.push_back(touched.key);
      if (keys.size() == kTogether) flush();
    }
    if (!keys.empty()) flush();
  }
  int directory = ::open(std::filesystem::path(path).parent_path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  Closer directory_closer{directory};
  if (::fsync(fd) != 0 || directory < 0 || ::fsync(directory) != 0) throw Error(Remedy::pause, fmt::format("{} can't be written: {}", path, std::strerror(errno)), "make room there and ask for it again");
}

// To what the new source has now; it is followed from the failover on, tolerantly, and what it did since leads there again.
// First all go, then all come: two of them may claim one unique value.
void Rejoin::bring_back(std::stop_token stop) {
  step("bringing back what it wrote beyond the cut");
  apply::TargetLayout layout(p_.pair.source->router(), p_.pair.source->sharded());
  insisting(stop, [&] { layout.refresh(); });
  auto each = [&](auto&& f) {
    for (const auto& [ns, documents] : touched_) {
      std::vector<bson::Document> keys;
      for (const auto& [bytes, touched] : documents) {
        keys.push_back(touched.key);
        if (keys.size() < kTogether) continue;
        insisting(stop, [&] { f(ns, keys); });
        keys.clear();
      }
      if (!keys.empty()) insisting(stop, [&] { f(ns, keys); });
    }
  };
  each([&](const std::string& ns, const std::vector<bson::Document>& keys) {
    auto result = apply::MongoWriter(p_.pair.source->router(), layout).remove(ns, keys, false);
    if (!result.errors.empty()) throw Error(Remedy::pause, fmt::format("old source: documents of {} can't be removed: {}", ns, result.errors.front().message), "see to what stands in the way and ask for it again");
  });
  each([&](const std::string& ns, const std::vector<bson::Document>& keys) { bring_back_some(ns, keys, layout); });
}

void Rejoin::bring_back_some(const std::string& ns, const std::vector<bson::Document>& keys, const apply::TargetLayout& layout) {
  auto there = p_.pair.filter.target(ns);
  auto client = p_.pair.target->router().acquire();
  apply::MongoWriter writer(p_.pair.source->router(), layout);
  auto also = keys;
  while (!also.empty()) {
    auto now = std::exchange(also, {});
    std::vector<bson::View> views(now.begin(), now.end());
    for (auto& document : mongo::fetch_all(client, database_of(there), find_by_ids(there, views))) {
      // Under a collation it may be another document, of another shard.
      if (std::none_of(now.begin(), now.end(), [&](const auto& key) { return key["_id"].same_value(document["_id"]); })) continue;
      insert_alone(ns, writer, document, also);
    }
  }
}

// A document that nobody has touched beyond the cut may hold a unique value that it has given up since, on the new
// source: it goes too, and comes as it is there now.
void Rejoin::insert_alone(const std::string& ns, apply::MongoWriter& writer, const bson::Document& document, std::vector<bson::Document>& also) {
  auto key = bson::Builder().value("_id", document["_id"]).finish();
  for (int clashes = 0;; ++clashes) {
    (void)writer.remove(ns, {key}, false);  // of an earlier try
    bson::Document held_by;
    try {
      writer.replace_all(ns, {}, {document.view()});
      return;
    } catch (const mongo::CommandError& e) {
      if (e.code() != mongo::code::kDuplicateKey || clashes == kClashesMost) throw;
      auto refused = writer.insert(ns, {document.view()}, true);
      if (refused.errors.empty()) return;
      held_by = refused.errors.front().key_value;
      if (held_by.empty()) throw;
    }
    for (const auto& other : writer.find(ns, held_by)) {
      auto other_key = bson::Builder().value("_id", other["_id"]).finish();
      (void)writer.remove(ns, {other_key}, false);
      also.push_back(std::move(other_key));
    }
  }
}

void Rejoin::change_roles(bool copies) {
  auto next = Checkpoint::parse(bson::Document(p_.saved.other_way));
  next.generation = p_.saved.generation + 1;
  // Only some documents are as they are there now: it is no state that the new source has had before it has caught up.
  next.phase = copies ? Phase::copying : Phase::catching_up;
  if (copies) {
    next.copy_planned = false;
    next.held = {};
    // An interrupted copy drops what it has made; this one begins by dropping what is there.
    next.created = namespaces_of(*p_.pair.source, [&](const auto& ns) { return p_.pair.filter.includes(ns); });
  }
  demand_own_place(p_.pair, p_.options.link);
  other_store_.remove();
  auto fields = bson::Builder();
  fields.fields_of(next.to_fields()).open_document("handover").string("kind", "rejoin").boolean("target_closed", true).close();
  if (p_.saved.users) fields.fields_of(Checkpoint::fields_of_users(*p_.saved.users));
  other_store_.save(fields.finish());
  p_.store.save(bson::Builder().string("phase", to_string(Phase::switched)).document("handover", bson::View()).finish());
}

}  // namespace mongotwin::control
