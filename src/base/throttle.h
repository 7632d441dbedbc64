// SPDX-License-Identifier: Apache-2.0
// Throttle: a rate that can be changed while it works. Thread-safe.
#pragma once

#include <algorithm>
#include <chrono>
#include <optional>
#include <stop_token>

#include "base/annotations.h"
#include "base/clock.h"
#include "base/worker.h"

namespace mongotwin {

class Throttle {
 public:
  using Rate = std::optional<std::uint64_t>;  // a second; empty: no limit; 0: nothing at all until it is changed
  explicit Throttle(const Clock& clock) : clock_(clock) {}

  void set(Rate rate) {
    Lock lock(m_);
    rate_ = rate;
    free_at_ = clock_.now();
  }
  [[nodiscard]] Rate rate() const {
    Lock lock(m_);
    return rate_;
  }
  // Work that was done: it pushes the moment of the next back.
  void charge(std::uint64_t amount) {
    Lock lock(m_);
    if (!rate_ || *rate_ == 0) return;
    free_at_ = std::max(free_at_, clock_.now()) + time_of(amount);
  }
  [[nodiscard]] bool is_free() const {
    Lock lock(m_);
    return !rate_ || (*rate_ > 0 && clock_.now() >= free_at_);
  }
  // Waits until it is free, and charges what is about to be done: of several that wait one goes on. False on a stop.
  [[nodiscard]] bool take(std::uint64_t amount, std::stop_token stop) {
    while (!try_take(amount))
      if (!sleep_for(stop, kLook)) return false;
    return true;
  }
  // It turned out to be less, or more.
  void correct(std::uint64_t taken, std::uint64_t done) {
    Lock lock(m_);
    if (!rate_ || *rate_ == 0) return;
    free_at_ += time_of(done) - time_of(taken);
  }

 private:
  [[nodiscard]] bool try_take(std::uint64_t amount) {
    Lock lock(m_);
    if (!rate_) return true;
    if (*rate_ == 0 || clock_.now() < free_at_) return false;
    free_at_ = clock_.now() + time_of(amount);
    return true;
  }
  [[nodiscard]] std::chrono::nanoseconds time_of(std::uint64_t amount) const REQUIRES(m_) {
    return std::chrono::nanoseconds(static_cast<std::int64_t>(1e9 * static_cast<double>(amount) / static_cast<double>(*rate_)));
  }
  static constexpr std::chrono::milliseconds kLook{20};  // a changed rate holds at once
  const Clock& clock_;
  mutable Mutex m_;
  Rate rate_ GUARDED_BY(m_);
  Clock::Steady free_at_ GUARDED_BY(m_){};
};

}  // namespace mongotwin
