// SPDX-License-Identifier: Apache-2.0
// Options: the configuration file, checked. load() returns options that can be used as they stand, or throws
// Error(fix_config) as "file:line: key …: what is wrong" with what is allowed as its hint. No error text ever holds the
// value of a key that may carry a secret (source, target, shard_credentials). Options are values; load() is pure but
// for the files and environment variables that the configuration names.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/log.h"
#include "options/sharding.h"

namespace mongotwin::options {

struct Credentials {
  std::string user, password, auth_source = "admin";
};

// Either `databases` (whole ones) or patterns "db.collection" in which '*' stands for any characters; "*" alone is
// everything. All empty means every database. `exclude` wins over `include`; an empty `include` includes everything.
struct NamespaceRules {
  std::vector<std::string> databases, include, exclude;
  // "db.collection" or "db.*" of the source → the same of the target.
  std::map<std::string, std::string, std::less<>> rename;
};

enum class OnExisting {
  refuse,  // a collection of the same name on the target stops the start
  drop,    // it is dropped before the copy
};

enum class Indexes {
  after,   // a collection's indexes are built when its documents are there
  before,  // they are there before the first document
};

// Users and roles of the cluster.
struct UserRules {
  std::vector<std::string> exclude;  // "db.name", '*' stands for any characters
};

struct Api {
  std::string host = "127.0.0.1";
  int port = 8470;                 // 0: any free one
  std::vector<std::string> names;  // further host names under which the API may be asked (a proxy, a service name)
};

struct Journal {
  std::string path;                          // of a directory; by default beside the configuration: <link>.journal
  std::uint64_t size_limit_bytes = 10'000'000'000;
};

// In which order the initial copy reads what it may read in any.
enum class ReadingOrder {
  automatic,  // by samples
  natural,    // as documents are stored
  id,         // ranges of _id
};

// Which of the source's members the initial copy reads.
enum class ReadFrom { primary, primary_preferred, secondary, secondary_preferred, nearest };

// A second; empty: no limit.
struct Throttle {
  std::optional<std::uint64_t> copy_bytes, operations;
};

// What closes a cluster for its users' writes and opens it again, where the server has no command for it (before
// MongoDB 6.0), as /bin/sh takes it. Both or none.
struct Hooks {
  std::string close, open;
};

struct Switchover {
  int lag_max_s = 10;  // with more it is not begun
  int closed_max_s = 60;  // writes are not closed for longer: then all is put back
};

struct Verify {
  bool bytes = false;                                // by digests
  std::optional<std::uint64_t> bytes_per_second;     // read from the source; empty: no limit
  std::optional<std::uint64_t> continuous_pause_s;   // between one verification and the next; empty: only when asked for
};

struct Log {
  log::Level level = log::Level::info;
  std::string file;  // empty: stderr only
};

struct Options {
  std::string link = "twin";  // names this pair in the checkpoint and the status
  std::string source_uri, target_uri;
  std::optional<Credentials> source_shard_credentials, target_shard_credentials;
  NamespaceRules namespaces;
  OnExisting on_existing_target = OnExisting::refuse;
  std::optional<UserRules> copy_users;
  Sharding sharding;
  Zones zones;
  Api api;
  int lanes = 8;    // parallel writers of the continuous phase, 1 to 64
  int copiers = 4;  // parallel copiers of the initial copy, 1 to 64
  ReadingOrder reading = ReadingOrder::automatic;
  ReadFrom read_preference = ReadFrom::primary;
  Indexes indexes = Indexes::after;
  int index_builds = 3;  // collections whose indexes are built at the same time, 1 to 64
  std::uint64_t memory_limit_bytes = 512'000'000;  // for what is queued between the stages
  Journal journal;
  Throttle throttle;
  Hooks source_hooks, target_hooks;
  Switchover switchover;
  Verify verify;
  Log log;
  bool reversed = false;  // not from the file: see reversed()
};

[[nodiscard]] Options load(const std::string& path);

// The same pair after its clusters have changed their roles: what is given a cluster goes with it. The namespaces stay as
// they are written, in the first source's names; how the first target is to be sharded does not concern the other one.
[[nodiscard]] Options reversed(Options options);

// Only where the API listens, for the commands that talk to a running mongotwin: secrets are not resolved, so they
// need not be there.
[[nodiscard]] Api load_api(const std::string& path);

// Limits as the command line takes them; empty for those that stay.
struct ThrottleTexts {
  std::string copy, operations;  // "20MB" and "5000", or "off"
  std::string copiers, lanes;    // "4"
  std::string verify;            // "20MB" or "off"
};
// The body of POST /api/v1/throttle for them. Throws Error(fix_config).
[[nodiscard]] std::string throttle_change(const ThrottleTexts& texts);

// "host:port", "[::1]:port"; throws Error(fix_config).
[[nodiscard]] Api parse_listen(const std::string& text);

}  // namespace mongotwin::options
