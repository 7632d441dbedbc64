// SPDX-License-Identifier: Apache-2.0
#include "copy/sampling.h"

#include <algorithm>

#include "base/log.h"
#include "mongo/cursor.h"

namespace mongotwin::copy {
namespace {

constexpr std::uint64_t kPart = 25;  // one in so many: the server jumps to up to one in 20
constexpr std::uint64_t kReadWholeBytes = 64u << 20;
constexpr std::int32_t kTimeMs = 30'000;  // no answer at all for a minute is taken for a cut network

}  // namespace

std::size_t samples_of(Size size, std::size_t shards, std::size_t wanted) {
  if (size.bytes <= kReadWholeBytes) return wanted;
  return std::min<std::size_t>(wanted, size.documents / kPart / std::max<std::size_t>(shards, 1));
}

std::vector<bson::Document> sampled(mongo::Client& client, const std::string& database, std::size_t count, const Sampling& sampling) {
  for (; count > 0; count /= 2) {
    bson::Builder b;
    sampling(b, count);
    b.int32("maxTimeMS", kTimeMs);
    try {
      return mongo::fetch_all(client, database, b.finish());
    } catch (const mongo::CommandError& e) {
      if (e.code() != mongo::code::kMaxTimeMsExpired) throw;
      log::debug("copy", "{}: {} samples take too long: {}", database, count, e.what());
    }
  }
  return {};
}

}  // namespace mongotwin::copy
