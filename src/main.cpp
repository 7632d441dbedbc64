// SPDX-License-Identifier: Apache-2.0
// mongotwin: the program. The command line with the real engine behind it.
#include <malloc.h>

#include "cli/cli.h"
#include "control/engine.h"

int main(int argc, char** argv) {
  // Buffers of documents go back to the system when they are freed; by itself glibc keeps all up to 32 MB for later, in
  // each thread's arena, and memory_limit would be worth nothing.
  mallopt(M_MMAP_THRESHOLD, 1 << 20);
  return mongotwin::cli::main(argc, argv, {mongotwin::control::make_engine, mongotwin::control::check, mongotwin::control::fail_over, mongotwin::control::verify_without_replication});
}
