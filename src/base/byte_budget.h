// SPDX-License-Identifier: Apache-2.0
// ByteBudget: how many bytes may be held at once by several threads. Thread-safe; must outlive its shares.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <stop_token>
#include <utility>

#include "base/annotations.h"

namespace mongotwin {

class ByteBudget {
 public:
  explicit ByteBudget(std::uint64_t bytes) : bytes_(bytes) {}

  // What one holder has; given back by its destructor.
  class Share {
   public:
    Share() = default;
    Share(ByteBudget* budget, std::uint64_t bytes) : budget_(budget), bytes_(bytes) {}
    Share(Share&& other) noexcept : budget_(std::exchange(other.budget_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}
    Share& operator=(Share&& other) noexcept {
      std::swap(budget_, other.budget_);
      std::swap(bytes_, other.bytes_);
      return *this;
    }
    ~Share() { resize(0); }
    // To what it turned out to be, at once, even beyond the budget: others wait longer then.
    void resize(std::uint64_t bytes) {
      if (budget_ != nullptr) budget_->change(bytes_, bytes);
      bytes_ = bytes;
    }

   private:
    ByteBudget* budget_ = nullptr;
    std::uint64_t bytes_ = 0;
  };

  // Waits until there is room, or nothing else is held. Nothing on a stop request.
  [[nodiscard]] Share take(std::uint64_t bytes, std::stop_token stop) {
    Lock lock(m_);
    wake_.wait(m_, stop, [&]() TWIN_TSA(no_thread_safety_analysis) { return held_ == 0 || held_ + bytes <= bytes_; });
    if (stop.stop_requested()) return {};
    held_ += bytes;
    return {this, bytes};
  }

 private:
  void change(std::uint64_t from, std::uint64_t to) {
    {
      Lock lock(m_);
      held_ += to;
      held_ -= from;
    }
    if (to < from) wake_.notify_all();
  }
  const std::uint64_t bytes_;
  Mutex m_;
  std::condition_variable_any wake_;
  std::uint64_t held_ GUARDED_BY(m_) = 0;
};

}  // namespace mongotwin
