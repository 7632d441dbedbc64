// SPDX-License-Identifier: Apache-2.0
// Field: one value of the configuration with the place it stands at, and typed getters that refuse what doesn't fit by
// "file:line: key …". Strings get their ${VARIABLES} here; a Secret::yes string may be "file:/path", and no error
// text quotes it. Owned by one thread.
#pragma once

#include <yaml-cpp/yaml.h>

#include <cstdint>
#include <initializer_list>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace mongotwin::options {

enum class Secret { no, yes };

class Field {
 public:
  Field(std::string file, int line, std::string key, YAML::Node node)
      : file_(std::move(file)), line_(line), key_(std::move(key)), node_(std::move(node)) {}

  // The whole document of a file: exactly one map. Throws Error(fix_config) if it can't be read or parsed.
  [[nodiscard]] static Field document(const std::string& path);

  [[noreturn]] void refuse(const std::string& what, const std::string& allowed) const;

  [[nodiscard]] bool is_map() const { return node_.IsMap(); }
  // The fields of a map; unknown and repeated ones are refused, with the name that was probably meant.
  [[nodiscard]] std::map<std::string, Field> fields(std::initializer_list<std::string_view> known) const;
  // The entries of a map whose keys are free, in their order; none twice.
  [[nodiscard]] std::vector<std::pair<std::string, Field>> entries(const std::string& allowed) const;
  // The elements of a list that has at least one.
  [[nodiscard]] std::vector<Field> elements(const std::string& allowed) const;
  // A string that is not empty.
  [[nodiscard]] std::string text(const std::string& allowed, Secret secret = Secret::no) const;
  [[nodiscard]] int whole_number(int least, int most) const;
  // "512MB": KB, MB, GB are powers of 1000, KiB, MiB, GiB of 1024.
  [[nodiscard]] std::uint64_t size_bytes(std::uint64_t least, std::uint64_t most) const;

  template <class T>
  [[nodiscard]] T choice(std::initializer_list<std::pair<const char*, T>> choices) const {
    std::string allowed;
    for (const auto& [name, value] : choices) allowed += (allowed.empty() ? "" : ", ") + std::string(name);
    auto given = text(allowed);
    for (const auto& [name, value] : choices)
      if (given == name) return value;
    refuse(quoted(given) + " is none of the choices", allowed);
  }

  [[nodiscard]] const std::string& file() const { return file_; }
  [[nodiscard]] std::string quoted(std::string_view value) const;  // for an error text; what may hide a secret is not shown

 private:
  [[nodiscard]] std::string expand(const std::string& raw) const;
  [[nodiscard]] std::string read_secret_file(const std::string& path) const;

  std::string file_;
  int line_;  // counted from 1
  std::string key_;  // "api.listen"; empty for the document
  YAML::Node node_;
};

// The known word that was probably meant, or empty.
[[nodiscard]] std::string closest(std::string_view word, std::initializer_list<std::string_view> known);

}  // namespace mongotwin::options
