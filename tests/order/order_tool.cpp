// SPDX-License-Identifier: Apache-2.0
// The order and the hash of values on a pipe, for test_order_property.py. Reads one BSON document {values: [<value>, …]}
// from stdin and writes {order: [<index>, …], equal: [<bool>, …], hashes: [<long>, …], longs: [<int>, …]} to stdout:
// the values' numbers in their order (equal ones as they came), whether each is equal to the one before it, each value's
// hash, and how each compares to the 64-bit number 7. Owned by one thread.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "bson/order.h"
#include "source/ownership.h"

using namespace mongotwin;

namespace {

std::vector<std::uint8_t> read_document() {
  std::vector<std::uint8_t> bytes(4);
  if (std::fread(bytes.data(), 1, 4, stdin) != 4) std::exit(0);
  std::uint32_t size = 0;
  std::memcpy(&size, bytes.data(), 4);
  bytes.resize(size);
  if (std::fread(bytes.data() + 4, 1, size - 4, stdin) != size - 4) std::exit(1);
  return bytes;
}

}  // namespace

int main() {
  auto question = bson::Document::adopt(read_document());
  std::vector<bson::Element> values;
  for (const auto& e : question.view().fields("values")) values.push_back(e);
  std::vector<std::size_t> order(values.size());
  for (std::size_t n = 0; n < order.size(); ++n) order[n] = n;
  std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) { return bson::compare(values[a], values[b]) < 0; });
  bson::Builder out;
  out.open_array("order");
  for (std::size_t n = 0; n < order.size(); ++n) out.int32(std::to_string(n), static_cast<std::int32_t>(order[n]));
  out.close().open_array("equal");
  for (std::size_t n = 0; n < order.size(); ++n) out.boolean(std::to_string(n), n > 0 && bson::compare(values[order[n - 1]], values[order[n]]) == 0);
  out.close().open_array("hashes");
  for (std::size_t n = 0; n < values.size(); ++n) out.int64(std::to_string(n), source::hash_of(values[n]));
  out.close().open_array("longs");
  for (std::size_t n = 0; n < values.size(); ++n) out.int32(std::to_string(n), bson::compare(values[n], std::int64_t{7}));
  out.close();
  auto answer = out.finish();
  return std::fwrite(answer.view().data(), 1, answer.size(), stdout) == answer.size() ? 0 : 1;
}
