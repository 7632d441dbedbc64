// SPDX-License-Identifier: Apache-2.0
#include "cli/remote.h"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <thread>

#include "base/error.h"
#include "base/log.h"
#include "cli/format.h"
#include "cli/view.h"
#include "http/client.h"

namespace mongotwin::cli {
namespace {

constexpr auto kAskEvery = std::chrono::milliseconds(500);
constexpr auto kHandoverAskEvery = std::chrono::milliseconds(100);
constexpr auto kPrintEvery = std::chrono::seconds(5);
constexpr int kUnansweredMax = 3;
constexpr std::size_t kLineCharacters = 78;

void print(const std::string& line) { fmt::print("{}\n", line); }

http::Client connect(const Where& where) {
  auto api = !where.api.empty() ? options::parse_listen(where.api) : !where.config.empty() ? options::load_api(where.config) : options::Api{};
  if (api.port == 0) throw Error(Remedy::fix_config, "the configuration leaves the port of the API to the system", "name it with --api HOST:PORT; the log of mongotwin run says which one it is");
  return {api.host, api.port};
}

// One line that is overwritten on a terminal; elsewhere a line now and then.
class FinishLine {
 public:
  ~FinishLine() {
    if (terminal_ && !shown_.empty()) fmt::print("\n");
  }
  void show(const std::string& line) {
    auto now = std::chrono::steady_clock::now();
    if (line == shown_ || (!terminal_ && now - shown_at_ < kPrintEvery)) return;
    if (terminal_) fmt::print("\r{}\x1b[K", clip(line, kLineCharacters));
    else print(line);
    std::fflush(stdout);
    shown_ = line;
    shown_at_ = now;
  }

 private:
  const bool terminal_ = isatty(STDOUT_FILENO) != 0;
  std::string shown_;
  std::chrono::steady_clock::time_point shown_at_{};
};

// A few unanswered questions are passed over: the other side may be busy.
status::Status ask(http::Client& client, int& unanswered, const std::string& what) {
  for (;;) {
    try {
      auto status = client.status();
      unanswered = 0;
      return status;
    } catch (const Error& e) {
      if (e.remedy() != Remedy::retry) throw;
      if (++unanswered >= kUnansweredMax)
        throw Error(Remedy::pause, fmt::format("mongotwin went away before the end of the {}", what), fmt::format("see its log, and start it again; mongotwin status says then how things are, and {} can be asked for again", what));
    }
    std::this_thread::sleep_for(kAskEvery);
  }
}

status::Status wait_until_over(http::Client& client) {
  FinishLine line;
  int unanswered = 0;
  for (;; std::this_thread::sleep_for(kAskEvery)) {
    auto status = ask(client, unanswered, "finish");
    line.show(summary_line(status));
    if (status.state == status::State::finished || status.state == status::State::failed) return status;
  }
}

// Until it is over and the pair is replicating in the direction that it has now.
status::Status wait_for_handover(http::Client& client, const std::string& what, status::State until) {
  FinishLine line;
  int unanswered = 0;
  for (;; std::this_thread::sleep_for(kHandoverAskEvery)) {
    auto status = ask(client, unanswered, what);
    if (!status.handover) throw Error(Remedy::pause, "mongotwin was started anew in the middle of it", "mongotwin status tells which way it goes now");
    if (!status.handover->step.empty()) line.show(status.handover->kind + ": " + status.handover->step);
    if (status.state == status::State::failed) {
      auto failure = status.error.value_or(status::Failure{"it failed without saying why", "see its log", ""});
      if (!status.handover->error.empty() && status.handover->error.find(failure.what) == std::string::npos) print(status.handover->error);
      throw Error(Remedy::pause, failure.what, failure.hint);
    }
    if (status.handover->succeeded && (!*status.handover->succeeded || status.state == until)) return status;
  }
}

}  // namespace

void show_status(const Where& where, bool json) {
  auto client = connect(where);
  if (json) {
    fmt::print("{}", client.status_json());
    return;
  }
  for (const auto& line : status_lines(client.status(), std::chrono::system_clock::now())) print(line);
}

void throttle(const Where& where, const options::ThrottleTexts& texts) {
  auto limits = options::throttle_change(texts);
  auto client = connect(where);
  print("throttle accepted; state " + client.command("throttle", limits));
}

void send_command(const Where& where, const std::string& name) {
  auto client = connect(where);
  print(name + " accepted; state " + client.command(name));
}

void finish(const Where& where, bool wait) {
  auto client = connect(where);
  auto state = client.command("finish");
  if (!wait) return print("finish accepted; state " + state);
  auto status = wait_until_over(client);
  if (status.state == status::State::finished) {
    print(fmt::format("finished: {} operations applied, the target stands on its own", count(status.ops.applied)));
    if (!status.detail.empty()) print(status.detail);
    for (const auto& warning : status.warnings) print("warning: " + warning);
    return;
  }
  auto failure = status.error.value_or(status::Failure{"it failed without saying why", "see its log", ""});
  throw Error(Remedy::pause, failure.what, failure.hint);
}

void switch_over(const Where& where, bool dry_run) {
  auto client = connect(where);
  using Kind = status::Condition::Kind;
  std::optional<status::Condition> refused;
  for (const auto& c : client.switch_over(dry_run)) {
    print(fmt::format("{:<8} {}{}", c.kind == Kind::fine ? "ok" : c.kind == Kind::warning ? "warning" : "REFUSED", c.what, c.kind == Kind::fine || c.hint.empty() ? "" : "; " + c.hint));
    if (c.kind == Kind::refused && !refused) refused = c;
  }
  if (refused) throw Error(Remedy::pause, "switch-over refused: " + refused->what, refused->hint);
  if (dry_run) return print("a switch-over could begin now");
  auto status = wait_for_handover(client, "switchover", status::State::replicating);
  const auto& h = *status.handover;
  for (const auto& note : h.notes) print("note     " + note);
  if (!*h.succeeded) throw Error(Remedy::pause, h.error, "see the log of mongotwin run");
  print(fmt::format("switched over: writes were closed for {:.2f} s; the source is now {}, the target {}", static_cast<double>(h.closed_ms.value_or(0)) / 1000, status.source.uri, status.target.uri));
}

bool fail_over(const Where& where, bool force) {
  auto client = connect(where);
  try {
    client.command("failover", force ? R"({"force": true})" : "{}");
  } catch (const Error& e) {
    if (e.remedy() == Remedy::retry) return false;
    throw;
  }
  auto status = wait_for_handover(client, "failover", status::State::failed_over);
  for (const auto& note : status.handover->notes) print(note);
  if (!*status.handover->succeeded) throw Error(Remedy::pause, status.handover->error, "see the log of mongotwin run");
  print(fmt::format("failed over: {} is open for writes; when the old source is back: mongotwin rejoin", status.target.uri));
  return true;
}

void rejoin(const Where& where, bool may_copy) {
  auto client = connect(where);
  client.command("rejoin", may_copy ? R"({"copy": true})" : "{}");
  auto status = wait_for_handover(client, "rejoin", status::State::replicating);
  for (const auto& note : status.handover->notes) print(note);
  if (!*status.handover->succeeded) throw Error(Remedy::pause, status.handover->error, "");
  print(fmt::format("the old source follows: the source is now {}, the target {}", status.source.uri, status.target.uri));
}

namespace {

using status::Verdict;

std::string running_line(const status::Verification& v) {
  auto out = fmt::format("verification {}:{}  {} of {} documents, {} differences", v.number, percent(status::fraction_done(v)), count(v.documents_done), count(std::max(v.documents_total, v.documents_done)), count(v.differences));
  if (v.suspects > 0) out += fmt::format(", {} looked at again", count(v.suspects));
  if (v.eta_s) out += fmt::format(", {} left", duration(*v.eta_s));
  return v.waits_for.empty() ? out : out + "; waits: " + v.waits_for;
}

std::string time_of_day(std::int64_t ms) { return fmt::format("{:%H:%M:%S}", fmt::gmtime(static_cast<std::time_t>(ms / 1000))); }

void show_result(const status::Verification& v, bool json) {
  if (json) return print(status::to_json(v, status::Lists::with));
  for (const auto& note : v.notes) print("note: " + note);
  for (const auto& d : v.listed) {
    print(fmt::format("{}{}{}: {}{}", d.ns, d.id.empty() ? "" : " _id ", d.id, d.what, d.repaired ? " - REPAIRED" : ""));
    print(fmt::format("    seen {} to {} UTC{}", time_of_day(d.first_seen_ms), time_of_day(d.last_seen_ms), d.way_out.empty() ? "" : "; " + d.way_out));
  }
  if (v.differences > v.listed.size()) print(fmt::format("and {} more", v.differences - v.listed.size()));
  print(status::verdict_text(v));
}

bool is_identical(const status::Verification& v, bool json) {
  show_result(v, json);
  if (v.verdict == Verdict::failed) throw Error(Remedy::pause, "the verification could not be done: " + v.failure, "");
  if (v.verdict == Verdict::cancelled) throw Error(Remedy::pause, "the verification was cancelled", "");
  return v.verdict == Verdict::identical;
}

std::string body_of(const VerifyWish& wish) {
  std::string out = fmt::format("{{\"repair\": {}", wish.repair);
  if (!wish.mode.empty()) out += fmt::format(", \"mode\": \"{}\"", wish.mode);
  for (const auto& ns : wish.namespaces)
    if (ns.find_first_of("\"\\") != std::string::npos || ns.find('.') == std::string::npos) throw Error(Remedy::fix_config, "--namespace is no database.collection: " + ns, "write shop.orders or 'shop.*'");
  if (!wish.namespaces.empty()) out += fmt::format(", \"namespaces\": [\"{}\"]", fmt::join(wish.namespaces, "\", \""));
  return out + "}";
}

status::Verification ask_result(http::Client& client, int& unanswered) {
  for (;;) {
    try {
      auto v = status::verification_from_json(client.verification_json());
      unanswered = 0;
      return v;
    } catch (const Error& e) {
      if (e.remedy() != Remedy::retry) throw;
      if (++unanswered >= kUnansweredMax) throw Error(Remedy::pause, "mongotwin went away before the verification was done", "started again, it goes on with it; mongotwin verify follows it then");
    }
    std::this_thread::sleep_for(kAskEvery);
  }
}

// Not by the status, which is a moment old.
std::optional<status::Verification> newest_verification(http::Client& client) {
  try {
    return status::verification_from_json(client.verification_json());
  } catch (const Error& e) {
    if (e.remedy() != Remedy::pause) throw;
    return {};  // there is none yet
  }
}

bool follow_verification(http::Client& client, std::int64_t number, bool json) {
  int unanswered = 0;
  status::Verification v;
  {
    FinishLine line;
    for (;; std::this_thread::sleep_for(kAskEvery)) {
      v = ask_result(client, unanswered);
      if (v.verdict != Verdict::running || v.number > number) break;
      if (!json) line.show(running_line(v));
    }
  }
  return is_identical(v, json);
}

bool verify_alone(const Where& where, const VerifyWish& wish, const VerifyFunction& alone) {
  auto options = options::load(where.config);
  log::init(log::Level::error, options.log.file);
  status::VerifyRequest request{wish.mode.empty() ? options.verify.bytes : wish.mode == "bytes", wish.repair, wish.namespaces};
  status::Verification v;
  {
    FinishLine line;
    v = alone(options, request, [&](const status::Verification& now) {
      if (!wish.json) line.show(running_line(now));
    });
  }
  return is_identical(v, wish.json);
}

}  // namespace

bool verify(const Where& where, const VerifyWish& wish, const VerifyFunction& alone) {
  auto body = body_of(wish);
  auto client = connect(where);
  std::optional<status::Verification> newest;
  try {
    newest = newest_verification(client);
  } catch (const Error& e) {
    if (e.remedy() != Remedy::retry || where.config.empty() || wish.cancel) throw;
    return verify_alone(where, wish, alone);
  }
  if (wish.cancel) {
    print("cancel accepted; state " + client.command("verify/cancel"));
    return true;
  }
  bool follows = newest && newest->verdict == Verdict::running && wish.wait && wish.mode.empty() && !wish.repair && wish.namespaces.empty() && (!wish.whole || newest->request.namespaces.empty());
  if (!follows) {
    auto state = client.command("verify", body);
    if (!wish.wait) {
      print("verify accepted; state " + state);
      return true;
    }
  }
  auto number = status::verification_from_json(client.verification_json()).number;
  return follow_verification(client, number, wish.json);
}

}  // namespace mongotwin::cli
