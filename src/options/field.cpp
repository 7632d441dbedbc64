// SPDX-License-Identifier: Apache-2.0
#include "options/field.h"

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/error.h"
#include "base/log.h"

namespace mongotwin::options {
namespace {

constexpr std::size_t kSecretFileBytesMax = 65536;
constexpr std::size_t kQuotedCharactersMax = 60;

std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    auto diagonal = std::exchange(row[0], i);
    for (std::size_t j = 1; j <= b.size(); ++j) {
      auto substituted = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = std::exchange(row[j], std::min({row[j] + 1, row[j - 1] + 1, substituted}));
    }
  }
  return row[b.size()];
}

// What people coming from other tools write.
std::string_view other_name(std::string_view word) {
  static constexpr std::pair<std::string_view, std::string_view> kNames[] = {
      {"dbnames", "databases"}, {"dbs", "databases"},           {"src", "source"},      {"dest", "target"},
      {"destination", "target"}, {"collections", "namespaces"}, {"from", "source"},     {"to", "target"}};
  for (const auto& [from, to] : kNames)
    if (from == word) return to;
  return {};
}

std::string names(std::initializer_list<std::string_view> known) {
  std::string out;
  for (auto name : known) out += (out.empty() ? "" : ", ") + std::string(name);
  return out;
}

// yaml-cpp puts names found in the text behind a colon, and a name may be a piece of a password.
std::string without_quotation(const std::string& message) { return message.substr(0, message.find(':')); }

std::string slurp(const std::string& path) {
  // A connection string in the place of a file name must not be repeated.
  if (path.find("://") != std::string::npos)
    throw Error(Remedy::fix_config, "the configuration is named by a URI", "name the configuration file; connection strings belong inside it");
  if (std::filesystem::is_directory(path))
    throw Error(Remedy::fix_config, "the configuration " + path + " is a folder", "name the YAML file inside it");
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  if (in) text << in.rdbuf();
  if (!in) throw Error(Remedy::fix_config, "the configuration " + path + " can't be read: " + std::strerror(errno), "name a file that exists and is readable");
  return text.str();
}

bool is_name_character(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }

}  // namespace

std::string closest(std::string_view word, std::initializer_list<std::string_view> known) {
  if (auto other = other_name(word); std::find(known.begin(), known.end(), other) != known.end()) return std::string(other);
  std::string_view best;
  std::size_t best_distance = std::max<std::size_t>(1, word.size() / 3) + 1;
  for (auto name : known) {
    auto d = distance(word, name);
    if (d < best_distance) {
      best = name;
      best_distance = d;
    }
  }
  return std::string(best);
}

Field Field::document(const std::string& path) {
  std::vector<YAML::Node> documents;
  try {
    documents = YAML::LoadAll(slurp(path));
  } catch (const YAML::ParserException& e) {
    throw Error(Remedy::fix_config, path + ":" + std::to_string(e.mark.line + 1) + ": not valid YAML: " + without_quotation(e.msg),
                "one \"key: value\" a line; values with special characters in single quotes");
  }
  YAML::Node root = documents.empty() ? YAML::Node() : documents.front();
  Field document(path, root.IsDefined() ? std::max(1, root.Mark().line + 1) : 1, "", root);
  if (documents.size() > 1) document.refuse("there are several YAML documents", "one document a file");
  if (!root.IsMap()) document.refuse("the file holds no keys", "\"key: value\" lines; source and target are needed");
  return document;
}

void Field::refuse(const std::string& what, const std::string& allowed) const {
  auto place = file_ + ":" + std::to_string(line_) + ": ";
  if (!key_.empty()) place += "key " + key_ + ": ";
  throw Error(Remedy::fix_config, place + what, "allowed: " + allowed);
}

std::string Field::quoted(std::string_view value) const {
  // A value with these is, or may be a piece of, a connection string in the wrong place.
  if (value.find_first_of("@%") != std::string_view::npos || value.find("://") != std::string_view::npos || value.find("mongodb") != std::string_view::npos)
    return "the value";
  if (node_.IsScalar() && node_.Scalar().find("${") != std::string::npos) return "the value";
  std::string out = "\"";
  for (char c : value.substr(0, kQuotedCharactersMax)) out += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? '?' : c;
  return out + (value.size() > kQuotedCharactersMax ? "…\"" : "\"");
}

std::map<std::string, Field> Field::fields(std::initializer_list<std::string_view> known) const {
  if (!node_.IsMap()) refuse("must be a group of keys", names(known));
  std::map<std::string, Field> out;
  for (const auto& pair : node_) {
    auto line = pair.first.Mark().line + 1;
    auto name = pair.first.IsScalar() ? pair.first.Scalar() : "";
    if (std::find(known.begin(), known.end(), name) == known.end()) {
      auto meant = closest(name, known);
      Field here(file_, line, key_, pair.first);
      // Among credentials a stray word may be a piece of a password.
      auto shown = key_.rfind("shard_credentials", 0) == 0 ? "" : " " + here.quoted(name);
      here.refuse("unknown key" + shown + (meant.empty() ? "" : ", did you mean " + meant + "?"), names(known));
    }
    Field field(file_, line, key_.empty() ? name : key_ + "." + name, pair.second);
    if (out.count(name) != 0) field.refuse("is there twice", "each key once");
    if (pair.second.IsNull()) field.refuse("has no value", "a value, or leave the key out for its default");
    out.emplace(name, std::move(field));
  }
  return out;
}

std::vector<std::pair<std::string, Field>> Field::entries(const std::string& allowed) const {
  if (!node_.IsMap() || node_.size() == 0) refuse("must be a group of keys", allowed);
  std::vector<std::pair<std::string, Field>> out;
  for (const auto& pair : node_) {
    auto name = pair.first.IsScalar() ? pair.first.Scalar() : "";
    Field field(file_, pair.first.Mark().line + 1, key_ + "." + name, pair.second);
    if (std::any_of(out.begin(), out.end(), [&](const auto& other) { return other.first == name; })) field.refuse("is there twice", "each key once");
    out.emplace_back(name, std::move(field));
  }
  return out;
}

std::vector<Field> Field::elements(const std::string& allowed) const {
  if (!node_.IsSequence()) refuse("must be a list", allowed);
  if (node_.size() == 0) refuse("the list is empty", allowed + "; leave the key out for everything");
  std::vector<Field> out;
  for (const auto& element : node_) out.emplace_back(file_, element.Mark().line + 1, key_, element);
  return out;
}

std::string Field::text(const std::string& allowed, Secret secret) const {
  if (!node_.IsScalar()) refuse("must be a single value", allowed);
  const auto& raw = node_.Scalar();
  auto out = expand(raw);
  if (secret == Secret::yes && raw.rfind("file:", 0) == 0) out = read_secret_file(out.substr(5));
  if (out.empty()) refuse("is empty", allowed);
  if (out.find('\0') != std::string::npos) refuse("holds a NUL character", allowed);
  return out;
}

std::string Field::expand(const std::string& raw) const {
  std::string out;
  for (std::size_t at = 0; at < raw.size();) {
    if (raw.compare(at, 3, "$${") == 0) {  // an escaped "${"
      out += "${";
      at += 3;
      continue;
    }
    if (raw.compare(at, 2, "${") != 0) {
      out += raw[at++];
      continue;
    }
    auto end = at + 2;
    while (end < raw.size() && is_name_character(raw[end])) ++end;
    auto name = raw.substr(at + 2, end - at - 2);
    if (name.empty() || end == raw.size() || raw[end] != '}' || std::isdigit(static_cast<unsigned char>(name[0])) != 0)
      refuse("a ${ is not followed by the name of an environment variable and }", "${NAME}; write $${ for the characters themselves");
    const char* value = std::getenv(name.c_str());
    if (value == nullptr) refuse("the environment variable " + name + " is not set", "a variable that is set where mongotwin starts; write $${ for the characters themselves");
    out += value;
    at = end + 1;
  }
  return out;
}

std::string Field::read_secret_file(const std::string& path) const {
  static const std::string kAllowed = "file:/path of a readable file that holds the value on one line";
  namespace fs = std::filesystem;
  fs::path file(path);
  if (file.is_relative()) file = fs::path(file_).parent_path() / file;  // as seen from the configuration
  auto shown = "the file " + redact(file.string());
  if (path.empty()) refuse("file: names no file", kAllowed);
  std::error_code ignored;
  if (fs::is_directory(file, ignored)) refuse(shown + " is a folder", kAllowed);
  std::ifstream in(file, std::ios::binary);
  if (!in) refuse(shown + " can't be read: " + std::strerror(errno), kAllowed);
  std::string text(kSecretFileBytesMax, '\0');
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(in.gcount()));
  if (text.size() == kSecretFileBytesMax) refuse(shown + " is too long", kAllowed);
  if (!text.empty() && text.back() == '\n') text.pop_back();
  if (!text.empty() && text.back() == '\r') text.pop_back();
  if (text.empty()) refuse(shown + " is empty", kAllowed);
  if (text.find('\n') != std::string::npos) refuse(shown + " holds several lines", kAllowed);
  return text;
}

int Field::whole_number(int least, int most) const {
  auto allowed = "a whole number from " + std::to_string(least) + " to " + std::to_string(most);
  auto given = text(allowed);
  char* end = nullptr;
  errno = 0;
  auto value = std::strtol(given.c_str(), &end, 10);
  if (*end != '\0' || std::isspace(static_cast<unsigned char>(given[0])) != 0) refuse(quoted(given) + " is no whole number", allowed);
  if (errno == ERANGE || value < least || value > most) refuse(quoted(given) + " is out of range", allowed);
  return static_cast<int>(value);
}

std::uint64_t Field::size_bytes(std::uint64_t least, std::uint64_t most) const {
  static constexpr std::pair<const char*, std::uint64_t> kUnits[] = {
      {"B", 1},          {"KB", 1000},         {"MB", 1000'000},       {"GB", 1000'000'000},
      {"KiB", 1ULL << 10}, {"MiB", 1ULL << 20}, {"GiB", 1ULL << 30}};
  auto allowed = "a size from " + std::to_string(least / 1000'000) + "MB to " + std::to_string(most / 1000'000'000) + "GB, such as 512MB or 1GiB";
  auto given = text(allowed);
  if (least == 0 && given == "0") return 0;
  auto digits = std::min(given.find_first_not_of("0123456789"), given.size());
  auto unit = given.substr(std::min(given.find_first_not_of(' ', digits), given.size()));
  if (digits == 0 || digits > 15) refuse(quoted(given) + " is no size", allowed);
  for (const auto& [name, factor] : kUnits) {
    if (unit != name) continue;
    auto number = std::stoull(given.substr(0, digits));
    if (number > most / factor || number * factor < least) refuse(quoted(given) + " is out of range", allowed);
    return number * factor;
  }
  refuse(unit.empty() ? "the unit is missing" : quoted(given) + " has an unknown unit", allowed + "; units B, KB, MB, GB, KiB, MiB, GiB");
}

}  // namespace mongotwin::options
