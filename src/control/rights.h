// SPDX-License-Identifier: Apache-2.0
// The rights that the users need, checked before anything starts. docs/rights.md lists the roles that have them.
#pragma once

#include "mongo/cluster.h"

namespace mongotwin::control {

// Throws Error(fix_config) naming the cluster, the user and the missing action. Passes where authentication is off.
void check_rights(mongo::Cluster& source, mongo::Cluster& target);

// Whether connectionStatus' authenticatedUserPrivileges allow `action` on `database` (all of its collections), or on
// the cluster where `database` is empty. Pure.
[[nodiscard]] bool allows(bson::View privileges, const std::string& database, const std::string& action);

}  // namespace mongotwin::control
