// SPDX-License-Identifier: Apache-2.0
// Signal: wakes one waiting worker; a notification that comes before the wait is not lost. Thread-safe.
// Worker: a named thread that loops a step function: `progress` runs it again at once, `idle` waits for the signal
// (or the given interval), `done` ends the thread. An exception ends it too and goes to `on_error` once.
// Whatever the step refers to must outlive the Worker; its destructor asks to stop and joins.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <stop_token>
#include <string>
#include <thread>

namespace mongotwin {

constexpr int kWorkersMax = 64;  // of one kind: copiers, lanes

// What a stage says after a bounded piece of work.
enum class Step { progress, idle, done };

class Signal {
 public:
  void notify();
  // Returns on a notification, on a stop request, or after `at_most`.
  void wait(std::stop_token stop, std::chrono::milliseconds at_most);

 private:
  std::mutex m_;
  std::condition_variable_any cv_;
  bool raised_ = false;
};

class Worker {
 public:
  using StepFunction = std::function<Step(std::stop_token)>;
  using ErrorFunction = std::function<void(std::exception_ptr)>;
  // `name`: at most 15 characters (the kernel's limit), e.g. "lane.07". `idle_wait` bounds one wait: it only guards
  // against a stage that depends on time (flush of a small batch, a nudge), events come through `signal`.
  Worker(std::string name, Signal& signal, std::chrono::milliseconds idle_wait, StepFunction step, ErrorFunction on_error);
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;
  void request_stop();
  void join();

 private:
  Signal& signal_;
  std::jthread thread_;
};

void name_this_thread(const std::string& name);

// Waits unless a stop is requested; returns false if it was.
[[nodiscard]] bool sleep_for(std::stop_token stop, std::chrono::milliseconds duration);

}  // namespace mongotwin
