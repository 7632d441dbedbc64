// SPDX-License-Identifier: Apache-2.0
// Guard: which requests the API answers. A browser of an operator can be made to send requests by any page it shows:
// under a name that the page's owner points at 127.0.0.1 (DNS rebinding), or straight at it (cross-site request).
// So the Host must be an IP address, localhost, this machine's name or a configured one; and a command must come
// without an Origin or from the API's own, and not as something a plain HTML form can send. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace mongotwin::http {

struct Refusal {
  int http_status;
  std::string what, hint;
};

struct RequestHead {
  std::optional<std::string> host, origin, fetch_site, content_type;  // headers; empty optional: not sent
  bool has_body = false;
};

// `names` are the host names that count as this API, in lower case.
[[nodiscard]] std::optional<Refusal> refuse_read(const RequestHead& head, const std::vector<std::string>& names);
[[nodiscard]] std::optional<Refusal> refuse_command(const RequestHead& head, const std::vector<std::string>& names);

// "Name:80", "[::1]:80" → "name", "::1".
[[nodiscard]] std::string host_name(std::string_view host_header);
[[nodiscard]] bool is_ip_address(const std::string& name);
[[nodiscard]] bool is_loopback(const std::string& name);
[[nodiscard]] std::string lower(std::string_view text);

}  // namespace mongotwin::http
