// SPDX-License-Identifier: Apache-2.0
#include "mongo/errors.h"

#include <gtest/gtest.h>

namespace mongotwin::mongo {
namespace {

bson::Document reply_with(std::initializer_list<int> codes) {
  bson::Builder b;
  b.int32("n", 0).open_array("writeErrors");
  int n = 0;
  for (int code : codes) b.open_document(std::to_string(n)).int32("index", n).int32("code", code).string("errmsg", "why").close(), ++n;
  return b.close().int32("ok", 1).finish();
}

TEST(WriteErrorsTest, NoneIsNone) {
  throw_on_write_errors("target", bson::Builder().int32("n", 0).int32("ok", 1).finish());
  throw_on_write_errors("target", reply_with({}));
  throw_on_write_errors("target", reply_with({code::kDuplicateKey, code::kDuplicateKey}), code::kDuplicateKey);
}

TEST(WriteErrorsTest, WhatPassesIsTriedAgain) {
  for (int code : {133, 189, 82}) {
    try {
      throw_on_write_errors("target: the plan", reply_with({code}), code::kDuplicateKey, "mend it");
      FAIL() << code;
    } catch (const CommandError& e) {
      EXPECT_EQ(e.remedy(), Remedy::retry);
      EXPECT_EQ(e.code(), code);
      EXPECT_EQ(std::string(e.what()), "target: the plan: why (code " + std::to_string(code) + ")");
    }
  }
}

TEST(WriteErrorsTest, WhatIsFineDoesNotHideWhatIsNot) {
  try {
    throw_on_write_errors("target", reply_with({code::kDuplicateKey, 121}), code::kDuplicateKey, "mend it");
    FAIL();
  } catch (const CommandError& e) {
    EXPECT_EQ(e.remedy(), Remedy::pause);
    EXPECT_EQ(e.code(), 121);
    EXPECT_EQ(e.hint(), "mend it");
  }
}

}  // namespace
}  // namespace mongotwin::mongo
