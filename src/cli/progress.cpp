// SPDX-License-Identifier: Apache-2.0
#include "cli/progress.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include "base/log.h"
#include "cli/format.h"

namespace mongotwin::cli {
namespace {

constexpr auto kLookEvery = std::chrono::milliseconds(250);
constexpr auto kLogEvery = std::chrono::seconds(5);

Screen screen_of(int fd) {
  winsize size{};
  if (ioctl(fd, TIOCGWINSZ, &size) != 0 || size.ws_col == 0 || size.ws_row == 0) return {};
  return {size.ws_col, size.ws_row};
}

void write_all(int fd, const std::string& text) {
  for (std::size_t at = 0; at < text.size();) {
    auto n = ::write(fd, text.data() + at, text.size() - at);
    if (n <= 0) return;  // the terminal is gone; the replication goes on
    at += static_cast<std::size_t>(n);
  }
}

}  // namespace

Progress::Progress(const status::StatusBoard& board, Kind kind, int terminal_fd) : board_(board), kind_(kind), fd_(terminal_fd) {
  if (kind_ == Kind::terminal) log::quiet(true);
  worker_ = std::make_unique<Worker>("progress", signal_, kLookEvery, [this](std::stop_token) { return step(); }, [](std::exception_ptr) {});
}

Progress::~Progress() {
  worker_.reset();
  if (kind_ == Kind::terminal) {
    draw();
    log::quiet(false);
  }
}

void Progress::note(const std::string& text) {
  if (kind_ == Kind::log) {
    log::info("cli", "{}", text);
    return;
  }
  {
    Lock lock(m_);
    note_ = text;
  }
  signal_.notify();
}

Step Progress::step() {
  if (kind_ == Kind::terminal) draw();
  else write_log();
  return Step::idle;
}

void Progress::draw() {
  auto screen = screen_of(fd_);
  auto lines = progress_lines(*board_.get(), std::chrono::system_clock::now(), screen);
  {
    Lock lock(m_);
    if (!note_.empty()) lines.push_back(clip(note_, screen.columns - 1));
  }
  std::string picture;
  if (drawn_ > 0) picture = "\x1b[" + std::to_string(drawn_) + "A\r";  // back to the first line
  for (const auto& line : lines) picture += line + "\x1b[K\n";          // and clear what is left of the old one
  picture += "\x1b[J";                                                  // also below: a ^C, a longer picture
  write_all(fd_, picture);
  drawn_ = lines.size();
}

void Progress::write_log() {
  auto now = std::chrono::steady_clock::now();
  auto status = board_.get();
  bool due = logged_.empty() || status->state != logged_state_ || now - logged_at_ >= kLogEvery;
  if (!due) return;
  auto line = summary_line(*status);
  if (line == logged_) return;
  log::info("progress", "{}", line);
  logged_ = line;
  logged_state_ = status->state;
  logged_at_ = now;
}

}  // namespace mongotwin::cli
