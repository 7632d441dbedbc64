// SPDX-License-Identifier: Apache-2.0
#include "copy/user_copy.h"

#include <fmt/format.h>

#include <algorithm>

#include "apply/mongo_writer.h"
#include "base/log.h"
#include "mongo/cursor.h"
#include "oplog/namespace_filter.h"

namespace mongotwin::copy {
namespace {

constexpr int kUserNotFound = 11, kRoleNotFound = 31;
constexpr std::size_t kUsersAtOnce = 100;
constexpr const char* kUser = "user ";
constexpr const char* kRole = "role ";

bool is_user(const std::string& name) { return name.starts_with(kUser); }

std::string id_of(bson::View v, const char* name) { return fmt::format("{}.{}", v.string("db").value_or(""), v.string(name).value_or("")); }

std::vector<std::string_view> sorted(bson::View array) {
  std::vector<std::string_view> out;
  for (const auto& e : array) out.push_back(e.value_bytes());
  std::sort(out.begin(), out.end());
  return out;
}

// The server keeps what a role inherits and allows in an order of its own, another on each server (seen on 6.0).
bool is_same(const std::string& name, bson::View a, bson::View b) {
  if (is_user(name) || a == b) return a == b;
  return sorted(a.fields("roles")) == sorted(b.fields("roles")) && sorted(a.fields("privileges")) == sorted(b.fields("privileges")) &&
         sorted(a.fields("authenticationRestrictions")) == sorted(b.fields("authenticationRestrictions"));
}

}  // namespace

UserCopy::Documents UserCopy::read(mongo::Pool& pool, const char* level) {
  Documents out;
  auto client = pool.acquire();
  for (auto [collection, prefix] : {std::pair{"system.users", kUser}, {"system.roles", kRole}}) {
    try {
      auto find = bson::Builder().string("find", collection).open_document("readConcern").string("level", level).close().finish();
      for (const auto& doc : mongo::fetch_all(client, "admin", find)) {
        auto id = std::string(doc.view().string("_id").value_or(""));
        bool excluded = std::any_of(exclude_.begin(), exclude_.end(), [&](const auto& pattern) { return oplog::wildcard_match(pattern, id); });
        if (!excluded) out.emplace(prefix + id, doc.detached());
      }
    } catch (const mongo::CommandError& e) {
      if (e.code() != mongo::code::kUnauthorized) throw;
      throw Error(Remedy::fix_config, fmt::format("{}: the user may not read admin.{}, which copy_users needs", pool.label(), collection),
                  "grant the role backup (docs/rights.md), or leave copy_users out");
    }
  }
  return out;
}

void UserCopy::load_target() {
  if (loaded_) return;
  auto status = target_.acquire().run("admin", bson::Builder().int32("connectionStatus", 1).finish());
  for (const auto& e : status.view().fields("authInfo").fields("authenticatedUsers"))
    own_.insert(kUser + id_of(e.fields(), "user"));
  there_ = read(target_, "local");
  loaded_ = true;
}

std::vector<std::string> UserCopy::differing() {
  load_target();
  std::vector<std::string> out;
  for (const auto& [name, doc] : read(source_, "local"))
    if (auto it = there_.find(name); it != there_.end() && !own_.contains(name) && !is_same(name, it->second, doc)) out.push_back(name);
  return out;
}

std::vector<std::string> UserCopy::unlike() {
  loaded_ = false;
  load_target();
  std::vector<std::string> out;
  for (const auto& [name, doc] : read(source_, "local")) {
    if (own_.contains(name)) continue;
    auto it = there_.find(name);
    if (it == there_.end()) out.push_back(name + " is missing on the target");
    else if (!is_same(name, it->second, doc)) out.push_back(name + " is not on the target as it is on the source");
  }
  return out;
}

std::size_t UserCopy::sync(Upto upto) {
  load_target();
  auto wanted = read(source_, upto == Upto::now ? "linearizable" : "local");
  std::erase_if(wanted, [&](const auto& entry) { return own_.contains(entry.first); });
  Documents users, roles;
  std::vector<std::string> gone;
  auto known = copied_;
  for (const auto& [name, doc] : wanted) {
    known.insert(name);
    auto it = there_.find(name);
    if (it != there_.end() && is_same(name, it->second, doc)) continue;
    (is_user(name) ? users : roles).emplace(name, doc);
  }
  for (const auto& name : copied_)
    if (!wanted.contains(name) && there_.contains(name)) gone.push_back(name);
  if (known != copied_) {
    if (save_) save_({known.begin(), known.end()});
    copied_ = known;
  }
  auto changed = users.size() + roles.size() + gone.size();
  if (changed == 0) return 0;
  // Whatever comes of this try, the next one looks at the target again.
  loaded_ = false;
  write_roles(roles);
  write_users(users);
  for (const auto& name : gone) drop(name);  // last: who had a dropped role has lost it by now
  if (!gone.empty()) {
    for (const auto& name : gone) copied_.erase(name);
    if (save_) save_({copied_.begin(), copied_.end()});
  }
  for (const auto* list : {&users, &roles})
    for (const auto& [name, doc] : *list) log::debug("users", "target: {} is as on the source", name);
  log::info("users", "target: {} users and {} roles brought to what the source has, {} dropped", users.size(), roles.size(), gone.size());
  return changed;
}

// Straight into the collection: no command takes credentials as they are stored. The role restore may do that.
void UserCopy::write_users(const Documents& changed) {
  for (auto next = changed.begin(); next != changed.end();) {
    bson::Builder b;
    b.string("update", "system.users").open_array("updates");
    auto first = next->first;
    for (std::size_t n = 0; n < kUsersAtOnce && next != changed.end(); ++n, ++next)
      b.open_document(std::to_string(n)).open_document("q").value("_id", next->second["_id"]).close().document("u", next->second).boolean("upsert", true).close();
    b.close();
    apply::append_majority(b);
    run("admin", b.finish(), first);
  }
}

// A role may inherit from others, which must be there first. What they inherit in the end has no circle, so none arises
// on the way.
void UserCopy::write_roles(Documents pending) {
  while (!pending.empty()) write_role(pending, pending.begin()->first);
}

void UserCopy::write_role(Documents& pending, std::string name) {
  auto role = pending.extract(name).mapped();
  for (const auto& e : role.view().fields("roles"))
    if (auto inherited = kRole + id_of(e.fields(), "role"); pending.contains(inherited)) write_role(pending, inherited);
  bson::Builder b;
  b.string(there_.contains(name) ? "updateRole" : "createRole", role.view().string("role").value_or(""));
  b.value("privileges", role["privileges"]).value("roles", role["roles"]);
  if (auto restrictions = role["authenticationRestrictions"]) b.value("authenticationRestrictions", restrictions);
  else b.open_array("authenticationRestrictions").close();
  apply::append_majority(b);
  run(std::string(role.view().string("db").value_or("")), b.finish(), name);
}

void UserCopy::drop(const std::string& name) {
  auto it = there_.find(name);
  if (it == there_.end()) return;
  bool user = is_user(name);
  bson::Builder b;
  b.string(user ? "dropUser" : "dropRole", it->second.view().string(user ? "user" : "role").value_or(""));
  apply::append_majority(b);
  run(std::string(it->second.view().string("db").value_or("")), b.finish(), name, {kUserNotFound, kRoleNotFound});
}

// The server's own text may quote the command, and with it what passwords are checked against.
void UserCopy::run(const std::string& database, bson::View command, const std::string& about, std::initializer_list<int> fine) {
  auto refuse = [&](Remedy remedy, std::int64_t code) {
    throw Error(remedy, fmt::format("{}: {} can't be copied: {} is refused with code {}", target_.label(), about, command.begin()->key(), code),
                code == mongo::code::kUnauthorized ? "grant the role restore on the target (docs/rights.md), or leave copy_users out" : "look for the reason in the target's log, or leave copy_users out");
  };
  bson::Document reply;
  try {
    reply = target_.acquire().run(database, command);
  } catch (const mongo::CommandError& e) {
    if (std::find(fine.begin(), fine.end(), e.code()) != fine.end()) return;
    if (e.remedy() == Remedy::retry) throw;
    refuse(e.remedy(), e.code());
  }
  for (const auto& e : reply.view().fields("writeErrors")) {
    auto code = e.fields().integer("code").value_or(0);
    refuse(mongo::is_transient(static_cast<int>(code)) ? Remedy::retry : Remedy::pause, code);
  }
}

}  // namespace mongotwin::copy
