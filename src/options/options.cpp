// SPDX-License-Identifier: Apache-2.0
#include "options/options.h"

#include <algorithm>
#include <cctype>
#include <filesystem>

#include "base/error.h"
#include "base/worker.h"
#include "options/field.h"
#include "options/rules.h"

namespace mongotwin::options {
namespace {

constexpr const char* kUriAllowed = "mongodb://[user:password@]host[:port][,host…][/][?options] or mongodb+srv://…, also with ${VARIABLE} or as file:/path";
constexpr const char* kPatternAllowed = "[\"db.*\", \"db.collection\", \"db.pre_*\"], or \"*\" for everything";
constexpr std::uint64_t kMemoryBytesLeast = 64'000'000, kMemoryBytesMost = 1000'000'000'000, kJournalBytesLeast = 10'000'000;

using Fields = std::map<std::string, Field>;

const Field* find(const Fields& fields, const std::string& key) {
  auto at = fields.find(key);
  return at == fields.end() ? nullptr : &at->second;
}

Fields top(const Field& document) {
  return document.fields({"link", "source", "target", "shard_credentials", "databases", "namespaces", "rename", "on_existing_target", "copy_users", "sharding", "zones",
                          "api", "lanes", "copiers", "reading", "read_preference", "indexes", "index_builds", "memory_limit", "journal", "throttle", "hooks", "switchover", "verify", "log"});
}

std::string uri(const Field& document, const Fields& fields, const std::string& key) {
  const auto* field = find(fields, key);
  if (field == nullptr) document.refuse("key " + key + " is missing", key + ": " + kUriAllowed);
  auto value = field->text(kUriAllowed, Secret::yes);
  if (auto wrong = wrong_with_uri(value); !wrong.empty()) field->refuse(wrong, kUriAllowed);
  return value;
}

void refuse_same_cluster(const Options& o, const Field& target) {
  auto source_hosts = hosts_of(o.source_uri);
  for (const auto& host : hosts_of(o.target_uri))
    if (std::find(source_hosts.begin(), source_hosts.end(), host) != source_hosts.end())
      target.refuse("source and target both name " + host, "two different clusters");
}

Credentials credentials(const Field& field) {
  auto fields = field.fields({"user", "password", "auth_source"});
  for (const char* needed : {"user", "password"})
    if (find(fields, needed) == nullptr) field.refuse(std::string("the key ") + needed + " is missing", "user, password and, if it is not admin, auth_source");
  Credentials c;
  c.user = fields.at("user").text("the name of a user on the shards");
  c.password = fields.at("password").text("the password as it is (not percent-encoded), ${VARIABLE} or file:/path", Secret::yes);
  if (const auto* source = find(fields, "auth_source")) c.auth_source = source->text("the database that holds the user, mostly admin");
  return c;
}

// Either one user for the source's shards, or {source: …, target: …}.
void read_shard_credentials(Options& o, const Field& field) {
  auto fields = field.fields({"user", "password", "auth_source", "source", "target"});
  const auto* source = find(fields, "source");
  const auto* target = find(fields, "target");
  if (source == nullptr && target == nullptr) {
    o.source_shard_credentials = credentials(field);
    return;
  }
  for (const char* key : {"user", "password", "auth_source"})
    if (const auto* both = find(fields, key)) both->refuse("stands beside source or target", "either user and password for the source's shards, or source: {…} and target: {…}");
  if (source != nullptr) o.source_shard_credentials = credentials(*source);
  if (target != nullptr) o.target_shard_credentials = credentials(*target);
}

std::vector<std::string> checked_list(const Field& list, const std::string& allowed, std::string (*wrong_with)(const std::string&)) {
  std::vector<std::string> out;
  for (const auto& element : list.elements(allowed)) {
    auto value = element.text(allowed);
    if (auto wrong = wrong_with(value); !wrong.empty()) element.refuse(element.quoted(value) + ": " + wrong, allowed);
    if (std::find(out.begin(), out.end(), value) != out.end()) element.refuse(element.quoted(value) + " is there twice", "each name once");
    out.push_back(std::move(value));
  }
  return out;
}

void refuse_nothing_left(const NamespaceRules& rules, const Field& exclude) {
  for (const auto& pattern : rules.exclude) {
    if (pattern == "*" || pattern == "*.*") exclude.refuse("excludes everything", kPatternAllowed);
    if (std::find(rules.include.begin(), rules.include.end(), pattern) != rules.include.end())
      exclude.refuse(exclude.quoted(pattern) + " is both included and excluded", "a pattern in one of the two");
  }
}

NamespaceRules namespaces(const Fields& fields) {
  NamespaceRules rules;
  const auto* databases = find(fields, "databases");
  const auto* patterns = find(fields, "namespaces");
  if (databases != nullptr && patterns != nullptr)
    patterns->refuse("can't be combined with databases", "one of the two; databases: [shop] is namespaces: {include: [\"shop.*\"]}");
  if (databases != nullptr) rules.databases = checked_list(*databases, "[name, name…] of databases, without patterns", wrong_with_database);
  if (patterns == nullptr) return rules;
  auto inner = patterns->fields({"include", "exclude"});
  if (inner.empty()) patterns->refuse("holds neither include nor exclude", std::string("include: ") + kPatternAllowed);
  if (const auto* include = find(inner, "include")) rules.include = checked_list(*include, kPatternAllowed, wrong_with_pattern);
  if (const auto* exclude = find(inner, "exclude")) {
    rules.exclude = checked_list(*exclude, kPatternAllowed, wrong_with_pattern);
    refuse_nothing_left(rules, *exclude);
  }
  return rules;
}

void read_renames(NamespaceRules& rules, const Field& field) {
  static const std::string kAllowed = "{\"db.collection\": \"db2.other\"} or {\"db.*\": \"db2.*\"}";
  for (const auto& [from, value] : field.entries(kAllowed)) {
    auto to = value.text(kAllowed);
    for (const auto& name : {from, to})
      if (auto wrong = wrong_with_renamed(name); !wrong.empty()) value.refuse(value.quoted(name) + ": " + wrong, kAllowed);
    if (from.ends_with(".*") != to.ends_with(".*")) value.refuse("one is a whole database, the other a collection", kAllowed);
    if (from == to) value.refuse("renames it to its own name", kAllowed);
    for (const auto& [other, taken] : rules.rename)
      if (taken == to) value.refuse(value.quoted(to) + " is the new name of " + other + " already", "each new name once");
    rules.rename.emplace(from, to);
  }
}

std::optional<UserRules> user_rules(const Field& field) {
  if (!field.is_map()) return field.choice<bool>({{"true", true}, {"false", false}, {"{exclude: [\"db.name\"]}", true}}) ? std::optional(UserRules()) : std::nullopt;
  static const std::string kAllowed = "[\"db.name\"] of users and roles, '*' for any characters";
  UserRules out;
  auto fields = field.fields({"exclude"});
  if (const auto* list = find(fields, "exclude"))
    for (const auto& element : list->elements(kAllowed)) {
      auto name = element.text(kAllowed);
      if (name.find('.') == std::string::npos && name != "*") element.refuse(element.quoted(name) + " has no dot", kAllowed);
      out.exclude.push_back(std::move(name));
    }
  return out;
}

std::vector<std::string> host_names(const Field& list) {
  static const std::string kAllowed = "[name, name…] of hosts, without scheme and port";
  std::vector<std::string> out;
  for (const auto& element : list.elements(kAllowed)) {
    auto name = element.text(kAllowed);
    if (name.find_first_of("/:@* ") != std::string::npos) element.refuse(element.quoted(name) + " is no host name", kAllowed);
    out.push_back(std::move(name));
  }
  return out;
}

Api api(const Field& field) {
  static const std::string kAllowed = "\"127.0.0.1:8470\" (host:port, port 0 for any free one)";
  auto fields = field.fields({"listen", "names"});
  Api out;
  if (const auto* listen = find(fields, "listen")) {
    auto text = listen->text(kAllowed);
    try {
      out = parse_listen(text);
    } catch (const Error&) {
      listen->refuse(listen->quoted(text) + " is no host:port", kAllowed);
    }
  }
  if (const auto* list = find(fields, "names")) out.names = host_names(*list);
  return out;
}

Journal journal(const Field& field) {
  auto fields = field.fields({"path", "size_limit"});
  Journal out;
  if (const auto* path = find(fields, "path")) out.path = path->text("the path of a directory");
  if (const auto* size = find(fields, "size_limit")) out.size_limit_bytes = size->size_bytes(kJournalBytesLeast, kMemoryBytesMost);
  return out;
}

Throttle throttle(const Field& field) {
  auto fields = field.fields({"copy", "operations"});
  Throttle out;
  if (const auto* copy = find(fields, "copy")) out.copy_bytes = copy->size_bytes(0, kMemoryBytesMost);
  if (const auto* operations = find(fields, "operations")) out.operations = static_cast<std::uint64_t>(operations->whole_number(0, 1'000'000'000));
  return out;
}

Hooks hooks_of(const Field& field) {
  static const std::string kAllowed = "a command as /bin/sh takes it";
  auto fields = field.fields({"close", "open"});
  for (const char* needed : {"close", "open"})
    if (find(fields, needed) == nullptr) field.refuse(std::string("the key ") + needed + " is missing", "both close and open");
  return {fields.at("close").text(kAllowed), fields.at("open").text(kAllowed)};
}

void read_hooks(Options& o, const Field& field) {
  auto fields = field.fields({"source", "target"});
  if (const auto* source = find(fields, "source")) o.source_hooks = hooks_of(*source);
  if (const auto* target = find(fields, "target")) o.target_hooks = hooks_of(*target);
}

Switchover switchover(const Field& field) {
  auto fields = field.fields({"lag_max", "closed_max"});
  Switchover out;
  if (const auto* lag = find(fields, "lag_max")) out.lag_max_s = lag->whole_number(1, 3600);
  if (const auto* closed = find(fields, "closed_max")) out.closed_max_s = closed->whole_number(1, 3600);
  return out;
}

// "90s", "30min", "12h".
std::uint64_t duration_s(const Field& field) {
  static const std::string kAllowed = "off, or a number with s, min or h, such as 30min";
  auto text = field.text(kAllowed);
  auto end = text.find_first_not_of("0123456789");
  auto number = text.substr(0, end), unit = end == std::string::npos ? std::string() : text.substr(end);
  std::uint64_t seconds = unit == "s" ? 1 : unit == "min" ? 60 : unit == "h" ? 3600 : 0;
  if (seconds == 0 || number.empty() || number.size() > 6) field.refuse(field.quoted(text) + " is no time", kAllowed);
  return seconds * std::stoull(number);
}

Verify verify(const Field& field) {
  auto fields = field.fields({"mode", "bytes_per_second", "continuous"});
  Verify out;
  if (const auto* mode = find(fields, "mode")) out.bytes = mode->choice<bool>({{"digest", false}, {"bytes", true}});
  if (const auto* rate = find(fields, "bytes_per_second")) out.bytes_per_second = rate->size_bytes(0, kMemoryBytesMost);
  if (const auto* pause = find(fields, "continuous"); pause != nullptr && pause->text("off, or 30min") != "off") out.continuous_pause_s = duration_s(*pause);
  return out;
}

Log log_options(const Field& field) {
  auto fields = field.fields({"level", "file"});
  Log out;
  if (const auto* level = find(fields, "level"))
    out.level = level->choice<log::Level>({{"debug", log::Level::debug}, {"info", log::Level::info}, {"warning", log::Level::warning}, {"error", log::Level::error}});
  if (const auto* file = find(fields, "file")) out.file = file->text("the path of a file");
  return out;
}

std::string link(const Field& field) {
  static const std::string kAllowed = "1 to 64 letters, digits, '-' and '_'";
  auto name = field.text(kAllowed);
  if (auto wrong = wrong_with_link(name); !wrong.empty()) field.refuse(field.quoted(name) + " " + wrong, kAllowed);
  return name;
}

}  // namespace

Options load(const std::string& path) {
  auto document = Field::document(path);
  auto fields = top(document);
  Options o;
  if (const auto* f = find(fields, "link")) o.link = link(*f);
  o.source_uri = uri(document, fields, "source");
  o.target_uri = uri(document, fields, "target");
  refuse_same_cluster(o, fields.at("target"));
  if (const auto* f = find(fields, "shard_credentials")) read_shard_credentials(o, *f);
  o.namespaces = namespaces(fields);
  if (const auto* f = find(fields, "rename")) read_renames(o.namespaces, *f);
  if (const auto* f = find(fields, "on_existing_target"))
    o.on_existing_target = f->choice<OnExisting>({{"refuse", OnExisting::refuse}, {"drop", OnExisting::drop}});
  if (const auto* f = find(fields, "copy_users")) o.copy_users = user_rules(*f);
  if (const auto* f = find(fields, "sharding")) o.sharding = read_sharding(*f);
  if (const auto* f = find(fields, "zones")) o.zones = read_zones(*f);
  if (const auto* f = find(fields, "api")) o.api = api(*f);
  if (const auto* f = find(fields, "reading")) o.reading = f->choice<ReadingOrder>({{"auto", ReadingOrder::automatic}, {"natural", ReadingOrder::natural}, {"id", ReadingOrder::id}});
  if (const auto* f = find(fields, "read_preference"))
    o.read_preference = f->choice<ReadFrom>({{"primary", ReadFrom::primary}, {"primaryPreferred", ReadFrom::primary_preferred}, {"secondary", ReadFrom::secondary},
                                             {"secondaryPreferred", ReadFrom::secondary_preferred}, {"nearest", ReadFrom::nearest}});
  if (const auto* f = find(fields, "lanes")) o.lanes = f->whole_number(1, kWorkersMax);
  if (const auto* f = find(fields, "copiers")) o.copiers = f->whole_number(1, kWorkersMax);
  if (const auto* f = find(fields, "indexes")) o.indexes = f->choice<Indexes>({{"after", Indexes::after}, {"before", Indexes::before}});
  if (const auto* f = find(fields, "index_builds")) o.index_builds = f->whole_number(1, kWorkersMax);
  if (const auto* f = find(fields, "memory_limit")) o.memory_limit_bytes = f->size_bytes(kMemoryBytesLeast, kMemoryBytesMost);
  if (const auto* f = find(fields, "journal")) o.journal = journal(*f);
  if (o.journal.path.empty()) o.journal.path = (std::filesystem::path(path).parent_path() / (o.link + ".journal")).string();
  if (const auto* f = find(fields, "throttle")) o.throttle = throttle(*f);
  if (const auto* f = find(fields, "hooks")) read_hooks(o, *f);
  if (const auto* f = find(fields, "switchover")) o.switchover = switchover(*f);
  if (const auto* f = find(fields, "verify")) o.verify = verify(*f);
  if (const auto* f = find(fields, "log")) o.log = log_options(*f);
  return o;
}

Options reversed(Options o) {
  std::swap(o.source_uri, o.target_uri);
  std::swap(o.source_shard_credentials, o.target_shard_credentials);
  std::swap(o.source_hooks, o.target_hooks);
  o.sharding = {};
  o.zones = {};
  o.reversed = !o.reversed;
  return o;
}

Api load_api(const std::string& path) {
  auto fields = top(Field::document(path));
  const auto* field = find(fields, "api");
  return field != nullptr ? api(*field) : Api{};
}

std::string throttle_change(const ThrottleTexts& texts) {
  std::string out;
  auto add = [&](const char* key, const std::string& text, bool may_be_off, auto read) {
    if (text.empty()) return;
    auto number = may_be_off && text == "off" ? std::string("null") : std::to_string(read(Field("command line", 1, key, YAML::Node(text))));
    out += (out.empty() ? "{\"" : ", \"") + std::string(key) + "\": " + number;
  };
  auto workers = [](const Field& f) { return f.whole_number(0, kWorkersMax); };
  add("copy_bytes_per_second", texts.copy, true, [](const Field& f) { return f.size_bytes(0, kMemoryBytesMost); });
  add("operations_per_second", texts.operations, true, [](const Field& f) { return static_cast<std::uint64_t>(f.whole_number(0, 1'000'000'000)); });
  add("copiers", texts.copiers, false, workers);
  add("lanes", texts.lanes, false, workers);
  add("verify_bytes_per_second", texts.verify, true, [](const Field& f) { return f.size_bytes(0, kMemoryBytesMost); });
  if (out.empty()) throw Error(Remedy::fix_config, "there is no limit to change", "give some of --copy, --operations, --copiers, --lanes and --verify");
  return out + "}";
}

Api parse_listen(const std::string& text) {
  auto refuse = [] { throw Error(Remedy::fix_config, "the address of the API is no host:port", "write it as 127.0.0.1:8470 or [::1]:8470"); };
  auto colon = text.rfind(':');
  if (colon == std::string::npos || colon == 0) refuse();
  Api out;
  out.host = text.substr(0, colon);
  auto port = text.substr(colon + 1);
  if (port.empty() || port.size() > 5 || port.find_first_not_of("0123456789") != std::string::npos) refuse();
  out.port = std::stoi(port);
  bool bracketed = out.host.front() == '[' && out.host.back() == ']';
  if (bracketed) out.host = out.host.substr(1, out.host.size() - 2);
  if (out.port > 65535 || out.host.empty() || out.host.find_first_of("[]/@*? ") != std::string::npos) refuse();
  if (!bracketed && out.host.find(':') != std::string::npos) refuse();
  return out;
}

}  // namespace mongotwin::options
