// SPDX-License-Identifier: Apache-2.0
// Signals: SIGINT, SIGTERM and SIGHUP as calls in a thread of its own (signals), so that nothing has to be safe inside
// a signal handler. The first one calls `on_first`; the next one, unless it comes at once (a script that passes on the
// Ctrl-C of its terminal makes one keystroke two signals), ends the process with status 1: a restart goes on from the
// checkpoint. SIGPIPE is ignored. Make it before any other thread: they inherit its mask. What `on_first` refers to
// must outlive it.
#pragma once

#include <signal.h>

#include <functional>
#include <thread>

namespace mongotwin::cli {

class Signals {
 public:
  Signals();
  ~Signals();  // later signals act as they did before
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;

  // From here on they are listened to; what came before is not lost. Once only.
  void listen(std::function<void(const char* name)> on_first);

 private:
  void loop(const std::function<void(const char* name)>& on_first);

  sigset_t mask_{}, before_{};
  std::thread thread_;
};

}  // namespace mongotwin::cli
