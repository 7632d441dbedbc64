// SPDX-License-Identifier: Apache-2.0
// Digest: what a range of documents comes to, computed inside the server from a fingerprint of each document; almost
// nothing crosses the network. The fingerprint is `$toHashedIndexKey` of the whole document, which covers names, their
// order and all values, but takes numbers for whole longs; so the size, and down to kDepth levels the types and the
// exact values of doubles and decimals, go into it too. docs/verify.md says what it cannot see. Pure.
// Seen on 5.0.32 and 6.0.5: the operator exists and gives the same values on both.
#pragma once

#include <cstdint>
#include <string>

#include "bson/document.h"

namespace mongotwin::verify {

inline constexpr int kDepth = 6;

struct Digest {
  std::uint64_t documents = 0, bytes = 0;
  // The sums of the fingerprints' halves: the sum of whole ones would overflow into a double, which rounds.
  std::int64_t low = 0;
  double high = 0;
  bool operator==(const Digest&) const = default;
};

// The expression of one document's fingerprint, a long; as the value of `field`.
void append_fingerprint(bson::Builder& b, const std::string& field);
// The stages behind the $match, from `first` on.
void append_digest_stages(bson::Builder& pipeline, int first);
void append_list_stages(bson::Builder& pipeline, int first);  // {_id, h, s} of each document
[[nodiscard]] Digest read_digest(bson::View group);

}  // namespace mongotwin::verify
