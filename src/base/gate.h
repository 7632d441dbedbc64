// SPDX-License-Identifier: Apache-2.0
// Gate: a limit of how much may be under way at once, changeable while it works; what is under way already is not
// broken off. Thread-safe; must outlive its passes.
#pragma once

#include <cstdint>
#include <optional>
#include <stop_token>
#include <utility>

#include "base/annotations.h"

namespace mongotwin {

class Gate {
 public:
  explicit Gate(std::uint64_t limit) : limit_(limit) {}

  // A place taken; its end gives it back.
  class Pass {
   public:
    Pass(Pass&& other) noexcept : gate_(std::exchange(other.gate_, nullptr)), weight_(other.weight_) {}
    Pass& operator=(Pass&&) = delete;
    ~Pass() {
      if (gate_) gate_->leave(weight_);
    }

   private:
    friend class Gate;
    Pass(Gate* gate, std::uint64_t weight) : gate_(gate), weight_(weight) {}
    Gate* gate_;
    std::uint64_t weight_;
  };

  void set(std::uint64_t limit) {
    {
      Lock lock(m_);
      limit_ = limit;
    }
    wake_.notify_all();
  }
  [[nodiscard]] std::uint64_t limit() const {
    Lock lock(m_);
    return limit_;
  }

  // Waits for room; empty if a stop is requested and there is none. What weighs more than the limit goes alone; a limit
  // of 0 lets nobody in.
  [[nodiscard]] std::optional<Pass> enter(std::stop_token stop, std::uint64_t weight = 1) {
    Lock lock(m_);
    bool room = wake_.wait(m_, stop, [&]() TWIN_TSA(no_thread_safety_analysis) { return limit_ > 0 && (taken_ == 0 || taken_ + weight <= limit_); });
    if (!room) return {};
    taken_ += weight;
    return Pass(this, weight);
  }

 private:
  void leave(std::uint64_t weight) {
    {
      Lock lock(m_);
      taken_ -= weight;
    }
    wake_.notify_all();
  }

  mutable Mutex m_;
  std::condition_variable_any wake_;
  std::uint64_t limit_ GUARDED_BY(m_);
  std::uint64_t taken_ GUARDED_BY(m_) = 0;
};

}  // namespace mongotwin
