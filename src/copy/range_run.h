// SPDX-License-Identifier: Apache-2.0
// RangeRun: one range on its way: read by one thread, its batches written by several. Thread-safe.
#pragma once

#include <condition_variable>
#include <deque>

#include "base/annotations.h"
#include "copy/collection_copy.h"

namespace mongotwin::copy {

class RangeRun {
 public:
  RangeRun(Range range, std::size_t number, Size before, CollectionCopy& collection) : range_(std::move(range)), number_(number), collection_(collection), size_(before) {}

  [[nodiscard]] const Range& range() const { return range_; }
  [[nodiscard]] std::size_t number() const { return number_; }  // in the plan
  [[nodiscard]] CollectionCopy& collection() const { return collection_; }

  // The reader has handed on a batch; returns its number.
  std::size_t took(const Batch& batch) {
    Lock lock(m_);
    version_ = batch.place->version;
    batches_.push_back({batch.position, {}, false});
    return first_ + batches_.size() - 1;
  }
  // A writer has written it. True if the range is whole by that.
  bool written(std::size_t batch, Size size) {
    collection_.documents += size.documents;
    collection_.bytes += size.bytes;
    Lock lock(m_);
    batches_[batch - first_].size = size;
    batches_[batch - first_].written = true;
    for (; !batches_.empty() && batches_.front().written; batches_.pop_front(), ++first_) {
      size_.documents += batches_.front().size.documents;
      size_.bytes += batches_.front().size.bytes;
      if (batches_.front().position) position_ = std::move(batches_.front().position);
    }
    if (batches_.empty()) wake_.notify_all();
    return batches_.empty() && read_;
  }
  // There is nothing more to come. True if all of it is written.
  bool is_read(std::string version) {
    Lock lock(m_);
    version_ = std::move(version);
    read_ = true;
    return batches_.empty();
  }
  // It is to be read from its start: waits for what is on its way, and forgets it.
  void again(std::stop_token stop) {
    Lock lock(m_);
    wake_.wait(m_, stop, [this]() TWIN_TSA(no_thread_safety_analysis) { return batches_.empty(); });
    if (stop.stop_requested()) return;
    collection_.documents -= size_.documents;
    collection_.bytes -= size_.bytes;
    size_ = {};
    saved_bytes_ = 0;
    position_.reset();
  }

  [[nodiscard]] Size size() const {
    Lock lock(m_);
    return size_;
  }
  [[nodiscard]] std::string version() const {
    Lock lock(m_);
    return version_;
  }
  // Natural: up to where all is written, when that is so much more than what was given out last that it is worth saving.
  struct Progress {
    NaturalPosition position;
    Size size;
  };
  [[nodiscard]] std::optional<Progress> worth_saving(std::uint64_t bytes) {
    Lock lock(m_);
    if (!position_ || read_ || size_.bytes < saved_bytes_ + bytes) return {};
    saved_bytes_ = size_.bytes;
    return Progress{*position_, size_};
  }

 private:
  struct Written {
    std::optional<NaturalPosition> position;
    Size size;
    bool written = false;
  };
  const Range range_;
  const std::size_t number_;
  CollectionCopy& collection_;
  mutable Mutex m_;
  std::condition_variable_any wake_;
  std::deque<Written> batches_ GUARDED_BY(m_);  // up to the oldest one that is not written yet
  std::size_t first_ GUARDED_BY(m_) = 0;        // the number of its front
  Size size_ GUARDED_BY(m_);
  std::uint64_t saved_bytes_ GUARDED_BY(m_) = 0;
  bool read_ GUARDED_BY(m_) = false;
  std::optional<NaturalPosition> position_ GUARDED_BY(m_);
  std::string version_ GUARDED_BY(m_);
};

}  // namespace mongotwin::copy
