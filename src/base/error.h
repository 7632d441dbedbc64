// SPDX-License-Identifier: Apache-2.0
// Error: the one exception type of mongotwin. It ends a unit of work and says what happened (what()), what the
// operator can do (hint) and how the conductor reacts (remedy). Neither text ever contains a password.
// Caught in three places only: the retry helper, the top of a worker thread, and the edges (main, HTTP). Immutable.
#pragma once

#include <stdexcept>
#include <string>

namespace mongotwin {

enum class Remedy {
  retry,       // passing trouble: network, election; wait and try again
  pause,       // stop and wait for a person; the work can go on where it stands
  resync,      // the copy can't be continued: it must start again
  fix_config,  // wrong input: nothing was changed, exit status 1
};

[[nodiscard]] const char* to_string(Remedy remedy);

class Error : public std::runtime_error {
 public:
  Error(Remedy remedy, std::string what, std::string hint = {})
      : std::runtime_error(std::move(what)), remedy_(remedy), hint_(std::move(hint)) {}
  [[nodiscard]] Remedy remedy() const { return remedy_; }
  [[nodiscard]] const std::string& hint() const { return hint_; }

 private:
  Remedy remedy_;
  std::string hint_;
};

// A broken invariant: prints and aborts. Restarting from the checkpoint is the recovery.
[[noreturn]] void invariant_failed(const char* expression, const char* file, int line);

#define TWIN_INVARIANT(expression) \
  ((expression) ? static_cast<void>(0) : ::mongotwin::invariant_failed(#expression, __FILE__, __LINE__))

}  // namespace mongotwin
