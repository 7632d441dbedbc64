// SPDX-License-Identifier: Apache-2.0
// The delta code on a pipe, for test_delta_property.py. Reads BSON documents {q: [<question>, …]} from stdin and
// answers each with {r: [<answer>, …]} on stdout. Owned by one thread. Questions:
//   {c: "entry", d: <document before>, o: <an entry's o>}
//       → {kind, after, needs_literal, form: "operators"|"pipeline"|"none", update: <document or pipeline as an array>}
//   {c: "replay", d: <newest document>, o: [<every entry's o, oldest first>]}
//       → {bad: <first entry from which a replay onto the newest document ends elsewhere, or -1>, got: <where>}
// An Error becomes {error: <what>}.
#include <cstdio>
#include <cstdlib>

#include "base/error.h"
#include "oplog/delta.h"

using namespace mongotwin;
using bson::Builder;
using bson::Document;
using bson::View;

namespace {

Document after_entry(View document, View o) {
  return oplog::classify(o) == oplog::UpdateKind::replacement ? oplog::replacement(o) : oplog::apply_delta(document, o);
}

void answer_entry(Builder& out, View question) {
  View o = *question.document("o");
  auto kind = oplog::classify(o);
  auto after = after_entry(*question.document("d"), o);
  out.int32("kind", static_cast<int>(kind)).document("after", after);
  out.boolean("needs_literal", oplog::replacement_needs_literal(after));
  auto update = oplog::as_update(o);
  if (!update) {
    out.string("form", "none");
  } else if (update->form == oplog::Update::Form::pipeline) {
    out.string("form", "pipeline").array("update", update->document);
  } else {
    out.string("form", "operators").document("update", update->document);
  }
}

void answer_replay(Builder& out, View question) {
  View newest = *question.document("d");
  std::vector<View> entries;
  View list = *question.document("o");
  for (const auto& e : list) entries.push_back(*e.document());
  for (std::size_t k = 0; k < entries.size(); ++k) {
    auto state = Document::copy_of(newest);
    for (std::size_t i = k; i < entries.size(); ++i) state = after_entry(state, entries[i]);
    if (!(state.view() == newest)) {
      out.int32("bad", static_cast<int>(k)).document("got", state);
      return;
    }
  }
  out.int32("bad", -1);
}

void answer(Builder& out, View question) {
  Builder fields;
  try {
    if (question.string("c") == "entry") {
      answer_entry(fields, question);
    } else {
      answer_replay(fields, question);
    }
  } catch (const Error& e) {
    fields = Builder();
    fields.string("error", e.what());
  }
  out.fields_of(fields.finish());
}

std::vector<std::uint8_t> read_document() {
  std::uint32_t size = 0;
  if (std::fread(&size, 1, 4, stdin) != 4) return {};
  std::vector<std::uint8_t> bytes(size);
  std::memcpy(bytes.data(), &size, 4);
  if (std::fread(bytes.data() + 4, 1, size - 4, stdin) != size - 4) std::exit(1);
  return bytes;
}

}  // namespace

int main() {
  for (auto bytes = read_document(); !bytes.empty(); bytes = read_document()) {
    auto request = Document::adopt(std::move(bytes));
    Builder out;
    out.open_array("r");
    std::size_t i = 0;
    View questions = *request.view().document("q");
    for (const auto& question : questions) {
      out.open_document(std::to_string(i++));
      answer(out, *question.document());
      out.close();
    }
    auto reply = out.finish();
    std::fwrite(reply.view().data(), 1, reply.size(), stdout);
    std::fflush(stdout);
  }
}
