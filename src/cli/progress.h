// SPDX-License-Identifier: Apache-2.0
// Progress: shows what the board says while a replication runs. On a terminal a few lines, drawn anew four times a
// second, while log lines go to the file only; elsewhere a log line every five seconds if something has changed, and at
// once when the state does. The board must outlive it. Thread-safe; draws in a thread of its own (progress). The last
// picture stays on the screen; nothing of the terminal is changed that would have to be restored.
#pragma once

#include <memory>
#include <string>

#include "base/annotations.h"
#include "base/worker.h"
#include "cli/view.h"

namespace mongotwin::cli {

class Progress {
 public:
  enum class Kind { terminal, log };

  Progress(const status::StatusBoard& board, Kind kind, int terminal_fd);
  ~Progress();  // draws the last state
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // A sentence under the view, such as "stopping".
  void note(const std::string& text) EXCLUDES(m_);

 private:
  Step step();
  void draw() EXCLUDES(m_);
  void write_log();

  const status::StatusBoard& board_;
  const Kind kind_;
  const int fd_;
  Signal signal_;

  mutable Mutex m_;
  std::string note_ GUARDED_BY(m_);

  // Owned by the thread, and after its end by the destructor.
  std::size_t drawn_ = 0;  // lines on the screen that the next picture replaces
  std::string logged_;
  status::State logged_state_ = status::State::starting;
  std::chrono::steady_clock::time_point logged_at_{};

  std::unique_ptr<Worker> worker_;
};

}  // namespace mongotwin::cli
