// SPDX-License-Identifier: Apache-2.0
#include "base/worker.h"

#include <pthread.h>

namespace mongotwin {

void Signal::notify() {
  {
    std::lock_guard lock(m_);
    raised_ = true;
  }
  cv_.notify_one();
}

void Signal::wait(std::stop_token stop, std::chrono::milliseconds at_most) {
  std::unique_lock lock(m_);
  cv_.wait_for(lock, stop, at_most, [this] { return raised_; });
  raised_ = false;
}

void name_this_thread(const std::string& name) { pthread_setname_np(pthread_self(), name.substr(0, 15).c_str()); }

Worker::Worker(std::string name, Signal& signal, std::chrono::milliseconds idle_wait, StepFunction step, ErrorFunction on_error)
    : signal_(signal),
      thread_([&signal, name = std::move(name), idle_wait, step = std::move(step), on_error = std::move(on_error)](std::stop_token stop) {
        name_this_thread(name);
        try {
          while (!stop.stop_requested()) {
            switch (step(stop)) {
              case Step::progress: break;
              case Step::idle: signal.wait(stop, idle_wait); break;
              case Step::done: return;
            }
          }
        } catch (...) {
          on_error(std::current_exception());
        }
      }) {}

Worker::~Worker() {
  request_stop();
  join();
}

void Worker::request_stop() {
  thread_.request_stop();
  signal_.notify();
}

void Worker::join() {
  if (thread_.joinable()) thread_.join();
}

bool sleep_for(std::stop_token stop, std::chrono::milliseconds duration) {
  std::mutex m;
  std::condition_variable_any cv;
  std::unique_lock lock(m);
  cv.wait_for(lock, stop, duration, [] { return false; });
  return !stop.stop_requested();
}

}  // namespace mongotwin
