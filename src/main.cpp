// SPDX-License-Identifier: Apache-2.0
// mongotwin: the program. The command line with the real engine behind it.
#include "cli/cli.h"
#include "control/engine.h"

int main(int argc, char** argv) {
  return mongotwin::cli::main(argc, argv, mongotwin::control::make_engine, mongotwin::control::check);
}
