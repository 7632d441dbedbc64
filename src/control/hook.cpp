// SPDX-License-Identifier: Apache-2.0
#include "control/hook.h"

#include <fmt/format.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <vector>

#include "base/error.h"
#include "base/worker.h"

extern char** environ;

namespace mongotwin::control {
namespace {

constexpr std::chrono::milliseconds kLookEvery{10};

pid_t start(const std::string& what, const std::string& command, const std::map<std::string, std::string>& environment) {
  std::vector<std::string> texts;
  for (const auto& [name, value] : environment) texts.push_back(name + "=" + value);
  std::vector<char*> all;
  for (char** e = environ; *e != nullptr; ++e) all.push_back(*e);
  for (auto& text : texts) all.push_back(text.data());
  all.push_back(nullptr);
  std::string shell = "/bin/sh", option = "-c", text = command;
  char* arguments[] = {shell.data(), option.data(), text.data(), nullptr};
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  // A group of its own, so that what it has started ends with it.
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
  pid_t pid = 0;
  int failed = posix_spawn(&pid, shell.c_str(), nullptr, &attributes, arguments, all.data());
  posix_spawnattr_destroy(&attributes);
  if (failed != 0) throw Error(Remedy::pause, fmt::format("the hook {} could not be started: {}", what, std::strerror(failed)), "see `hooks` in the configuration");
  return pid;
}

}  // namespace

void run_hook(const std::string& what, const std::string& command, const std::map<std::string, std::string>& environment, std::chrono::milliseconds at_most, std::stop_token stop) {
  auto pid = start(what, command, environment);
  auto until = std::chrono::steady_clock::now() + at_most;
  int status = 0;
  for (;;) {
    auto ended = waitpid(pid, &status, WNOHANG);
    if (ended == pid) break;
    if (ended < 0 && errno != EINTR) throw Error(Remedy::pause, fmt::format("the hook {} was lost: {}", what, std::strerror(errno)), "see to what it was to do");
    bool late = std::chrono::steady_clock::now() >= until;
    if (late || !sleep_for(stop, kLookEvery)) {
      kill(-pid, SIGKILL);
      while (waitpid(pid, &status, 0) < 0 && errno == EINTR) continue;
      throw Error(Remedy::pause, late ? fmt::format("the hook {} took longer than {} s and was killed", what, at_most.count() / 1000) : fmt::format("the hook {} was broken off by a stop", what), "see to what it was to do");
    }
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return;
  throw Error(Remedy::pause, WIFEXITED(status) ? fmt::format("the hook {} ended with exit status {}", what, WEXITSTATUS(status)) : fmt::format("the hook {} was ended by signal {}", what, WTERMSIG(status)),
              "see what it printed");
}

}  // namespace mongotwin::control
