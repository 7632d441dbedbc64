// SPDX-License-Identifier: Apache-2.0
// Value: a document as the simulation's cluster models hold it: plain values, no BSON and none of the code under test.
// diff() writes the `$v: 2` difference of two objects as the server's own algorithm does, from before and after alone.
// Random: the one source of chance of a run; the same seed gives the same run.
#pragma once

#include <cstdint>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "bson/document.h"

namespace mongotwin::sim {

class Random {
 public:
  explicit Random(std::uint64_t seed) : engine_(seed) {}
  // 0 … n-1. Not a std distribution: those may differ between libraries, and a seed shall mean one run everywhere.
  [[nodiscard]] int below(int n) { return static_cast<int>(engine_() % static_cast<std::uint64_t>(n)); }
  [[nodiscard]] bool percent(int p) { return below(100) < p; }
  [[nodiscard]] bool one_in(int n) { return below(n) == 0; }
  template <class T>
  T& pick(std::vector<T>& list) { return list[static_cast<std::size_t>(below(static_cast<int>(list.size())))]; }
  template <class T>
  const T& pick(const std::vector<T>& list) { return list[static_cast<std::size_t>(below(static_cast<int>(list.size())))]; }

 private:
  std::mt19937_64 engine_;
};

struct Value;
using Field = std::pair<std::string, Value>;

struct Value {
  enum Kind { null, boolean, int32, int64, number, string, timestamp, object, array };
  Kind kind = null;
  std::int64_t i = 0;  // boolean, int32, int64, timestamp
  double d = 0;
  std::string s;
  std::vector<Field> fields;  // of an object; an array's have no names

  bool operator==(const Value& other) const;
  [[nodiscard]] const Value* find(const std::string& name) const;
  [[nodiscard]] Value* find(const std::string& name);
  [[nodiscard]] const Value* at_path(const std::string& dotted) const;
  void set(const std::string& name, Value v);  // in place, or at the end
  void erase(const std::string& name);
};

[[nodiscard]] Value integer(std::int64_t i);
[[nodiscard]] Value real(double d);
[[nodiscard]] Value text(std::string s);
[[nodiscard]] Value empty_object();

// Equal for values that a server's _id index holds equal.
[[nodiscard]] std::string id_key(const Value& id);

[[nodiscard]] bson::Document encode(const Value& object);
void append(bson::Builder& b, std::string_view key, const Value& v);
[[nodiscard]] Value decode(bson::View v, bool array = false);
[[nodiscard]] Value decode(const bson::Element& e);

// {$v: 2, diff: …}; empty if there is no difference.
[[nodiscard]] std::optional<bson::Document> diff(const Value& before, const Value& after);

[[nodiscard]] Value random_value(Random& random, int depth);
// Changes, adds, removes or reorders fields below the top level's first `keep` ones.
void mutate(Random& random, Value& object, const std::vector<std::string>& keep, int depth = 0);

}  // namespace mongotwin::sim
