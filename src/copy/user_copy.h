// SPDX-License-Identifier: Apache-2.0
// UserCopy: users and roles of a cluster, copied and kept as the source's are. The collections admin.system.users and
// admin.system.roles are compared whole each time: on a sharded cluster they live on the config servers, whose oplog is
// not followed. Never touched: users of the target that the source does not have, unless they came from there, and the one
// that mongotwin logs in with. Owned by one thread; the pools must outlive it.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "mongo/client.h"

namespace mongotwin::copy {

class UserCopy {
 public:
  // Keeps the list of what came from the source; called before the target is changed.
  using Save = std::function<void(const std::vector<std::string>& copied)>;
  // `exclude`: "db.name" of those left alone on both sides, '*' for any characters.
  UserCopy(mongo::Pool& source, mongo::Pool& target, std::vector<std::string> exclude, std::vector<std::string> copied = {}, Save save = {})
      : source_(source), target_(target), exclude_(std::move(exclude)), copied_(copied.begin(), copied.end()), save_(std::move(save)) {}

  enum class Upto {
    seen,  // what the source shows; what it may still roll back is put right by a later call
    now,   // everything up to this call, for good: the source confirms it with a majority
  };
  // Brings the target's to what the source's are; returns how many it had to change. May be called again after it
  // broke off. Throws Error; no text of it shows credentials.
  std::size_t sync(Upto upto = Upto::seen);
  // "user db.name", "role db.name": on both, and not the same; sync() would replace them.
  [[nodiscard]] std::vector<std::string> differing();
  // The same with what is missing on the target, in words; both are read anew.
  [[nodiscard]] std::vector<std::string> unlike();

 private:
  using Documents = std::map<std::string, bson::Document>;  // by "user <_id>" or "role <_id>"
  [[nodiscard]] Documents read(mongo::Pool& pool, const char* level);
  void load_target();
  void write_users(const Documents& changed);
  void write_roles(Documents pending);
  void write_role(Documents& pending, std::string name);
  void drop(const std::string& name);
  void run(const std::string& database, bson::View command, const std::string& about, std::initializer_list<int> fine = {});

  mongo::Pool& source_;
  mongo::Pool& target_;
  std::vector<std::string> exclude_;
  std::set<std::string> copied_;
  Save save_;
  bool loaded_ = false;
  std::set<std::string> own_;  // users that are left alone
  Documents there_;            // what the target has of it
};

}  // namespace mongotwin::copy
