// SPDX-License-Identifier: Apache-2.0
#include "http/guard.h"

#include <arpa/inet.h>

#include <algorithm>
#include <cctype>

namespace mongotwin::http {

std::string lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return out;
}

std::string host_name(std::string_view host) {
  if (!host.empty() && host.front() == '[') return lower(host.substr(1, host.find(']') - 1));
  return lower(host.substr(0, host.find(':')));
}

bool is_ip_address(const std::string& name) {
  in6_addr ignored;
  return inet_pton(AF_INET, name.c_str(), &ignored) == 1 || inet_pton(AF_INET6, name.c_str(), &ignored) == 1;
}

bool is_loopback(const std::string& name) {
  return name == "localhost" || name == "::1" || (is_ip_address(name) && name.rfind("127.", 0) == 0);
}

std::optional<Refusal> refuse_read(const RequestHead& head, const std::vector<std::string>& names) {
  if (!head.host) return std::nullopt;  // no browser leaves it out; simple health checks do
  auto name = host_name(*head.host);
  if (is_ip_address(name) || name == "localhost" || std::find(names.begin(), names.end(), name) != names.end()) return std::nullopt;
  return Refusal{403, "the API does not answer under this host name", "ask by IP address, or add the name to api: {names: […]} in the configuration"};
}

std::optional<Refusal> refuse_command(const RequestHead& head, const std::vector<std::string>& names) {
  static const char* kHint = "use mongotwin pause, resume or finish, or send the request from the API's own address";
  if (!head.host) return Refusal{400, "the request has no Host", "send HTTP/1.1"};
  if (auto refusal = refuse_read(head, names)) return refusal;
  if (head.origin) {
    auto scheme = head.origin->find("://");
    auto origin = scheme == std::string::npos ? std::string() : lower(std::string_view(*head.origin).substr(scheme + 3));
    if (origin != lower(*head.host)) return Refusal{403, "a command from another site's page is refused", kHint};
  }
  if (head.fetch_site && *head.fetch_site != "same-origin" && *head.fetch_site != "none")
    return Refusal{403, "a command from another site's page is refused", kHint};
  auto type = lower(head.content_type.value_or(""));
  type = type.substr(0, type.find_first_of("; "));
  if (type != "application/json" && (head.has_body || !type.empty()))
    return Refusal{415, "the request is not JSON", "send no body, or one with Content-Type: application/json"};
  return std::nullopt;
}

}  // namespace mongotwin::http
