// SPDX-License-Identifier: Apache-2.0
// Rules for the words of a configuration: connection strings, database names, namespace patterns, link names. Each
// returns what is wrong in words, or empty; none quotes a connection string. Pure.
#pragma once

#include <string>
#include <vector>

namespace mongotwin::options {

// Stricter than the driver where it is about secrets: a user part that isn't percent-encoded is refused, since no one
// can tell where it ends, and it could not be blanked in a log.
[[nodiscard]] std::string wrong_with_uri(const std::string& uri);
// The hosts as "name:port" in lower case (27017 where none is given; "srv name" for mongodb+srv). `uri` is a valid one.
[[nodiscard]] std::vector<std::string> hosts_of(const std::string& uri);

[[nodiscard]] std::string wrong_with_database(const std::string& name);
[[nodiscard]] std::string wrong_with_pattern(const std::string& pattern);
// "db.collection" without any '*'.
[[nodiscard]] std::string wrong_with_collection(const std::string& ns);
// A field of a shard key, "a" or "a.b".
[[nodiscard]] std::string wrong_with_key_field(const std::string& path);
// "db.collection" without any '*', or "db.*".
[[nodiscard]] std::string wrong_with_renamed(const std::string& ns);
[[nodiscard]] std::string wrong_with_link(const std::string& name);

}  // namespace mongotwin::options
