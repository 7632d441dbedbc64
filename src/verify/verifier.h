// SPDX-License-Identifier: Apache-2.0
// Verifier: the thread `verify` beside a replication: makes one verification after the other, as they are asked for or
// continuously, goes on with one that a killed process left, and keeps the results on the target. Trouble with it is
// told in its result and never stops the replication. Thread-safe; what is handed in must outlive it. Its destructor
// ends what is under way, which goes on at the next start.
#pragma once

#include <thread>

#include "base/annotations.h"
#include "base/worker.h"
#include "verify/run.h"

namespace mongotwin::verify {

struct VerifierOptions {
  bool bytes = false;                                // if the request does not say
  std::optional<std::chrono::seconds> continuously;  // the pause between two
};

class Verifier {
 public:
  Verifier(Pairing pairing, Replication& replication, Throttle& throttle, std::string link, VerifierOptions options);
  ~Verifier();
  Verifier(const Verifier&) = delete;
  Verifier& operator=(const Verifier&) = delete;

  // Throws Error(pause) if one is under way.
  void start(const status::VerifyRequest& request);
  // Returns at once; nothing under way is fine.
  void cancel();
  // Waits until nothing is under way any more, and begins nothing new.
  void end();
  [[nodiscard]] std::optional<status::Verification> newest() const;

 private:
  void loop(std::stop_token stop);
  [[nodiscard]] std::optional<Record> next(std::stop_token stop);
  void make(Record record, std::stop_token stop);
  [[nodiscard]] Record begin(const status::VerifyRequest& request);
  void save(const Record& record, std::stop_token stop);
  void publish(status::Verification shown);

  const Pairing pairing_;
  Replication& replication_;
  Throttle& throttle_;
  RecordStore store_;
  const VerifierOptions options_;
  Signal signal_;

  mutable Mutex m_;
  std::optional<status::Verification> newest_ GUARDED_BY(m_);
  std::optional<status::VerifyRequest> asked_ GUARDED_BY(m_);
  std::stop_source run_ GUARDED_BY(m_);  // of the one under way
  bool cancelled_ GUARDED_BY(m_) = false, busy_ GUARDED_BY(m_) = true;  // busy until it knows what an earlier process left
  std::jthread thread_;  // last: it uses all of the above
};

}  // namespace mongotwin::verify
