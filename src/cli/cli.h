// SPDX-License-Identifier: Apache-2.0
// The command line. Exit status 0: done; 1: what went wrong is said in one sentence on standard error; 2: wrong usage; 3:
// verify has found differences.
#pragma once

#include "cli/engine.h"

namespace mongotwin::cli {

// What is behind it: the conductor.
struct Program {
  EngineFactory make_engine;
  CheckFunction check;
  FailoverFunction fail_over;
  VerifyFunction verify;
};

int main(int argc, const char* const* argv, const Program& program);

}  // namespace mongotwin::cli
