// SPDX-License-Identifier: Apache-2.0
#include "options/rules.h"

#include <algorithm>
#include <cctype>
#include <string_view>

namespace mongotwin::options {
namespace {

constexpr std::size_t kDatabaseBytesMax = 63;     // the server's limit
constexpr std::size_t kNamespaceBytesMax = 255;   // likewise
constexpr std::size_t kLinkCharactersMax = 64;

constexpr std::string_view kScheme = "mongodb://", kSrvScheme = "mongodb+srv://";

bool is_hex(char c) { return std::isxdigit(static_cast<unsigned char>(c)) != 0; }

bool is_srv(std::string_view uri) { return uri.substr(0, kSrvScheme.size()) == kSrvScheme; }

struct UriParts {
  std::string_view user, hosts, rest;
  bool has_user = false;
};

UriParts split(std::string_view uri) {
  uri.remove_prefix(is_srv(uri) ? kSrvScheme.size() : kScheme.size());
  UriParts p;
  auto end = std::min(uri.find_first_of("/?"), uri.size());
  p.rest = uri.substr(end);
  p.hosts = uri.substr(0, end);
  if (auto at = p.hosts.rfind('@'); at != std::string_view::npos) {
    p.user = p.hosts.substr(0, at);
    p.hosts.remove_prefix(at + 1);
    p.has_user = true;
  }
  return p;
}

std::vector<std::string_view> split_list(std::string_view text, char separator) {
  std::vector<std::string_view> out;
  for (;;) {
    auto end = text.find(separator);
    out.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return out;
    text.remove_prefix(end + 1);
  }
}

std::string wrong_with_user_part(std::string_view user) {
  static const std::string kEncode = "the user or the password holds a character that must be percent-encoded (@ is %40, : %3A, / %2F, % %25)";
  if (user.empty() || user[0] == ':') return "the user name in front of @ is empty";
  if (std::count(user.begin(), user.end(), ':') > 1) return kEncode;
  for (std::size_t i = 0; i < user.size(); ++i) {
    if (std::string_view("/?#[]@\"'<>\\^`{|}").find(user[i]) != std::string_view::npos) return kEncode;
    if (user[i] != '%') continue;
    if (i + 2 >= user.size() || !is_hex(user[i + 1]) || !is_hex(user[i + 2])) return kEncode;
  }
  return {};
}

// The position of the colon in front of the port, if there is one.
std::size_t port_colon(std::string_view host) {
  auto colon = host.rfind(':');
  auto bracket = host.rfind(']');
  return colon == std::string_view::npos || (bracket != std::string_view::npos && colon < bracket) ? std::string_view::npos : colon;
}

std::string wrong_with_host(std::string_view host, bool srv) {
  auto colon = port_colon(host);
  if (host.empty() || colon == 0) return "a host name is empty";
  if (host[0] != '[' && std::count(host.begin(), host.end(), ':') > 1) return "an IPv6 address must stand in brackets";
  if (colon == std::string_view::npos) return {};
  if (srv) return "mongodb+srv:// takes a name without a port";
  auto port = host.substr(colon + 1);
  bool digits = !port.empty() && port.size() <= 5 && std::all_of(port.begin(), port.end(), [](unsigned char c) { return std::isdigit(c) != 0; });
  if (!digits || std::stoi(std::string(port)) < 1 || std::stoi(std::string(port)) > 65535) return "a port is no number from 1 to 65535";
  return {};
}

std::string wrong_with_hosts(std::string_view hosts, bool srv) {
  auto list = split_list(hosts, ',');
  if (srv && list.size() > 1) return "mongodb+srv:// takes one name only";
  for (auto host : list)
    if (auto wrong = wrong_with_host(host, srv); !wrong.empty()) return wrong;
  return {};
}

std::string wrong_with_database_part(std::string_view name, bool star_allowed) {
  if (name.empty()) return "the database name is empty";
  if (name.size() > kDatabaseBytesMax) return "the database name is longer than 63 bytes";
  for (char c : name) {
    if (c == '*' && star_allowed) continue;
    if (std::string_view("/\\. \"$*<>:|?").find(c) != std::string_view::npos || static_cast<unsigned char>(c) < 0x20)
      return std::string("a database name can't hold '") + (static_cast<unsigned char>(c) < 0x20 ? '?' : c) + "'";
  }
  if (name == "admin" || name == "local" || name == "config") return "the system database " + std::string(name) + " is never replicated";
  if (name == "mongotwin") return "the database mongotwin is mongotwin's own";
  return {};
}

}  // namespace

std::string wrong_with_uri(const std::string& uri) {
  bool srv = is_srv(uri);
  if (!srv && uri.rfind(kScheme, 0) != 0) return "is no connection string";
  for (unsigned char c : uri)
    if (c <= 0x20 || c == 0x7f) return "holds a blank or a control character";
  auto p = split(uri);
  // An '@' behind the first '/' or '?' is the end of a password that holds one of them.
  if (p.rest.find('@') != std::string_view::npos)
    return "the user or the password holds a character that must be percent-encoded (@ is %40, / is %2F, ? is %3F)";
  if (p.has_user)
    if (auto wrong = wrong_with_user_part(p.user); !wrong.empty()) return wrong;
  return wrong_with_hosts(p.hosts, srv);
}

std::vector<std::string> hosts_of(const std::string& uri) {
  bool srv = is_srv(uri);
  std::vector<std::string> out;
  for (auto host : split_list(split(uri).hosts, ',')) {
    std::string name(host);
    std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    if (srv) name.insert(0, "srv ");
    else if (port_colon(host) == std::string_view::npos) name += ":27017";
    out.push_back(std::move(name));
  }
  return out;
}

std::string wrong_with_database(const std::string& name) { return wrong_with_database_part(name, false); }

std::string wrong_with_pattern(const std::string& pattern) {
  if (pattern == "*") return {};
  if (pattern.size() > kNamespaceBytesMax) return "is longer than 255 bytes";
  auto dot = pattern.find('.');
  if (dot == std::string::npos) return "has no dot between database and collection";
  if (auto wrong = wrong_with_database_part(std::string_view(pattern).substr(0, dot), true); !wrong.empty()) return wrong;
  if (dot + 1 == pattern.size()) return "names no collection after the dot";
  for (unsigned char c : pattern.substr(dot + 1))
    if (c == '$' || c < 0x20) return "a collection name can't hold '$' or control characters";
  return {};
}

std::string wrong_with_collection(const std::string& ns) {
  if (auto wrong = wrong_with_pattern(ns); !wrong.empty()) return wrong;
  if (ns.find('*') != std::string::npos) return "a '*' is not allowed here";
  if (ns.find(".system.") != std::string::npos) return "a system collection is the server's own";
  return {};
}

std::string wrong_with_key_field(const std::string& path) {
  if (path.empty() || path.front() == '.' || path.back() == '.' || path.find("..") != std::string::npos) return "the name of the field, or a part of it, is empty";
  if (path.front() == '$' || path.find(".$") != std::string::npos) return "the name of a field can't begin with '$'";
  return {};
}

std::string wrong_with_renamed(const std::string& ns) {
  if (auto wrong = wrong_with_pattern(ns); !wrong.empty()) return wrong;
  auto plain = ns.ends_with(".*") ? ns.substr(0, ns.size() - 2) : ns;
  if (plain.find('*') != std::string::npos) return "a '*' may only stand for a whole collection name";
  if (plain.find(".system.") != std::string::npos) return "a system collection keeps its name";
  return {};
}

std::string wrong_with_link(const std::string& name) {
  bool plain = std::all_of(name.begin(), name.end(), [](unsigned char c) { return std::isalnum(c) != 0 || c == '-' || c == '_'; });
  if (name.empty() || name.size() > kLinkCharactersMax || !plain) return "is no plain name";
  return {};
}

}  // namespace mongotwin::options
