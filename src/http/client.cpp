// SPDX-License-Identifier: Apache-2.0
#include "http/client.h"

#include <httplib.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "http/server.h"
#include "status/json.h"

namespace mongotwin::http {
namespace {

constexpr int kConnectWait_s = 5;
constexpr int kAnswerWait_s = 60;  // a command may wait for a cut

// 0.0.0.0 and :: are addresses to listen on, not to ask.
std::string to_ask(const std::string& host) {
  if (host == "0.0.0.0") return "127.0.0.1";
  return host == "::" ? "::1" : host;
}

using Json = nlohmann::json;

std::string text_at(const Json& json, const char* key) {
  auto at = json.is_object() ? json.find(key) : json.end();
  return at != json.end() && at->is_string() ? at->get<std::string>() : "";
}

[[noreturn]] void refuse(const httplib::Response& response, const std::string& where) {
  auto body = Json::parse(response.body, nullptr, false);
  auto error = body.is_object() && body.contains("error") ? body["error"] : Json();
  auto what = text_at(error, "what");
  if (!what.empty()) throw Error(Remedy::pause, what, text_at(error, "hint"));
  throw Error(Remedy::fix_config, "what answers on " + where + " is no mongotwin (HTTP status " + std::to_string(response.status) + ")", "check the address of the API");
}

}  // namespace

struct Client::Impl {
  Impl(const std::string& host, int port) : where(to_string(host, port)), client(host, port) {
    client.set_connection_timeout(kConnectWait_s);
    client.set_read_timeout(kAnswerWait_s);
    client.set_default_headers({{"Host", where}});  // the library forgets the brackets of an IPv6 address
  }

  std::string body_of(const httplib::Result& result) const {
    if (!result)
      throw Error(Remedy::retry, "no mongotwin answers on " + where + " (" + httplib::to_string(result.error()) + ")", "start it with mongotwin run --config FILE, or name its address with --api HOST:PORT");
    if (result->status != 200) refuse(*result, where);
    return result->body;
  }

  std::string where;
  httplib::Client client;
};

Client::Client(std::string host, int port) : impl_(std::make_unique<Impl>(to_ask(host), port)) {}
Client::~Client() = default;

std::string Client::status_json() { return impl_->body_of(impl_->client.Get("/api/v1/status")); }

status::Status Client::status() { return status::from_json(status_json()); }

std::string Client::verification_json() { return impl_->body_of(impl_->client.Get("/api/v1/verify")); }

std::string Client::command(const std::string& name, const std::string& body) {
  auto answer = impl_->body_of(impl_->client.Post("/api/v1/" + name, body, "application/json"));
  return text_at(Json::parse(answer, nullptr, false), "state");
}

std::vector<status::Condition> Client::switch_over(bool dry_run) {
  auto result = impl_->client.Post("/api/v1/switchover", dry_run ? R"({"dry_run": true})" : "{}", "application/json");
  auto body = result ? Json::parse(result->body, nullptr, false) : Json();
  if (!body.is_object() || !body.contains("conditions")) return (void)impl_->body_of(result), std::vector<status::Condition>();
  std::vector<status::Condition> out;
  for (const auto& c : body["conditions"]) {
    auto kind = text_at(c, "kind");
    using Kind = status::Condition::Kind;
    out.push_back({kind == "fine" ? Kind::fine : kind == "warning" ? Kind::warning : Kind::refused, text_at(c, "what"), text_at(c, "hint")});
  }
  return out;
}

}  // namespace mongotwin::http
