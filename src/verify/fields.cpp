// SPDX-License-Identifier: Apache-2.0
#include "verify/fields.h"

#include <fmt/format.h>

#include <vector>

namespace mongotwin::verify {
namespace {

class Collector {
 public:
  void compare(bson::View source, bson::View target, const std::string& path, bool array) {
    if (source == target) return;
    auto before = count_;
    bool same_order = true;
    auto theirs = target.begin();
    for (const auto& ours : source) {
      auto there = target[ours.key()];
      if (theirs == nullptr || theirs->key() != ours.key()) same_order = false;
      if (theirs != nullptr) ++theirs;
      auto name = path + std::string(ours.key());
      if (!there) add(name, "is missing on the target");
      else values(ours, there, name);
    }
    for (const auto& e : target)
      if (!source[e.key()]) add(path + std::string(e.key()), "is only on the target");
    if (count_ != before) return;
    auto where = path.empty() ? std::string("the document") : path.substr(0, path.size() - 1);
    if (!same_order && !array) note("the order of fields in " + where);
    else note(fmt::format("{} in bytes that no field shows, such as a name that comes twice", where));
  }

  [[nodiscard]] std::string text() const {
    std::string out;
    for (const auto& part : parts_) out += (out.empty() ? "" : "; ") + part;
    if (count_ > parts_.size()) out += fmt::format("; and {} more", count_ - parts_.size());
    return out;
  }

 private:
  void values(const bson::Element& ours, const bson::Element& theirs, const std::string& name) {
    if (ours.same_value(theirs)) return;
    if (ours.type() != theirs.type()) return add(name, fmt::format("is {} on the source, {} on the target", type_name(ours.type()), type_name(theirs.type())));
    if (ours.document()) return compare(*ours.document(), *theirs.document(), name + ".", ours.is_array());
    add(name, "has another value");
  }
  void add(const std::string& name, const std::string& what) { note(fmt::format("field {} {}", name, what)); }
  void note(std::string text) {
    if (++count_ <= kFieldsNamedMax) parts_.push_back(std::move(text));
  }

  std::vector<std::string> parts_;
  std::size_t count_ = 0;
};

}  // namespace

const char* type_name(bson::Type type) {
  using enum bson::Type;
  switch (type) {
    case Double: return "double";
    case String: return "string";
    case Object: return "object";
    case Array: return "array";
    case Binary: return "binary";
    case Undefined: return "undefined";
    case ObjectId: return "objectId";
    case Bool: return "bool";
    case Date: return "date";
    case Null: return "null";
    case Regex: return "regex";
    case DbPointer: return "dbPointer";
    case Code: return "code";
    case Symbol: return "symbol";
    case CodeWithScope: return "code with scope";
    case Int32: return "int";
    case Timestamp: return "timestamp";
    case Int64: return "long";
    case Decimal128: return "decimal";
    case MinKey: return "minKey";
    case MaxKey: return "maxKey";
    case Eod: break;
  }
  return "nothing";
}

std::string describe_difference(bson::View source, bson::View target) {
  Collector found;
  found.compare(source, target, "", false);
  return found.text();
}

}  // namespace mongotwin::verify
