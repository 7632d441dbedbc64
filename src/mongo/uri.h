// SPDX-License-Identifier: Apache-2.0
// Connection strings: taking one apart to reach a shard's members with the same options and other hosts. Pure.
// Format: the connection string specification of the MongoDB drivers.
#pragma once

#include <optional>
#include <string>

namespace mongotwin::mongo {

struct Credentials {
  std::string user, password, auth_source = "admin";
};

// The URI of a shard: `shard_host` is "set/host:port,host:port" as config.shards has it. User, TLS and other options
// come from the cluster's URI; `credentials` replace its user where the shards have users of their own.
[[nodiscard]] std::string shard_uri(const std::string& cluster_uri, const std::string& shard_host,
                                    const std::optional<Credentials>& credentials);

// `name=value` added to the options unless the URI has that option already (names are case-insensitive).
[[nodiscard]] std::string with_default_option(const std::string& uri, const std::string& name, const std::string& value);

}  // namespace mongotwin::mongo
