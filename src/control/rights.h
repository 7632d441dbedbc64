// SPDX-License-Identifier: Apache-2.0
// The rights that the users need, checked before anything starts. docs/rights.md lists the roles that have them.
#pragma once

#include <set>

#include "mongo/cluster.h"

namespace mongotwin::control {

// Both throw Error(fix_config) naming the cluster, the user and the missing action. They pass where authentication is off.
void check_rights(mongo::Cluster& source, mongo::Cluster& target);
// The rights on the databases that are to be replicated; `shards`: collections are to be sharded on the target.
void check_rights_on(mongo::Cluster& source, mongo::Cluster& target, const std::set<std::string>& databases, const std::set<std::string>& databases_on_target, bool shards);

// Whether the user of the URI may do it; everybody may where authentication is off. See allows().
[[nodiscard]] bool may(mongo::Cluster& cluster, const std::string& database, const std::string& action);

// What copy_users needs: users are read and written in their collection.
void check_rights_on_users(mongo::Cluster& source, mongo::Cluster& target);

// Whether connectionStatus' authenticatedUserPrivileges allow `action` on `database` (all of its normal collections, or
// the system collection that is given), or on the cluster where `database` is empty. Pure.
[[nodiscard]] bool allows(bson::View privileges, const std::string& database, const std::string& action, const std::string& collection = {});

}  // namespace mongotwin::control
