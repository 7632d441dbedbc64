// SPDX-License-Identifier: Apache-2.0
// The command line. Exit status 0: done; 1: what went wrong is said in one sentence on standard error; 2: wrong usage.
#pragma once

#include "cli/engine.h"

namespace mongotwin::cli {

int main(int argc, const char* const* argv, const EngineFactory& make_engine, const CheckFunction& check, const FailoverFunction& fail_over);

}  // namespace mongotwin::cli
