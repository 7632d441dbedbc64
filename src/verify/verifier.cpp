// SPDX-License-Identifier: Apache-2.0
#include "verify/verifier.h"

#include <fmt/format.h>

#include "base/log.h"
#include "verify/wall.h"

namespace mongotwin::verify {

using status::Verdict;

namespace {
constexpr std::chrono::milliseconds kLook{200};
}

Verifier::Verifier(Pairing pairing, Replication& replication, Throttle& throttle, std::string link, VerifierOptions options)
    : pairing_(std::move(pairing)), replication_(replication), throttle_(throttle), store_(pairing_.target.router(), std::move(link)), options_(options) {
  thread_ = std::jthread([this](std::stop_token stop) {
    name_this_thread("verify");
    loop(std::move(stop));
  });
}

Verifier::~Verifier() { end(); }

void Verifier::end() {
  if (!thread_.joinable()) return;
  thread_.request_stop();
  signal_.notify();
  thread_.join();
}

void Verifier::start(const status::VerifyRequest& request) {
  Lock lock(m_);
  if (asked_ || (busy_ && newest_)) throw Error(Remedy::pause, "a verification is under way", "wait for its end (mongotwin verify follows it), or cancel it: mongotwin verify --cancel");
  asked_ = request;
  signal_.notify();
}

void Verifier::cancel() {
  Lock lock(m_);
  asked_.reset();
  if (!busy_) return;
  cancelled_ = true;
  run_.request_stop();
}

std::optional<status::Verification> Verifier::newest() const {
  Lock lock(m_);
  if (asked_ && newest_ && newest_->verdict != Verdict::running) {  // asked for, and not begun yet
    status::Verification next;
    next.number = newest_->number + 1;
    next.request = *asked_;
    return next;
  }
  if (asked_ && !newest_) {
    status::Verification next;
    next.number = 1;
    next.request = *asked_;
    return next;
  }
  return newest_;
}

void Verifier::publish(status::Verification shown) {
  Lock lock(m_);
  newest_ = std::move(shown);
}

void Verifier::save(const Record& record, std::stop_token stop) {
  Backoff backoff;
  for (;;) {
    try {
      return store_.save(record);
    } catch (const Error& e) {
      if (e.remedy() != Remedy::retry) throw;
      log::debug("verify", "{}", e.what());
      if (!sleep_for(stop, backoff.next())) return;  // as it was saved before
    }
  }
}

Record Verifier::begin(const status::VerifyRequest& request) {
  Record record;
  Lock lock(m_);
  record.shown.number = newest_ ? newest_->number + 1 : 1;
  record.shown.request = request;
  record.shown.started_ms = wall_ms();
  newest_ = record.shown;
  return record;
}

// What an earlier process left, then what is asked for, then what is due.
std::optional<Record> Verifier::next(std::stop_token stop) {
  bool first = [&] {
    Lock lock(m_);
    return busy_ && !newest_;
  }();
  for (Backoff backoff; first && !stop.stop_requested();) {
    try {
      auto left = store_.newest();
      Lock lock(m_);
      if (left) newest_ = left->shown;
      if (left && left->shown.verdict == Verdict::running) return left;
      busy_ = false;
      break;
    } catch (const Error& e) {
      if (e.remedy() != Remedy::retry) throw;
      log::debug("verify", "{}", e.what());
      if (!sleep_for(stop, backoff.next())) return {};
    }
  }
  while (!stop.stop_requested()) {
    std::optional<status::VerifyRequest> request;
    {
      Lock lock(m_);
      request = std::exchange(asked_, {});
      auto ended = newest_ ? newest_->ended_ms : 0;
      if (!request && options_.continuously && wall_ms() - ended >= std::chrono::milliseconds(*options_.continuously).count()) request = status::VerifyRequest{options_.bytes, false, {}};
      if (request) busy_ = true;
    }
    if (request) return begin(*request);
    signal_.wait(stop, kLook);
  }
  return {};
}

void Verifier::make(Record record, std::stop_token stop) {
  std::stop_token run;
  {
    Lock lock(m_);
    run_ = std::stop_source();
    run = run_.get_token();
    cancelled_ = false;
  }
  std::stop_callback forward(stop, [this] {
    Lock lock(m_);
    run_.request_stop();
  });
  log::info("verify", "verification {} {}: {}{}", record.shown.number, record.done.empty() && !record.after ? "begins" : "goes on", record.shown.request.bytes ? "by bytes" : "by digests", record.shown.request.repair ? ", with repair" : "");
  auto number = record.shown.number;
  try {
    save(record, stop);
    store_.forget_old(number);
    record = Run(pairing_, replication_, throttle_, std::move(record), [this](const auto& shown) { publish(shown); }, [this, stop](const auto& r) { save(r, stop); }, run).go();
  } catch (const Error& e) {
    record.shown = newest().value_or(status::Verification());
    record.shown.number = number;
    record.shown.verdict = Verdict::failed;
    record.shown.failure = redact(e.what()) + (e.hint().empty() ? "" : "; " + redact(e.hint()));
  }
  {
    Lock lock(m_);
    if (cancelled_ && record.shown.verdict == Verdict::running) record.shown.verdict = Verdict::cancelled;
  }
  record.shown.eta_s.reset();
  if (record.shown.verdict == Verdict::running) return publish(record.shown);  // the process ends: it goes on at the next start
  record.shown.ended_ms = wall_ms();
  record.suspects.clear();
  save(record, stop);
  if (record.shown.verdict == Verdict::identical) log::info("verify", "{}", status::verdict_text(record.shown));
  else log::warn("verify", "{}", status::verdict_text(record.shown));
  // Together: who sees the verdict may ask for the next one.
  Lock lock(m_);
  newest_ = std::move(record.shown);
  busy_ = false;
}

void Verifier::loop(std::stop_token stop) {
  while (!stop.stop_requested()) {
    try {
      auto record = next(stop);
      if (!record) return;
      make(std::move(*record), stop);
    } catch (const Error& e) {
      log::warn("verify", "the verification's state can't be kept: {}{}{}", e.what(), e.hint().empty() ? "" : "; ", e.hint());
      status::Verification failed;
      failed.number = newest().value_or(status::Verification()).number;
      failed.verdict = Verdict::failed;
      failed.failure = redact(e.what());
      failed.ended_ms = wall_ms();
      Lock lock(m_);
      newest_ = std::move(failed);
      busy_ = false;
    }
  }
}

}  // namespace mongotwin::verify
