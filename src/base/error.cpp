// SPDX-License-Identifier: Apache-2.0
#include "base/error.h"

#include <cstdio>
#include <cstdlib>

namespace mongotwin {

const char* to_string(Remedy remedy) {
  switch (remedy) {
    case Remedy::retry: return "retry";
    case Remedy::pause: return "pause";
    case Remedy::resync: return "resync";
    case Remedy::fix_config: return "fix_config";
  }
  return "unknown";
}

void invariant_failed(const char* expression, const char* file, int line) {
  std::fprintf(stderr, "broken invariant: %s at %s:%d; start mongotwin again, it goes on from the checkpoint\n",
               expression, file, line);
  std::fflush(stderr);
  std::abort();
}

}  // namespace mongotwin
