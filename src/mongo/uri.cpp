// SPDX-License-Identifier: Apache-2.0
#include "mongo/uri.h"

#include <strings.h>

#include <algorithm>
#include <utility>
#include <vector>

namespace mongotwin::mongo {
namespace {

struct Parts {
  std::string scheme, user, hosts, database;
  std::vector<std::string> options;
};

Parts split(const std::string& uri) {
  Parts p;
  auto rest = uri;
  if (auto at = rest.find("://"); at != std::string::npos) {
    p.scheme = rest.substr(0, at + 3);
    rest.erase(0, at + 3);
  }
  if (auto q = rest.find('?'); q != std::string::npos) {
    std::string option;
    for (char c : rest.substr(q + 1) + "&") {
      if (c != '&') option += c;
      else if (!option.empty()) p.options.push_back(std::exchange(option, {}));
    }
    rest.resize(q);
  }
  if (auto at = rest.rfind('@'); at != std::string::npos) {
    p.user = rest.substr(0, at + 1);
    rest.erase(0, at + 1);
  }
  auto slash = rest.find('/');
  p.hosts = rest.substr(0, slash);
  if (slash != std::string::npos) p.database = rest.substr(slash + 1);
  return p;
}

std::string join(const Parts& p) {
  auto out = p.scheme + p.user + p.hosts + "/" + p.database;
  char separator = '?';
  for (const auto& o : p.options) {
    out += separator + o;
    separator = '&';
  }
  return out;
}

bool is_option(const std::string& option, const std::string& name) {
  return option.size() > name.size() && option[name.size()] == '=' && strncasecmp(option.c_str(), name.c_str(), name.size()) == 0;
}

void remove_option(Parts& p, const std::string& name) {
  std::erase_if(p.options, [&](const auto& o) { return is_option(o, name); });
}

std::string percent_encode(const std::string& text) {
  static constexpr char kHex[] = "0123456789ABCDEF";
  std::string out;
  for (unsigned char c : text) {
    if (isalnum(c) || c == '-' || c == '_' || c == '.' || c == '~') out += static_cast<char>(c);
    else out += {'%', kHex[c >> 4], kHex[c & 15]};
  }
  return out;
}

}  // namespace

std::string shard_uri(const std::string& cluster_uri, const std::string& shard_host, const std::optional<Credentials>& credentials) {
  auto p = split(cluster_uri);
  bool srv = p.scheme == "mongodb+srv://";
  p.scheme = "mongodb://";
  for (const char* name : {"replicaSet", "directConnection", "loadBalanced", "srvMaxHosts", "srvServiceName", "readPreference"}) remove_option(p, name);
  auto slash = shard_host.find('/');
  p.hosts = shard_host.substr(slash == std::string::npos ? 0 : slash + 1);
  if (slash != std::string::npos) p.options.push_back("replicaSet=" + shard_host.substr(0, slash));
  if (credentials) {
    p.user = percent_encode(credentials->user) + ":" + percent_encode(credentials->password) + "@";
    remove_option(p, "authSource");
    p.options.push_back("authSource=" + percent_encode(credentials->auth_source));
  }
  auto out = join(p);
  return srv ? with_default_option(out, "tls", "true") : out;  // mongodb+srv implies TLS
}

std::string with_default_option(const std::string& uri, const std::string& name, const std::string& value) {
  auto p = split(uri);
  if (std::any_of(p.options.begin(), p.options.end(), [&](const auto& o) { return is_option(o, name); })) return uri;
  p.options.push_back(name + "=" + value);
  return join(p);
}

}  // namespace mongotwin::mongo
