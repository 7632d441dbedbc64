// SPDX-License-Identifier: Apache-2.0
#include "http/server.h"

#include <httplib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <functional>
#include <nlohmann/json.hpp>
#include <thread>

#include "base/error.h"
#include "base/log.h"
#include "base/worker.h"
#include "http/guard.h"
#include "status/json.h"

namespace mongotwin::http {
namespace {

constexpr std::size_t kThreads = 4;
constexpr std::size_t kBodyBytesMax = 65536;
constexpr int kRequestWait_s = 5;    // for a slow client's request and for taking the answer
constexpr int kKeepAliveWait_s = 1;  // bounds stop(), which waits for idle connections

using Json = nlohmann::ordered_json;
using Handler = std::function<void(const httplib::Request&, httplib::Response&)>;

void answer(httplib::Response& response, int http_status, const Json& body) {
  response.status = http_status;
  response.set_content(body.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n", "application/json");
}

void answer_error(httplib::Response& response, int http_status, const std::string& what, const std::string& hint) {
  answer(response, http_status, {{"error", {{"what", redact(what)}, {"hint", redact(hint)}}}});
}

RequestHead head_of(const httplib::Request& request) {
  auto header = [&](const char* name) {
    return request.has_header(name) ? std::optional<std::string>(request.get_header_value(name)) : std::nullopt;
  };
  return {header("Host"), header("Origin"), header("Sec-Fetch-Site"), header("Content-Type"), !request.body.empty() || !request.files.empty() || !request.params.empty()};
}

std::vector<std::string> own_names(const Address& address) {
  std::vector<std::string> names{lower(address.host)};
  for (const auto& name : address.names) names.push_back(lower(name));
  char machine[256] = {};
  if (gethostname(machine, sizeof machine - 1) == 0) {
    names.push_back(lower(machine));
    names.push_back(names.back().substr(0, names.back().find('.')));
  }
  return names;
}

bool is_json_object_or_nothing(const std::string& body) {
  return body.empty() || Json::parse(body, nullptr, false).is_object();
}

// A body of one flag at most; nothing if it is something else.
std::optional<bool> take_flag(const std::string& body, const std::string& flag) {
  if (body.empty()) return false;
  auto json = Json::parse(body, nullptr, false);
  if (!json.is_object() || json.size() > json.count(flag)) return {};
  auto value = json.value(flag, Json(false));
  return value.is_boolean() ? std::optional(value.get<bool>()) : std::nullopt;
}

constexpr const char* kThrottleHint =
    "send some of {\"copy_bytes_per_second\": 20000000, \"operations_per_second\": null, \"copiers\": 4, \"lanes\": 8, \"verify_bytes_per_second\": null}: null is no limit, 0 stops it; copiers and lanes are 0 to 64";

bool take_rate(const Json& value, status::Throttles& throttles, std::optional<std::uint64_t> status::Throttles::*rate) {
  if (!value.is_null() && !value.is_number_unsigned()) return false;
  throttles.*rate = value.is_null() ? std::optional<std::uint64_t>() : value.get<std::uint64_t>();
  return true;
}

bool take_count(const Json& value, status::Throttles& throttles, int status::Throttles::*count) {
  if (!value.is_number_unsigned() || value.get<std::uint64_t>() > kWorkersMax) return false;
  throttles.*count = value.get<int>();
  return true;
}

// Keys that are not given stay as they are.
bool take_throttles(const std::string& body, status::Throttles& throttles) {
  using status::Throttles;
  auto json = Json::parse(body, nullptr, false);
  if (!json.is_object() || json.empty()) return false;
  return std::all_of(json.items().begin(), json.items().end(), [&](const auto& item) {
    if (item.key() == "copy_bytes_per_second") return take_rate(item.value(), throttles, &Throttles::copy_bytes);
    if (item.key() == "operations_per_second") return take_rate(item.value(), throttles, &Throttles::operations);
    if (item.key() == "verify_bytes_per_second") return take_rate(item.value(), throttles, &Throttles::verify_bytes);
    if (item.key() == "copiers") return take_count(item.value(), throttles, &Throttles::copiers);
    return item.key() == "lanes" && take_count(item.value(), throttles, &Throttles::lanes);
  });
}

constexpr const char* kVerifyHint = "send some of {\"mode\": \"digest\", \"repair\": false, \"namespaces\": [\"shop.*\"]}; mode is digest or bytes";

bool take_namespaces(const Json& value, status::VerifyRequest& request) {
  if (!value.is_array()) return false;
  request.namespaces.clear();
  for (const auto& one : value) {
    if (!one.is_string() || one.get<std::string>().find('.') == std::string::npos) return false;
    request.namespaces.push_back(one.get<std::string>());
  }
  return true;
}

bool take_request(const std::string& body, status::VerifyRequest& request) {
  if (body.empty()) return true;
  auto json = Json::parse(body, nullptr, false);
  if (!json.is_object()) return false;
  return std::all_of(json.items().begin(), json.items().end(), [&](const auto& item) {
    if (item.key() == "namespaces") return take_namespaces(item.value(), request);
    if (item.key() == "repair" && item.value().is_boolean()) return request.repair = item.value().template get<bool>(), true;
    if (item.key() != "mode" || (item.value() != "digest" && item.value() != "bytes")) return false;
    request.bytes = item.value() == "bytes";
    return true;
  });
}

}  // namespace

std::string to_string(const std::string& host, int port) {
  return (host.find(':') == std::string::npos ? host : "[" + host + "]") + ":" + std::to_string(port);
}

struct Server::Impl {
  Impl(const status::StatusBoard& b, status::Commands& c, Address a) : board(b), commands(c), address(std::move(a)), names(own_names(address)) {}

  void set_limits();
  void set_routes();
  void set_errors();
  void add_command(const std::string& name, void (status::Commands::*command)());
  void add_throttle();
  void add_switchover();
  void add_command_with_flag(const std::string& name, const std::string& flag, void (status::Commands::*command)(bool));
  void add_verify();
  void only_by_post(const std::string& path);
  [[nodiscard]] Handler guarded(Handler handler) const;
  void bind();
  void serve();

  const status::StatusBoard& board;
  status::Commands& commands;
  Address address;
  std::vector<std::string> names;
  httplib::Server server;
  std::atomic<int> port{0};
  std::thread thread;
};

void Server::Impl::set_limits() {
  server.new_task_queue = [] { return new httplib::ThreadPool(kThreads); };
  server.set_payload_max_length(kBodyBytesMax);
  server.set_read_timeout(kRequestWait_s);
  server.set_write_timeout(kRequestWait_s);
  server.set_keep_alive_timeout(kKeepAliveWait_s);
  server.set_default_headers({{"Cache-Control", "no-store"}, {"X-Content-Type-Options", "nosniff"}});
  // The library's own choice, SO_REUSEPORT, would let a second mongotwin share the port in silence.
  server.set_socket_options([](socket_t sock) {
    int yes = 1;
    setsockopt(sock, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  });
}

// The checks stand in front of the handler, not of the routing: there the body is still unread and would be taken for
// the next request of the connection.
Handler Server::Impl::guarded(Handler handler) const {
  return [this, handler = std::move(handler)](const httplib::Request& request, httplib::Response& response) {
    auto head = head_of(request);
    auto refusal = request.method == "POST" ? refuse_command(head, names) : refuse_read(head, names);
    if (refusal) answer_error(response, refusal->http_status, refusal->what, refusal->hint);
    else handler(request, response);
  };
}

void Server::Impl::set_routes() {
  server.Get("/api/v1/status", guarded([this](const httplib::Request&, httplib::Response& response) {
               response.set_content(status::to_json(*board.get()) + "\n", "application/json");
             }));
  server.Get("/healthz", guarded([this](const httplib::Request&, httplib::Response& response) {
               auto state = board.get()->state;
               bool ok = state != status::State::failed;
               answer(response, ok ? 200 : 503, {{"ok", ok}, {"state", status::to_string(state)}});
             }));
  add_command("pause", &status::Commands::pause);
  add_command("resume", &status::Commands::resume);
  add_command("finish", &status::Commands::finish);
  add_command("verify/cancel", &status::Commands::cancel_verification);
  add_throttle();
  add_switchover();
  add_command_with_flag("failover", "force", &status::Commands::fail_over);
  add_command_with_flag("rejoin", "copy", &status::Commands::rejoin);
  add_verify();
}

void Server::Impl::add_command(const std::string& name, void (status::Commands::*command)()) {
  auto path = "/api/v1/" + name;
  server.Post(path, guarded([this, name, command](const httplib::Request& request, httplib::Response& response) {
                if (!is_json_object_or_nothing(request.body)) return answer_error(response, 400, "the body is no JSON object", "send {} or no body");
                log::info("http", "{} asked for by {}", name, request.remote_addr);
                try {
                  (commands.*command)();
                } catch (const Error& e) {
                  return answer_error(response, 409, e.what(), e.hint());
                }
                answer(response, 200, {{"ok", true}, {"state", status::to_string(board.get()->state)}});
              }));
  only_by_post(path);
}

void Server::Impl::only_by_post(const std::string& path) {
  server.Get(path, guarded([](const httplib::Request&, httplib::Response& response) {
               response.set_header("Allow", "POST");
               answer_error(response, 405, "a command is sent by POST", "use mongotwin pause, resume, finish, throttle, switchover, failover or rejoin");
             }));
}

void Server::Impl::add_throttle() {
  server.Post("/api/v1/throttle", guarded([this](const httplib::Request& request, httplib::Response& response) {
                auto throttles = commands.throttles();
                if (!take_throttles(request.body, throttles)) return answer_error(response, 400, "the body is no change of limits", kThrottleHint);
                log::info("http", "throttle asked for by {}", request.remote_addr);
                commands.throttle(throttles);
                answer(response, 200, {{"ok", true}, {"state", status::to_string(board.get()->state)}});
              }));
  only_by_post("/api/v1/throttle");
}

void Server::Impl::add_command_with_flag(const std::string& name, const std::string& flag, void (status::Commands::*command)(bool)) {
  server.Post("/api/v1/" + name, guarded([this, name, flag, command](const httplib::Request& request, httplib::Response& response) {
                auto set = take_flag(request.body, flag);
                if (!set) return answer_error(response, 400, "the body is no request for a " + name, "send {} or {\"" + flag + "\": true}");
                log::info("http", "{}{} asked for by {}", name, *set ? " (" + flag + ")" : "", request.remote_addr);
                try {
                  (commands.*command)(*set);
                } catch (const Error& e) {
                  return answer_error(response, 409, e.what(), e.hint());
                }
                answer(response, 200, {{"ok", true}, {"state", status::to_string(board.get()->state)}});
              }));
  only_by_post("/api/v1/" + name);
}

void Server::Impl::add_switchover() {
  server.Post("/api/v1/switchover", guarded([this](const httplib::Request& request, httplib::Response& response) {
                auto dry = take_flag(request.body, "dry_run");
                if (!dry) return answer_error(response, 400, "the body is no request for a switch-over", "send {} or {\"dry_run\": true}");
                log::info("http", "switchover{} asked for by {}", *dry ? " (dry run)" : "", request.remote_addr);
                std::vector<status::Condition> conditions;
                try {
                  conditions = commands.switch_over(*dry);
                } catch (const Error& e) {
                  return answer_error(response, 409, e.what(), e.hint());
                }
                Json answered = {{"ok", true}, {"state", status::to_string(board.get()->state)}, {"conditions", Json::array()}};
                int http_status = 200;
                for (const auto& c : conditions) {
                  answered["conditions"].push_back({{"kind", status::to_string(c.kind)}, {"what", redact(c.what)}, {"hint", redact(c.hint)}});
                  if (c.kind != status::Condition::Kind::refused || !answered["ok"].get<bool>()) continue;
                  answered["ok"] = false;
                  answered["error"] = {{"what", redact("switch-over refused: " + c.what)}, {"hint", redact(c.hint)}};
                  http_status = 409;
                }
                answer(response, http_status, answered);
              }));
  only_by_post("/api/v1/switchover");
}

void Server::Impl::add_verify() {
  server.Post("/api/v1/verify", guarded([this](const httplib::Request& request, httplib::Response& response) {
                auto wanted = commands.usual_verification();
                if (!take_request(request.body, wanted)) return answer_error(response, 400, "the body does not say what to verify", kVerifyHint);
                log::info("http", "verify asked for by {}", request.remote_addr);
                try {
                  commands.verify(wanted);
                } catch (const Error& e) {
                  return answer_error(response, 409, e.what(), e.hint());
                }
                answer(response, 200, {{"ok", true}, {"state", status::to_string(board.get()->state)}});
              }));
  server.Get("/api/v1/verify", guarded([this](const httplib::Request&, httplib::Response& response) {
               auto verification = commands.verification();
               if (!verification) return answer_error(response, 404, "nothing has been verified yet", "POST /api/v1/verify, or mongotwin verify");
               response.set_content(status::to_json(*verification, status::Lists::with) + "\n", "application/json");
             }));
}

void Server::Impl::set_errors() {
  server.set_error_handler([](const httplib::Request&, httplib::Response& response) {
    if (!response.body.empty()) return;
    auto what = response.status == 404 ? std::string("there is nothing under this path") : fmt::format("the request can't be answered (HTTP status {})", response.status);
    answer_error(response, response.status, what, "GET /api/v1/status, /api/v1/verify, GET /healthz, POST /api/v1/pause, /api/v1/resume, /api/v1/finish, /api/v1/throttle, /api/v1/switchover, /api/v1/failover, /api/v1/rejoin, /api/v1/verify, /api/v1/verify/cancel");
  });
  server.set_exception_handler([](const httplib::Request& request, httplib::Response& response, std::exception_ptr thrown) {
    std::string what = "unknown";
    try {
      std::rethrow_exception(thrown);
    } catch (const std::exception& e) {
      what = e.what();
    } catch (...) {
    }
    log::error("http", "{} {} failed: {}", request.method, request.path, what);
    answer_error(response, 500, "the request failed inside mongotwin", "see its log");
  });
}

void Server::Impl::bind() {
  errno = 0;
  int bound = address.port == 0 ? server.bind_to_any_port(address.host) : (server.bind_to_port(address.host, address.port) ? address.port : -1);
  if (bound <= 0) {
    auto reason = errno;
    auto where = to_string(address.host, address.port);
    if (reason == EADDRINUSE)
      throw Error(Remedy::fix_config, "the API can't listen on " + where + ": the address is in use", "stop the other program (another mongotwin?) or set api: {listen: …} to a free port");
    throw Error(Remedy::fix_config, "the API can't listen on " + where + (reason != 0 ? std::string(": ") + std::strerror(reason) : ""), "set api: {listen: …} to an address of this machine");
  }
  port = bound;
}

void Server::Impl::serve() {
  name_this_thread("http");
  server.listen_after_bind();
}

Server::Server(const status::StatusBoard& board, status::Commands& commands, Address address)
    : impl_(std::make_unique<Impl>(board, commands, std::move(address))) {
  impl_->set_limits();
  impl_->set_routes();
  impl_->set_errors();
}

Server::~Server() { stop(); }

void Server::start() {
  TWIN_INVARIANT(!impl_->thread.joinable());
  impl_->bind();
  impl_->thread = std::thread([impl = impl_.get()] { impl->serve(); });
  // stop() has no effect on the library before its loop runs; this wait is the time a thread takes to start.
  while (!impl_->server.is_running()) std::this_thread::yield();
  log::info("http", "the API listens on {}", to_string(impl_->address.host, port()));
  if (!is_loopback(lower(impl_->address.host)))
    log::warn("http", "whoever reaches {} can read the status and give commands: there is no authentication", to_string(impl_->address.host, port()));
}

void Server::stop() {
  if (!impl_->thread.joinable()) return;
  impl_->server.stop();
  impl_->thread.join();
}

int Server::port() const { return impl_->port; }

}  // namespace mongotwin::http
