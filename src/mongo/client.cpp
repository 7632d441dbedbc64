// SPDX-License-Identifier: Apache-2.0
#include "mongo/client.h"

#include <fmt/format.h>
#include <mongoc/mongoc.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <thread>

#include "base/annotations.h"
#include "base/log.h"
#include "mongo/uri.h"

namespace mongotwin::mongo {
namespace {

struct Reply {
  bson_t bson = BSON_INITIALIZER;
  ~Reply() { bson_destroy(&bson); }
};

bson::Document to_document(std::shared_ptr<Reply> reply) {
  bson::View view(&reply->bson);
  return {std::move(reply), view};
}

void drop_driver_log(mongoc_log_level_t level, const char* domain, const char* message, void*) {
  if (level <= MONGOC_LOG_LEVEL_WARNING) log::debug("driver", "{}: {}", domain, message);
}

std::string command_name(bson::View command) {
  auto it = command.begin();
  return it == nullptr ? "?" : std::string(it->key());
}

// What the driver says of a URI, without what it quotes of the user or the password.
std::string without_secrets(std::string message, const std::string& uri) {
  auto secret = uri.substr(0, uri.rfind('@'));
  for (auto open = message.find('"'); open != std::string::npos;) {
    auto close = message.find('"', open + 1);
    if (close == std::string::npos) break;
    if (secret.find(message.substr(open + 1, close - open - 1)) != std::string::npos) {
      message.replace(open + 1, close - open - 1, "***");
      close = open + 4;
    }
    open = message.find('"', close + 1);
  }
  return redact(message);
}

// The driver calls every login that did not come to its end a refused one, also when the network or the server broke it off.
bool refused_login(const bson_error_t& error) {
  return error.domain == MONGOC_ERROR_CLIENT && error.code == MONGOC_ERROR_CLIENT_AUTHENTICATE && std::string_view(error.message).find("Authentication failed") != std::string_view::npos;
}

[[noreturn]] void throw_error(const std::string& label, bson::View command, const bson_error_t& error, bson::Document reply) {
  int error_code = static_cast<int>(reply["code"].integer().value_or(0));
  bool answered = static_cast<bool>(reply["ok"]);
  std::string message = reply["errmsg"].string() ? std::string(*reply["errmsg"].string()) : error.message;
  if (refused_login(error))
    throw CommandError(Remedy::pause, code::kAuthenticationFailed, false, fmt::format("{}: the server refused the user or the password: {}", label, error.message),
                       "check user, password and authSource in the URI");
  if (!answered)
    throw CommandError(Remedy::retry, 0, true, fmt::format("{}: no answer to {}: {}", label, command_name(command), error.message),
                       "check that the servers run and can be reached from here");
  bool label_retry = false;  // a transaction that nothing is left of is tried again as a whole
  for (const auto& e : reply.view().fields("errorLabels")) label_retry |= e.string() == "RetryableWriteError" || e.string() == "TransientTransactionError";
  auto remedy = is_transient(error_code) || label_retry ? Remedy::retry : Remedy::pause;
  std::string hint;
  if (error_code == code::kUnauthorized) hint = "grant the roles that docs/rights.md lists";
  throw CommandError(remedy, error_code, false, fmt::format("{}: {} failed: {} (code {})", label, command_name(command), message, error_code), hint, reply);
}

void throw_on_write_concern_error(const std::string& label, bson::View command, const bson::Document& reply) {
  auto wce = reply["writeConcernError"].document();
  if (!wce) return;
  auto error_code = static_cast<int>(wce->integer("code").value_or(0));
  throw CommandError(Remedy::retry, error_code, false,
                     fmt::format("{}: {} is not yet safe on a majority: {}", label, command_name(command), wce->string("errmsg").value_or("no reason given")),
                     "check that a majority of the members is up", reply);
}

// Ending a pool takes the driver up to half a second, until its monitors have looked up; nobody needs to wait for that
// but the end of the driver itself.
class Endings {
 public:
  void begin(mongoc_client_pool_t* pool) {
    Lock lock(m_);
    std::erase_if(under_way_, [](const auto& ending) { return ending->done.load(); });
    auto& ending = *under_way_.emplace_back(std::make_unique<Ending>());
    ending.thread = std::jthread([pool, &ending] {
      mongoc_client_pool_destroy(pool);
      ending.done = true;
    });
  }
  void wait() {
    Lock lock(m_);
    under_way_.clear();
  }

 private:
  struct Ending {
    std::atomic<bool> done = false;
    std::jthread thread;
  };
  Mutex m_;
  std::vector<std::unique_ptr<Ending>> under_way_ GUARDED_BY(m_);
};

Endings& endings() {
  static Endings all;
  return all;
}

}  // namespace

Driver::Driver() {
  mongoc_log_set_handler(drop_driver_log, nullptr);
  mongoc_init();
}
Driver::~Driver() {
  endings().wait();
  mongoc_cleanup();
}

Pool::Pool(std::string label, const std::string& uri) : Pool(std::move(label), uri, Limits()) {}

Pool::Pool(std::string label, const std::string& uri, Limits limits) : label_(std::move(label)), uri_(uri) {
  bson_error_t error;
  auto full = with_default_option(uri, "serverSelectionTimeoutMS", std::to_string(limits.server_selection.count()));
  full = with_default_option(full, "socketTimeoutMS", std::to_string(limits.socket.count()));
  full = with_default_option(full, "heartbeatFrequencyMS", "2000");
  full = with_default_option(full, "maxPoolSize", "300");
  full = with_default_option(full, "appName", "mongotwin");
  mongoc_uri_t* parsed = mongoc_uri_new_with_error(full.c_str(), &error);
  if (!parsed)
    throw Error(Remedy::fix_config, fmt::format("{}: {} is not a MongoDB URI: {}", label_, redact(uri), without_secrets(error.message, uri)),
                "write mongodb://[user:password@]host:port[,host:port]/[?options], with special characters in the password percent-encoded");
  pool_ = mongoc_client_pool_new(parsed);
  mongoc_uri_destroy(parsed);
  if (!pool_) throw Error(Remedy::fix_config, fmt::format("{}: the driver refuses the URI {}", label_, redact(uri)), "check its TLS options");
  mongoc_client_pool_set_error_api(pool_, MONGOC_ERROR_API_VERSION_2);
}

Pool::~Pool() {
  if (pool_) endings().begin(pool_);
}

Client Pool::acquire() { return {this, mongoc_client_pool_pop(pool_)}; }

Client::~Client() {
  if (client_) mongoc_client_pool_push(pool_->pool_, client_);
}

bson::Document Client::run(const std::string& database, bson::View command) {
  auto reply = std::make_shared<Reply>();
  bson_t cmd;
  command.borrow(&cmd);
  bson_error_t error{};
  bool ok = mongoc_client_command_simple(client_, database.c_str(), &cmd, nullptr, &reply->bson, &error);
  auto doc = to_document(std::move(reply));
  if (!ok) throw_error(label(), command, error, doc);
  throw_on_write_concern_error(label(), command, doc);
  return doc;
}

struct SessionHandle {
  mongoc_client_session_t* session = nullptr;
  bson_t opts = BSON_INITIALIZER;
  SessionHandle(mongoc_client_t* client, const std::string& label) {
    bson_error_t error{};
    session = mongoc_client_start_session(client, nullptr, &error);
    if (!session) throw CommandError(Remedy::retry, 0, true, fmt::format("{}: no session: {}", label, error.message));
    if (!mongoc_client_session_append(session, &opts, &error)) throw CommandError(Remedy::retry, 0, true, fmt::format("{}: no session: {}", label, error.message));
  }
  SessionHandle(const SessionHandle&) = delete;
  SessionHandle& operator=(const SessionHandle&) = delete;
  ~SessionHandle() {
    bson_destroy(&opts);
    if (session) mongoc_client_session_destroy(session);
  }
};

namespace {

bson::Document run_in(mongoc_client_t* client, const bson_t& opts, const std::string& label, const std::string& database, bson::View command) {
  auto reply = std::make_shared<Reply>();
  bson_t cmd;
  command.borrow(&cmd);
  bson_error_t error{};
  bool ok = mongoc_client_command_with_opts(client, database.c_str(), &cmd, nullptr, &opts, &reply->bson, &error);
  auto doc = to_document(std::move(reply));
  if (!ok) throw_error(label, command, error, doc);
  throw_on_write_concern_error(label, command, doc);
  return doc;
}

}  // namespace

std::shared_ptr<SessionHandle> Client::start_session() { return std::make_shared<SessionHandle>(client_, label()); }

bson::Document Client::run_on(std::uint32_t server_id, SessionHandle& session, const std::string& database, bson::View command) {
  bson_t opts;
  bson_copy_to(&session.opts, &opts);
  BSON_APPEND_INT32(&opts, "serverId", static_cast<std::int32_t>(server_id));
  struct Destroy {
    bson_t& b;
    ~Destroy() { bson_destroy(&b); }
  } destroy{opts};
  return run_in(client_, opts, label(), database, command);
}

bson::Document Client::run_at(bson::View cluster_time, const std::string& database, bson::View command) {
  SessionHandle session(client_, label());
  bson_t time;
  cluster_time.borrow(&time);
  mongoc_client_session_advance_cluster_time(session.session, &time);
  return run_in(client_, session.opts, label(), database, command);
}

std::uint32_t Client::select_server(ReadPreference preference) {
  static constexpr std::array kModes = {MONGOC_READ_PRIMARY, MONGOC_READ_PRIMARY_PREFERRED, MONGOC_READ_SECONDARY, MONGOC_READ_SECONDARY_PREFERRED, MONGOC_READ_NEAREST};
  bson_error_t error{};
  auto* preferences = mongoc_read_prefs_new(kModes.at(static_cast<std::size_t>(preference)));
  auto* server = mongoc_client_select_server(client_, preference == ReadPreference::primary, preference == ReadPreference::primary ? nullptr : preferences, &error);
  mongoc_read_prefs_destroy(preferences);
  if (!server) {
    bool wrong_user = refused_login(error);
    throw CommandError(wrong_user ? Remedy::pause : Remedy::retry, wrong_user ? code::kAuthenticationFailed : 0, !wrong_user,
                       fmt::format("{}: no server can be reached: {}", label(), error.message),
                       "check host names, ports, replica set name, firewalls and that the servers run");
  }
  auto id = mongoc_server_description_id(server);
  mongoc_server_description_destroy(server);
  return id;
}

std::string Client::host_of(std::uint32_t server_id) {
  auto* server = mongoc_client_get_server_description(client_, server_id);
  if (!server) return {};
  std::string host = mongoc_server_description_host(server)->host_and_port;
  mongoc_server_description_destroy(server);
  return host;
}

std::chrono::milliseconds Client::round_trip(std::uint32_t server_id) {
  auto* server = mongoc_client_get_server_description(client_, server_id);
  if (!server) return {};
  std::chrono::milliseconds time(std::max<std::int64_t>(0, mongoc_server_description_round_trip_time(server)));
  mongoc_server_description_destroy(server);
  return time;
}

void Client::transaction(const std::vector<Statement>& statements) {
  SessionHandle session(client_, label());
  bson_error_t error{};
  auto* opts = mongoc_transaction_opts_new();
  auto* majority = mongoc_write_concern_new();
  mongoc_write_concern_set_wmajority(majority, 0);
  mongoc_transaction_opts_set_write_concern(opts, majority);
  bool started = mongoc_client_session_start_transaction(session.session, opts, &error);
  mongoc_write_concern_destroy(majority);
  mongoc_transaction_opts_destroy(opts);
  if (!started) throw CommandError(Remedy::pause, 0, false, fmt::format("{}: a transaction can't start: {}", label(), error.message));
  try {
    for (const auto& s : statements) throw_on_write_errors(fmt::format("{}: {} failed", label(), command_name(s.command)), run_in(client_, session.opts, label(), s.database, s.command));
  } catch (const CommandError&) {
    mongoc_client_session_abort_transaction(session.session, nullptr);
    throw;
  }
  Reply reply;
  if (!mongoc_client_session_commit_transaction(session.session, &reply.bson, &error))
    throw CommandError(Remedy::retry, static_cast<int>(error.code), true, fmt::format("{}: a transaction did not commit: {}", label(), error.message));
}

}  // namespace mongotwin::mongo
