// SPDX-License-Identifier: Apache-2.0
#include "plan/frontier.h"

#include <utility>

#include "base/error.h"

namespace mongotwin::plan {

void Frontier::start_at(std::vector<oplog::Timestamp> applied) {
  Lock lock(m_);
  TWIN_INVARIANT(next_ == 1);
  applied_ = std::move(applied);
}

std::uint64_t Frontier::open(std::size_t parts, std::optional<Cut> cut, std::size_t bytes) {
  Lock lock(m_);
  epochs_.push_back({parts, 0, bytes, std::move(cut)});
  auto id = next_++;
  advance();
  return id;
}

void Frontier::part_done(std::uint64_t epoch) {
  {
    Lock lock(m_);
    TWIN_INVARIANT(epoch >= first_ && epoch < next_);
    auto& e = epochs_[epoch - first_];
    TWIN_INVARIANT(e.parts > e.parked);
    --e.parts;
    advance();
  }
  on_move_.notify();
}

void Frontier::advance() {
  while (!epochs_.empty() && epochs_.front().parts == 0) {
    between_cuts_ = !epochs_.front().cut;
    if (auto& cut = epochs_.front().cut) {
      for (std::size_t s = 0; s < applied_.size(); ++s) TWIN_INVARIANT(applied_[s] <= cut->positions[s]);
      applied_ = cut->positions;
      ops_ += cut->ops;
      for (const auto& [kind, n] : cut->ops_by_kind) ops_by_kind_[kind] += n;
      if (reached_ && reached_->catalog && !cut->catalog) cut->catalog = std::move(reached_->catalog);
      reached_ = std::move(cut);
    }
    epochs_.pop_front();
    ++first_;
  }
}

void Frontier::part_parked(std::uint64_t epoch) {
  {
    Lock lock(m_);
    TWIN_INVARIANT(epoch >= first_ && epoch < next_);
    auto& e = epochs_[epoch - first_];
    ++e.parked;
    TWIN_INVARIANT(e.parked <= e.parts);
  }
  on_move_.notify();
}

void Frontier::unpark_all() {
  {
    Lock lock(m_);
    for (auto& e : epochs_) e.parts -= std::exchange(e.parked, 0);
    advance();
  }
  on_move_.notify();
}

std::size_t Frontier::active() const {
  Lock lock(m_);
  std::size_t n = 0;
  for (const auto& e : epochs_) n += e.parts > e.parked;
  return n;
}

std::size_t Frontier::active_bytes() const {
  Lock lock(m_);
  std::size_t bytes = 0;
  for (const auto& e : epochs_)
    if (e.parts > e.parked) bytes += e.bytes;
  return bytes;
}

std::size_t Frontier::in_flight() const {
  Lock lock(m_);
  return epochs_.size();
}

bool Frontier::between_cuts() const {
  Lock lock(m_);
  return between_cuts_;
}

std::optional<Cut> Frontier::take_cut() {
  Lock lock(m_);
  auto out = std::move(reached_);
  reached_.reset();
  return out;
}

std::vector<oplog::Timestamp> Frontier::applied() const {
  Lock lock(m_);
  return applied_;
}

std::uint64_t Frontier::ops_applied() const {
  Lock lock(m_);
  return ops_;
}

std::map<std::string, std::uint64_t> Frontier::ops_by_kind() const {
  Lock lock(m_);
  return ops_by_kind_;
}

}  // namespace mongotwin::plan
