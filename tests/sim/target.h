// SPDX-License-Identifier: Apache-2.0
// Target: a model of the cluster that is written to, with the semantics that matter: unique indexes, counts of what was
// met, updates interpreted field by field, shard keys that an update may not change, and answers that get lost.
// FakeWriter: the TargetWriter seam on it.
#pragma once

#include <functional>

#include "apply/holds.h"
#include "apply/target_writer.h"
#include "model.h"
#include "oplog/op.h"
#include "source.h"

namespace mongotwin::sim {

// The process dies here: nothing of it is left but what is on the target.
struct Crash {};

// What may go wrong with a command. Percentages.
struct Faults {
  int refused = 0, lost = 0, partial = 0, twice = 0;
  int crash_per_mille = 0;
};

class Target {
 public:
  Target(Random& random, Trace trace, Faults faults) : random_(random), trace_(std::move(trace)), faults_(faults) {}
  // Empty: a replica set. Otherwise every sharded collection of the source gets this key here.
  std::vector<std::string> key_of_sharded;

  apply::WriteResult insert(const std::string& ns, const std::vector<Value>& docs, bool ordered, std::size_t count);
  apply::WriteResult update(const std::string& ns, const std::vector<apply::UpdateStatement>& updates, bool ordered, std::size_t count);
  apply::WriteResult remove(const std::string& ns, const std::vector<bson::Document>& queries, std::size_t count);
  [[nodiscard]] apply::FindResult find(const std::string& ns, bson::View filter, bool all) const;
  void replace_all(const std::string& ns, const std::vector<bson::Document>& remove_queries, const std::vector<bson::View>& inserts);
  [[nodiscard]] std::vector<std::string> shard_key(const std::string& ns) const;

  // As apply::DdlApplier does it.
  void ddl(const oplog::Ddl& ddl, bool tolerant, bool consistent, apply::Holds& holds);
  void build_held_unique(apply::Holds& holds);
  // For the initial copy.
  void copy_in(const std::string& ns, const std::vector<Value>& docs);
  void clear() { collections_.clear(); keys_.clear(); }

  // Runs a command: it may fail before it has taken place, in the middle, or after; run(n) carries out its first n
  // statements. Everything passes here, so this is also where a process may die.
  template <class F>
  auto command(const std::string& what, std::size_t statements, bool atomic, F run) {
    if (trace_) trace_("target " + what);
    maybe_crash();
    if (random_.percent(faults_.refused)) fail("not taken");
    if (!atomic && statements > 1 && random_.percent(faults_.partial)) {
      run(static_cast<std::size_t>(random_.below(static_cast<int>(statements))));
      maybe_crash();
      fail("broken off");
    }
    if (!atomic && random_.percent(faults_.twice)) (void)run(statements);
    auto result = run(statements);
    maybe_crash();
    if (random_.percent(faults_.lost)) fail("answer lost");
    return result;
  }
  [[nodiscard]] bool traced() const { return static_cast<bool>(trace_); }
  void stop_faults() { faults_ = Faults(); }
  [[nodiscard]] const State& state() const { return collections_; }

 private:
  [[noreturn]] void fail(const char* what);
  void maybe_crash();
  [[nodiscard]] std::optional<apply::WriteError> insert_one(CollectionState& c, const Value& doc, bool exactly = false);
  [[nodiscard]] std::optional<apply::WriteError> store(CollectionState& c, const std::string& ns, const Value& before, Value after);
  [[nodiscard]] const Index* clash(const CollectionState& c, const std::string& key, const Value& doc) const;
  [[nodiscard]] static Stored* match(CollectionState& c, bson::View query);
  CollectionState& touch(const std::string& ns);
  void create_index(const std::string& ns, bson::View spec);

  Random& random_;
  Trace trace_;
  Faults faults_;
  State collections_;
  std::map<std::string, std::vector<std::string>> keys_;
  std::uint64_t order_ = 0;
};

class FakeWriter final : public apply::TargetWriter {
 public:
  explicit FakeWriter(Target& target) : target_(target) {}
  apply::WriteResult insert(const std::string& ns, const std::vector<bson::View>& documents, bool ordered) override;
  apply::WriteResult update(const std::string& ns, const std::vector<apply::UpdateStatement>& updates, bool ordered) override;
  apply::WriteResult remove(const std::string& ns, const std::vector<bson::Document>& queries, bool ordered) override;
  apply::FindResult find_some(const std::string& ns, bson::View filter, std::size_t bytes_max) override;
  void replace_all(const std::string& ns, const std::vector<bson::Document>& remove_queries, const std::vector<bson::View>& inserts) override;
  std::vector<std::string> shard_key(const std::string& ns) override { return target_.shard_key(ns); }

 private:
  Target& target_;
};

// The document after an update command's `u`, as a server computes it. Throws UpdateRefused.
struct UpdateRefused {
  int code;
  std::string message;
};
[[nodiscard]] Value updated(const Value& doc, bson::View update, bool pipeline);

}  // namespace mongotwin::sim
