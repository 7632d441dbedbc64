// SPDX-License-Identifier: Apache-2.0
// BoundedQueue: a queue with a limit in items and in bytes. Thread-safe; nothing blocks: a full queue refuses, and
// whoever can't go on says so with Step::idle and is woken by a Signal.
// `on_push` wakes the consumer, `on_pop` the producer; both must outlive the queue.
#pragma once

#include <deque>
#include <optional>

#include "base/annotations.h"
#include "base/worker.h"

namespace mongotwin {

template <class T>
class BoundedQueue {
 public:
  BoundedQueue(std::size_t items_max, std::size_t bytes_max, Signal* on_push, Signal* on_pop)
      : items_max_(items_max), bytes_max_(bytes_max), on_push_(on_push), on_pop_(on_pop) {}

  // Takes the item unless the queue is full; one item larger than the limit is taken by an empty queue.
  [[nodiscard]] bool try_push(T& item, std::size_t bytes) {
    {
      Lock lock(m_);
      if (!items_.empty() && (items_.size() >= items_max_ || bytes_ + bytes > bytes_max_)) return false;
      items_.emplace_back(std::move(item), bytes);
      bytes_ += bytes;
    }
    if (on_push_) on_push_->notify();
    return true;
  }

  [[nodiscard]] std::optional<T> try_pop() {
    std::optional<T> out;
    {
      Lock lock(m_);
      if (items_.empty()) return out;
      out = std::move(items_.front().first);
      bytes_ -= items_.front().second;
      items_.pop_front();
    }
    if (on_pop_) on_pop_->notify();
    return out;
  }

  [[nodiscard]] std::size_t bytes() const {
    Lock lock(m_);
    return bytes_;
  }
  [[nodiscard]] std::size_t size() const {
    Lock lock(m_);
    return items_.size();
  }

 private:
  const std::size_t items_max_, bytes_max_;
  Signal* const on_push_;
  Signal* const on_pop_;
  mutable Mutex m_;
  std::deque<std::pair<T, std::size_t>> items_ GUARDED_BY(m_);
  std::size_t bytes_ GUARDED_BY(m_) = 0;
};

}  // namespace mongotwin
