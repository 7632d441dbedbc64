// SPDX-License-Identifier: Apache-2.0
#include "options/options.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "base/error.h"

namespace mongotwin::options {
namespace {

namespace fs = std::filesystem;

constexpr const char* kPair = "source: mongodb://127.0.0.1:27100\ntarget: mongodb://127.0.0.1:27200\n";

// Each test writes its configuration into a folder of its own.
class OptionsTest : public testing::Test {
 protected:
  OptionsTest() {
    std::string name = (fs::temp_directory_path() / "twin_options_XXXXXX").string();
    folder_ = mkdtemp(name.data());
  }
  ~OptionsTest() override { fs::remove_all(folder_); }

  std::string write(const std::string& text, const std::string& name = "twin.yaml") {
    std::ofstream(folder_ / name, std::ios::binary) << text;
    return (folder_ / name).string();
  }
  Options loaded(const std::string& text) { return load(write(text)); }

  // The refusal as the program prints it, without the folder; "accepted" if there is none.
  std::string refusal(const std::string& text) {
    try {
      (void)loaded(text);
    } catch (const Error& e) {
      EXPECT_EQ(e.remedy(), Remedy::fix_config);
      auto out = std::string(e.what()) + "; " + e.hint();
      for (auto at = out.find(folder_.string() + "/"); at != std::string::npos; at = out.find(folder_.string() + "/")) out.erase(at, folder_.string().size() + 1);
      return out;
    }
    return "accepted";
  }
  void expect_refused(const std::string& lines_after_the_pair, const std::string& start) {
    auto said = refusal(kPair + lines_after_the_pair);
    EXPECT_EQ(said.substr(0, start.size()), start) << lines_after_the_pair << " → " << said;
    EXPECT_NE(said.find("; allowed: "), std::string::npos) << said;
  }

  fs::path folder_;
};

TEST_F(OptionsTest, how_verifications_are_made) {
  auto none = loaded(kPair).verify;
  EXPECT_FALSE(none.bytes || none.bytes_per_second || none.continuous_pause_s);
  auto all = loaded(kPair + std::string("verify: {mode: bytes, bytes_per_second: 20MB, continuous: 30min}\n")).verify;
  EXPECT_TRUE(all.bytes);
  EXPECT_EQ(all.bytes_per_second, 20'000'000u);
  EXPECT_EQ(all.continuous_pause_s, 1800u);
  EXPECT_FALSE(loaded(kPair + std::string("verify: {continuous: off}\n")).verify.continuous_pause_s);
  EXPECT_EQ(loaded(kPair + std::string("verify: {continuous: 12h}\n")).verify.continuous_pause_s, 43'200u);
  for (const char* wrong : {"7", "7d", "h", "-1s", "9999999s"}) expect_refused(std::string("verify: {continuous: ") + wrong + "}\n", "twin.yaml:3: key verify.continuous:");
  expect_refused("verify: {mode: all}\n", "twin.yaml:3: key verify.mode:");
}

TEST_F(OptionsTest, two_lines_are_enough_and_the_rest_has_defaults) {
  auto o = loaded(kPair);
  EXPECT_EQ(o.link, "twin");
  EXPECT_EQ(o.source_uri, "mongodb://127.0.0.1:27100");
  EXPECT_EQ(o.target_uri, "mongodb://127.0.0.1:27200");
  EXPECT_FALSE(o.source_shard_credentials);
  EXPECT_TRUE(o.namespaces.databases.empty() && o.namespaces.include.empty() && o.namespaces.exclude.empty());
  EXPECT_EQ(o.on_existing_target, OnExisting::refuse);
  EXPECT_EQ(o.api.host, "127.0.0.1");
  EXPECT_EQ(o.api.port, 8470);
  EXPECT_EQ(o.lanes, 8);
  EXPECT_EQ(o.copiers, 4);
  EXPECT_EQ(o.indexes, Indexes::after);
  EXPECT_EQ(o.index_builds, 3);
  EXPECT_EQ(o.memory_limit_bytes, 512'000'000u);
  EXPECT_EQ(o.log.level, log::Level::info);
}

TEST_F(OptionsTest, every_key_is_read) {
  auto o = loaded(std::string(kPair) +
                  "link: dc1-dc2\n"
                  "namespaces: {include: [\"shop.*\", shop2.orders, \"*.log_*\"], exclude: [\"shop.tmp_*\"]}\n"
                  "on_existing_target: drop\ncopy_users: {exclude: [admin.root, \"*.tmp_*\"]}\n"
                  "api: {listen: \"[::1]:0\", names: [twin.internal]}\n"
                  "throttle: {copy: 20MB, operations: 5000}\njournal: {path: /var/twin, size_limit: 20GB}\nlanes: 16\ncopiers: 1\nmemory_limit: 1GB\nindexes: before\nindex_builds: 7\n"
                  "log: {level: debug, file: twin.log}\n"
                  "shard_credentials: {user: direct, password: 'p@ss', auth_source: other}\n");
  EXPECT_EQ(o.link, "dc1-dc2");
  EXPECT_EQ(o.namespaces.include, (std::vector<std::string>{"shop.*", "shop2.orders", "*.log_*"}));
  EXPECT_EQ(o.namespaces.exclude, (std::vector<std::string>{"shop.tmp_*"}));
  EXPECT_EQ(o.on_existing_target, OnExisting::drop);
  ASSERT_TRUE(o.copy_users);
  EXPECT_EQ(o.copy_users->exclude, (std::vector<std::string>{"admin.root", "*.tmp_*"}));
  EXPECT_EQ(o.api.host, "::1");
  EXPECT_EQ(o.api.port, 0);
  EXPECT_EQ(o.api.names, std::vector<std::string>{"twin.internal"});
  EXPECT_EQ(o.throttle.copy_bytes, 20'000'000u);
  EXPECT_EQ(o.throttle.operations, 5000u);
  EXPECT_EQ(o.journal.path, "/var/twin");
  EXPECT_EQ(o.journal.size_limit_bytes, 20'000'000'000u);
  EXPECT_EQ(o.lanes, 16);
  EXPECT_EQ(o.copiers, 1);
  EXPECT_EQ(o.memory_limit_bytes, 1'000'000'000u);
  EXPECT_EQ(o.indexes, Indexes::before);
  EXPECT_EQ(o.index_builds, 7);
  EXPECT_EQ(o.log.level, log::Level::debug);
  EXPECT_EQ(o.log.file, "twin.log");
  ASSERT_TRUE(o.source_shard_credentials);
  EXPECT_EQ(o.source_shard_credentials->user, "direct");
  EXPECT_EQ(o.source_shard_credentials->password, "p@ss");
  EXPECT_EQ(o.source_shard_credentials->auth_source, "other");
  EXPECT_FALSE(o.target_shard_credentials);
}

TEST_F(OptionsTest, hooks_and_limits_of_a_switch_over) {
  auto o = loaded(std::string(kPair) + "hooks:\n  source: {close: \"./close\", open: \"./open a\"}\nswitchover: {lag_max: 3, closed_max: 20}\n");
  EXPECT_EQ(o.source_hooks.close, "./close");
  EXPECT_EQ(o.source_hooks.open, "./open a");
  EXPECT_TRUE(o.target_hooks.close.empty());
  EXPECT_EQ(o.switchover.lag_max_s, 3);
  EXPECT_EQ(o.switchover.closed_max_s, 20);
  expect_refused("hooks: {source: {close: x}}\n", "twin.yaml:3: key hooks.source: the key open is missing");
  expect_refused("switchover: {closed_max: 0}\n", "twin.yaml:3: key switchover.closed_max: \"0\" is out of range");
}

TEST_F(OptionsTest, reversed_all_that_belongs_to_a_cluster_goes_with_it) {
  auto o = loaded(std::string(kPair) + "shard_credentials:\n  source: {user: a, password: b}\n  target: {user: c, password: d}\nhooks: {source: {close: x, open: y}}\n");
  auto back = reversed(o);
  EXPECT_TRUE(back.reversed);
  EXPECT_EQ(back.source_uri, o.target_uri);
  EXPECT_EQ(back.target_uri, o.source_uri);
  EXPECT_EQ(back.source_shard_credentials->user, "c");
  EXPECT_EQ(back.target_hooks.close, "x");
  EXPECT_FALSE(reversed(back).reversed);
}

TEST(ThrottleChange, is_what_the_command_line_says) {
  EXPECT_EQ(throttle_change({"20MB", "off", "2", "0"}), R"({"copy_bytes_per_second": 20000000, "operations_per_second": null, "copiers": 2, "lanes": 0})");
  EXPECT_EQ(throttle_change({{}, {}, {}, {}, "off"}), R"({"verify_bytes_per_second": null})");
  EXPECT_EQ(throttle_change({{}, {}, {}, "64"}), R"({"lanes": 64})");
  for (const ThrottleTexts& wrong : {ThrottleTexts{}, ThrottleTexts{"20", {}, {}, {}}, ThrottleTexts{{}, "many", {}, {}}, ThrottleTexts{{}, {}, "off", {}}, ThrottleTexts{{}, {}, {}, "65"}})
    EXPECT_THROW((void)throttle_change(wrong), Error);
}

TEST_F(OptionsTest, databases_are_the_short_form) {
  EXPECT_EQ(loaded(std::string(kPair) + "databases: [carrots, celery]\n").namespaces.databases, (std::vector<std::string>{"carrots", "celery"}));
  EXPECT_EQ(loaded(std::string(kPair) + "databases:\n  - carrots\n").namespaces.databases.size(), 1u);
}

TEST_F(OptionsTest, shard_users_of_both_sides) {
  auto o = loaded(std::string(kPair) + "shard_credentials:\n  source: {user: a, password: b}\n  target: {user: c, password: d}\n");
  EXPECT_EQ(o.source_shard_credentials->user, "a");
  EXPECT_EQ(o.source_shard_credentials->auth_source, "admin");
  EXPECT_EQ(o.target_shard_credentials->password, "d");
}

TEST_F(OptionsTest, good_connection_strings) {
  for (const char* uri : {"mongodb://h", "mongodb://a:1,b:65535/?replicaSet=rs", "mongodb://u:p%40ss@h/db?tls=true", "mongodb+srv://u:p@cluster.internal/?x=1",
                          "mongodb://[::1]:27017", "mongodb://u@h", "mongodb://%2Ftmp%2Fmongodb.sock", "mongodb://u:a$b!c*d@h"})
    EXPECT_EQ(refusal("source: '" + std::string(uri) + "'\ntarget: mongodb://other:1\n"), "accepted") << uri;
}

TEST_F(OptionsTest, sizes) {
  auto size = [&](const char* text) { return loaded(std::string(kPair) + "memory_limit: " + text + "\n").memory_limit_bytes; };
  EXPECT_EQ(size("64MB"), 64'000'000u);
  EXPECT_EQ(size("1GiB"), 1ULL << 30);
  EXPECT_EQ(size("2 GB"), 2'000'000'000u);
  EXPECT_EQ(size("65536KiB"), 64u << 20);
  expect_refused("memory_limit: 512\n", "twin.yaml:3: key memory_limit: the unit is missing");
  expect_refused("memory_limit: 5TB\n", "twin.yaml:3: key memory_limit: \"5TB\" has an unknown unit");
  expect_refused("memory_limit: 1MB\n", "twin.yaml:3: key memory_limit: \"1MB\" is out of range");
  expect_refused("memory_limit: 99999999GB\n", "twin.yaml:3: key memory_limit: \"99999999GB\" is out of range");
  expect_refused("memory_limit: -1MB\n", "twin.yaml:3: key memory_limit: \"-1MB\" is no size");
  expect_refused("memory_limit: lots\n", "twin.yaml:3: key memory_limit: \"lots\" is no size");
}

TEST_F(OptionsTest, environment_and_files_give_secrets) {
  setenv("TWIN_TEST_PW", "s3cret", 1);
  setenv("TWIN_TEST_N", "12", 1);
  write("mongodb://u:fromfile@h2\n", "target.uri");
  write("shard secret\r\n", "pw");
  auto o = loaded("source: mongodb://u:${TWIN_TEST_PW}@h1\ntarget: file:target.uri\nlanes: ${TWIN_TEST_N}\n"
                  "shard_credentials: {user: u, password: 'file:" + (folder_ / "pw").string() + "'}\n");
  EXPECT_EQ(o.source_uri, "mongodb://u:s3cret@h1");
  EXPECT_EQ(o.target_uri, "mongodb://u:fromfile@h2");
  EXPECT_EQ(o.lanes, 12);
  EXPECT_EQ(o.source_shard_credentials->password, "shard secret");
  EXPECT_EQ(loaded(std::string(kPair) + "log: {file: 'a$${b}'}\n").log.file, "a${b}");
}

TEST_F(OptionsTest, secrets_that_are_not_there) {
  unsetenv("TWIN_TEST_GONE");
  EXPECT_EQ(refusal("source: mongodb://u:${TWIN_TEST_GONE}@h\ntarget: mongodb://i\n"),
            "twin.yaml:1: key source: the environment variable TWIN_TEST_GONE is not set; allowed: a variable that is set where mongotwin starts; write $${ for the "
            "characters themselves");
  expect_refused("link: ${}\n", "twin.yaml:3: key link: a ${ is not followed by the name");
  expect_refused("link: ${A\n", "twin.yaml:3: key link: a ${ is not followed by the name");
  expect_refused("link: ${1A}\n", "twin.yaml:3: key link: a ${ is not followed by the name");
  EXPECT_EQ(refusal("source: file:gone\ntarget: mongodb://i\n"),
            "twin.yaml:1: key source: the file gone can't be read: No such file or directory; allowed: file:/path of a readable file that holds the value on one line");
  write("", "empty");
  write("a\nb\n", "lines");
  EXPECT_NE(refusal("source: file:empty\ntarget: mongodb://i\n").find("the file empty is empty"), std::string::npos);
  EXPECT_NE(refusal("source: file:lines\ntarget: mongodb://i\n").find("the file lines holds several lines"), std::string::npos);
  EXPECT_NE(refusal("source: file:.\ntarget: mongodb://i\n").find("is a folder"), std::string::npos);
  EXPECT_NE(refusal("source: 'file:'\ntarget: mongodb://i\n").find("file: names no file"), std::string::npos);
}

TEST_F(OptionsTest, missing_keys) {
  EXPECT_EQ(refusal("target: mongodb://h\n").substr(0, 39), "twin.yaml:1: key source is missing; all");
  EXPECT_EQ(refusal("source: mongodb://h\n").substr(0, 39), "twin.yaml:1: key target is missing; all");
  EXPECT_NE(refusal("").find("twin.yaml:1: the file holds no keys"), std::string::npos);
  EXPECT_NE(refusal("just words\n").find("the file holds no keys"), std::string::npos);
  EXPECT_NE(refusal("- a\n").find("the file holds no keys"), std::string::npos);
}

TEST_F(OptionsTest, unknown_and_repeated_keys) {
  expect_refused("lane: 3\n", "twin.yaml:3: unknown key \"lane\", did you mean lanes?; allowed: link, source, target,");
  expect_refused("dbnames: [a]\n", "twin.yaml:3: unknown key \"dbnames\", did you mean databases?");
  expect_refused("on_exist_target: drop\n", "twin.yaml:3: unknown key \"on_exist_target\", did you mean on_existing_target?");
  expect_refused("colour: red\n", "twin.yaml:3: unknown key \"colour\"; allowed: link");
  expect_refused("\n\napi:\n  listne: x\n", "twin.yaml:6: key api: unknown key \"listne\", did you mean listen?; allowed: listen, names");
  expect_refused("link: a\nlink: b\n", "twin.yaml:4: key link: is there twice");
  expect_refused("? [a]\n: b\n", "twin.yaml:3: unknown key \"\"");
}

TEST_F(OptionsTest, wrong_types) {
  expect_refused("link:\n", "twin.yaml:3: key link: has no value");
  expect_refused("link: ''\n", "twin.yaml:3: key link: is empty");
  expect_refused("link: [a]\n", "twin.yaml:3: key link: must be a single value");
  expect_refused("link: a b\n", "twin.yaml:3: key link: \"a b\" is no plain name");
  expect_refused("databases: carrots\n", "twin.yaml:3: key databases: must be a list");
  expect_refused("databases: []\n", "twin.yaml:3: key databases: the list is empty");
  expect_refused("databases: [[a]]\n", "twin.yaml:3: key databases: must be a single value");
  expect_refused("namespaces: [a.b]\n", "twin.yaml:3: key namespaces: must be a group of keys");
  expect_refused("namespaces: {}\n", "twin.yaml:3: key namespaces: holds neither include nor exclude");
  expect_refused("lanes: many\n", "twin.yaml:3: key lanes: \"many\" is no whole number; allowed: a whole number from 1 to 64");
  expect_refused("lanes: 2.5\n", "twin.yaml:3: key lanes: \"2.5\" is no whole number");
  expect_refused("lanes: 0\n", "twin.yaml:3: key lanes: \"0\" is out of range");
  expect_refused("indexes: never\n", "twin.yaml:3: key indexes: \"never\" is none of the choices; allowed: after, before");
  expect_refused("index_builds: 0\n", "twin.yaml:3: key index_builds: \"0\" is out of range");
  expect_refused("copiers: 65\n", "twin.yaml:3: key copiers: \"65\" is out of range");
  expect_refused("copiers: 99999999999999999999\n", "twin.yaml:3: key copiers: \"99999999999999999999\" is out of range");
  expect_refused("on_existing_target: overwrite\n", "twin.yaml:3: key on_existing_target: \"overwrite\" is none of the choices; allowed: refuse, drop");
  expect_refused("log: {level: loud}\n", "twin.yaml:3: key log.level: \"loud\" is none of the choices; allowed: debug, info, warning, error");
  expect_refused("shard_credentials: {user: a}\n", "twin.yaml:3: key shard_credentials: the key password is missing");
  expect_refused("shard_credentials: {user: a, source: {user: b, password: c}}\n", "twin.yaml:3: key shard_credentials.user: stands beside source or target");
  EXPECT_NE(refusal("source: {host: a}\ntarget: mongodb://h\n").find("twin.yaml:1: key source: must be a single value"), std::string::npos);
}

TEST_F(OptionsTest, impossible_combinations) {
  expect_refused("databases: [a]\nnamespaces: {include: [a.b]}\n", "twin.yaml:4: key namespaces: can't be combined with databases");
  expect_refused("databases: [a, a]\n", "twin.yaml:3: key databases: \"a\" is there twice");
  expect_refused("namespaces: {include: [a.b], exclude: [a.b]}\n", "twin.yaml:3: key namespaces.exclude: \"a.b\" is both included and excluded");
  expect_refused("namespaces: {exclude: ['*']}\n", "twin.yaml:3: key namespaces.exclude: excludes everything");
  EXPECT_NE(refusal("source: mongodb://H:27017,b\ntarget: mongodb://x:1,h\n").find("twin.yaml:2: key target: source and target both name h:27017"), std::string::npos);
  EXPECT_NE(refusal("source: mongodb+srv://c.internal\ntarget: mongodb+srv://u:p@C.internal/\n").find("both name srv c.internal"), std::string::npos);
}

TEST_F(OptionsTest, database_names_and_patterns) {
  for (const char* name : {"a.b", "a b", "'a$'", "'a*'", "a/b"}) expect_refused(std::string("databases: [") + name + "]\n", "twin.yaml:3: key databases: ");
  for (const char* name : {"admin", "local", "config"}) expect_refused(std::string("databases: [") + name + "]\n", "twin.yaml:3: key databases: \"" + std::string(name) + "\": the system database");
  expect_refused("databases: [mongotwin]\n", "twin.yaml:3: key databases: \"mongotwin\": the database mongotwin is mongotwin's own");
  expect_refused("databases: [" + std::string(64, 'x') + "]\n", "twin.yaml:3: key databases: ");
  expect_refused("namespaces: {include: [shop]}\n", "twin.yaml:3: key namespaces.include: \"shop\": has no dot between database and collection");
  expect_refused("namespaces:\n  include:\n    - shop.*\n    - 'shop.'\n", "twin.yaml:6: key namespaces.include: \"shop.\": names no collection after the dot");
  expect_refused("namespaces: {include: [.x]}\n", "twin.yaml:3: key namespaces.include: \".x\": the database name is empty");
  expect_refused("namespaces: {include: ['a.b$c']}\n", "twin.yaml:3: key namespaces.include: ");
  expect_refused("namespaces: {include: ['config.*']}\n", "twin.yaml:3: key namespaces.include: \"config.*\": the system database config");
  EXPECT_EQ(refusal(std::string(kPair) + "namespaces: {include: ['*'], exclude: ['*.tmp']}\n"), "accepted");
}

TEST_F(OptionsTest, the_layout_of_the_target) {
  auto o = loaded(std::string(kPair) + "sharding: {shop.a: unsharded, shop.b: {key: {customer: hashed, a.b: 1}, chunks: 32}, shop.c: {key: {sku: 1}, unique: true}, shop.d: {chunks: 1}}\nzones: {EU: [rs0, rs1]}\n");
  EXPECT_FALSE(o.sharding.at("shop.a").sharded);
  EXPECT_EQ(o.sharding.at("shop.b").key, (std::vector<std::pair<std::string, bool>>{{"customer", true}, {"a.b", false}}));
  EXPECT_EQ(o.sharding.at("shop.b").chunks, 32);
  EXPECT_FALSE(o.sharding.at("shop.b").unique);
  EXPECT_TRUE(o.sharding.at("shop.c").unique);
  EXPECT_TRUE(o.sharding.at("shop.d").sharded && o.sharding.at("shop.d").key.empty());
  EXPECT_EQ(o.zones.at("EU"), (std::vector<std::string>{"rs0", "rs1"}));

  for (const auto& [rule, said] : std::vector<std::pair<std::string, std::string>>{
           {"[]", ": must be a group of keys"},
           {"{}", ": must be a group of keys"},
           {"{shop: unsharded}", ".shop: \"shop\": has no dot"},
           {"{'shop.*': unsharded}", ".shop.*: \"shop.*\": a '*' is not allowed"},
           {"{'config.x': unsharded}", ".config.x: \"config.x\": the system database"},
           {"{shop.a: sharded}", ".shop.a: \"sharded\" is neither unsharded nor"},
           {"{shop.a: {}}", ".shop.a: says nothing"},
           {"{shop.a: {keys: {a: 1}}}", ".shop.a: unknown key \"keys\", did you mean key?"},
           {"{shop.a: {key: {}}}", ".shop.a.key: must be a group of keys"},
           {"{shop.a: {key: a}}", ".shop.a.key: must be a group of keys"},
           {"{shop.a: {key: {a: -1}}}", ".shop.a.key.a: \"-1\" is neither 1 nor hashed"},
           {"{shop.a: {key: {a: 1, a: 1}}}", ".shop.a.key.a: is there twice"},
           {"{shop.a: {key: {$a: 1}}}", ".shop.a.key.$a: the name of a field can't begin with '$'"},
           {"{shop.a: {key: {a..b: 1}}}", ".shop.a.key.a..b: the name of the field, or a part of it, is empty"},
           {"{shop.a: {key: {a: hashed, b: hashed}}}", ".shop.a.key: several fields are hashed"},
           {"{shop.a: {key: {a: hashed}, unique: true}}", ".shop.a.unique: a hashed key can't be unique"},
           {"{shop.a: {unique: true}}", ".shop.a.unique: stands without a key"},
           {"{shop.a: {chunks: 0}}", ".shop.a.chunks: \"0\" is out of range"},
           {"{shop.a: {chunks: 8193}}", ".shop.a.chunks: \"8193\" is out of range"},
       })
    expect_refused("\nsharding: " + rule + "\n", "twin.yaml:4: key sharding" + said);
  expect_refused("zones: {EU: rs0}\n", "twin.yaml:3: key zones.EU: must be a list");
  expect_refused("zones: {EU: [a, a]}\n", "twin.yaml:3: key zones.EU: \"a\" is there twice");
}

TEST_F(OptionsTest, addresses_of_the_api) {
  for (const char* bad : {"8470", "'host:'", "':1'", "'h:70000'", "'h:1x'", "'::1:8470'", "'http://h:1'"})
    expect_refused(std::string("api: {listen: ") + bad + "}\n", "twin.yaml:3: key api.listen: ");
  expect_refused("api: {names: ['a:1']}\n", "twin.yaml:3: key api.names: \"a:1\" is no host name");
  EXPECT_EQ(parse_listen("[::]:1").host, "::");
  EXPECT_EQ(parse_listen("0.0.0.0:65535").port, 65535);
}

TEST_F(OptionsTest, files_that_can_not_be_used) {
  EXPECT_THROW((void)load((folder_ / "none.yaml").string()), Error);
  EXPECT_THROW((void)load(folder_.string()), Error);
  auto said = refusal("source: mongodb://h\ntarget: [\n");
  EXPECT_NE(said.find("not valid YAML"), std::string::npos) << said;
  EXPECT_NE(refusal(std::string(kPair) + "---\na: b\n").find("several YAML documents"), std::string::npos);
}

TEST_F(OptionsTest, the_api_alone_needs_no_secrets) {
  unsetenv("TWIN_TEST_GONE");
  auto path = write("source: ${TWIN_TEST_GONE}\ntarget: file:/nowhere\napi: {listen: \"127.0.0.1:9\"}\n");
  EXPECT_EQ(load_api(path).port, 9);
  EXPECT_EQ(load_api(write("source: x\n")).port, 8470);
}

// Whatever is wrong with it, and wherever it stands: a password is never repeated.
TEST_F(OptionsTest, no_refusal_holds_a_password) {
  setenv("TWIN_TEST_URI", "mongodb://u:hunter2@x@h", 1);
  setenv("TWIN_TEST_WORD", "hunter2", 1);
  write("mongodb://u:hunter2 @h\n", "uri");
  const std::string pair = kPair;
  for (const auto& text : std::vector<std::string>{
           "source: mongodb://u:hunter2@x@h\ntarget: mongodb://i\n",
           "source: mongodb://u:hunter2/x@h\ntarget: mongodb://i\n",
           "source: mongodb://u:hunter2?x@h\ntarget: mongodb://i\n",
           "source: mongodb://u:hunter2:x@h\ntarget: mongodb://i\n",
           "source: mongodb://u:hunter2%zz@h\ntarget: mongodb://i\n",
           "source: mongodb://u:hunter2%4@h\ntarget: mongodb://i\n",
           "source: 'mongodb://u:hunter2\"x@h'\ntarget: mongodb://i\n",
           "source: mongodb://u:hunter2 x@h\ntarget: mongodb://i\n",
           "source: 'mongodb://u:hunter2#x@h'\ntarget: mongodb://i\n",
           "source: mongodb://u:hunter2@\ntarget: mongodb://i\n",
           "source: mongodb://u:hunter2@h:99999\ntarget: mongodb://i\n",
           "source: mongodb:/u:hunter2@h\ntarget: mongodb://i\n",
           "source: http://u:hunter2@h\ntarget: mongodb://i\n",
           "source: u:hunter2@h\ntarget: mongodb://i\n",
           "source: ${TWIN_TEST_URI}\ntarget: mongodb://i\n",
           "source: file:uri\ntarget: mongodb://i\n",
           "source: mongodb://u:hunter2@h\ntarget: mongodb://u:hunter2@h\n",
           "source: {mongodb://u:hunter2@h}\ntarget: mongodb://i\n",
           "source: [mongodb://u:hunter2@h]\ntarget: mongodb://i\n",
           "mongodb://u:hunter2@h: source\n",
           "source: *hunter2\ntarget: mongodb://i\n",
           "source: mongodb://u:hunter2@h: x\n",
           pair + "mongodb://u:hunter2@h\n",
           pair + "link: mongodb://u:hunter2@h\n",
           pair + "link: ${TWIN_TEST_WORD} x\n",
           pair + "databases: [\"mongodb://u:hunter2@h\"]\n",
           pair + "lanes: mongodb://u:hunter2@h\n",
           pair + "lanes: ${TWIN_TEST_WORD}\n",
           pair + "api: {listen: \"mongodb://u:hunter2@h\"}\n",
           pair + "shard_credentials: {user: a, password: b, hunter2}\n",
           pair + "shard_credentials: {user: a, password: {hunter2: 1}}\n",
           pair + "shard_credentials: {user: a, password: [hunter2]}\n",
           pair + "shard_credentials: [a, hunter2]\n",
           pair + "shard_credentials: {user: a, password: *hunter2}\n",
           pair + "shard_credentials: {user: a, password: &hunter2 }\n",
           pair + "shard_credentials: {user: a, password: \"\\hunter2\"}\n",
           pair + "shard_credentials: {user: a, password: 'hunter2}\n",
       }) {
    auto said = refusal(text);
    EXPECT_NE(said, "accepted") << text;
    EXPECT_EQ(said.find("hunter2"), std::string::npos) << text << " → " << said;
  }
  try {
    (void)load("mongodb://u:hunter2@h");
  } catch (const Error& e) {
    EXPECT_EQ((std::string(e.what()) + e.hint()).find("hunter2"), std::string::npos);
  }
}

}  // namespace
}  // namespace mongotwin::options
