// SPDX-License-Identifier: Apache-2.0
#include "cli/signals.h"

#include <pthread.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <string>

#include "base/worker.h"

namespace mongotwin::cli {
namespace {

constexpr int kWakeUp = SIGUSR2;  // the destructor's word to the thread
constexpr auto kSameKeystroke = std::chrono::milliseconds(500);

const char* name_of(int signal) {
  switch (signal) {
    case SIGINT: return "SIGINT";
    case SIGHUP: return "SIGHUP";
    default: return "SIGTERM";
  }
}

[[noreturn]] void end_at_once() {
  static constexpr char kText[] = "\nmongotwin: ended at once by a second signal; the next start goes on from the checkpoint\n";
  [[maybe_unused]] auto ignored = ::write(STDERR_FILENO, kText, sizeof kText - 1);
  _exit(1);
}

}  // namespace

Signals::Signals() {
  ::signal(SIGPIPE, SIG_IGN);
  sigemptyset(&mask_);
  for (int s : {SIGINT, SIGTERM, kWakeUp}) sigaddset(&mask_, s);
  struct sigaction hangup {};
  sigaction(SIGHUP, nullptr, &hangup);
  if (hangup.sa_handler != SIG_IGN) sigaddset(&mask_, SIGHUP);  // nohup asks to ignore it
  pthread_sigmask(SIG_BLOCK, &mask_, &before_);
}

Signals::~Signals() {
  if (thread_.joinable()) {
    pthread_kill(thread_.native_handle(), kWakeUp);
    thread_.join();
  }
  pthread_sigmask(SIG_SETMASK, &before_, nullptr);
}

void Signals::listen(std::function<void(const char* name)> on_first) {
  thread_ = std::thread([this, on_first = std::move(on_first)] { loop(on_first); });
}

void Signals::loop(const std::function<void(const char* name)>& on_first) {
  name_this_thread("signals");
  std::chrono::steady_clock::time_point first{};
  for (int signal = 0; sigwait(&mask_, &signal) == 0;) {
    if (signal == kWakeUp) return;
    auto now = std::chrono::steady_clock::now();
    if (first == std::chrono::steady_clock::time_point{}) {
      first = now;
      on_first(name_of(signal));
    } else if (now - first > kSameKeystroke) {
      end_at_once();
    }
  }
}

}  // namespace mongotwin::cli
