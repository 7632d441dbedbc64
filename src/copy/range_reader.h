// SPDX-License-Identifier: Apache-2.0
// RangeReader: reads the documents of one range straight from the shards' members, without the orphans, and hands them
// on as the server's own bytes. A range that was interrupted is read again from its start (in natural order: from where
// it was, if the same member is there); so is one whose documents have moved between shards meanwhile. Follows its
// collection through renames, movePrimary and resharding. Owned by one thread; what is handed in must outlive it.
#pragma once

#include <map>
#include <stop_token>
#include <unordered_set>

#include "base/throttle.h"
#include "copy/collection_copy.h"
#include "copy/source_now.h"
#include "copy/twins.h"
#include "mongo/cursor.h"

namespace mongotwin::copy {

class RangeReader {
 public:
  struct Options {
    mongo::ReadPreference preference = mongo::ReadPreference::primary;
    std::vector<oplog::Timestamp> not_before;  // per shard: no member may answer with an older state; empty: no matter
  };
  class Sink {
   public:
    virtual ~Sink() = default;
    virtual void take(Batch batch) = 0;
    // What it took of this range is to be counted as nothing: it comes again from its start.
    virtual void again() = 0;
  };
  enum class End {
    whole,
    gone,   // the collection is
    moved,  // natural only: documents have changed their shard; the collection must be read by _id
    stopped,
  };

  RangeReader(mongo::Cluster& source, Options options, WaitReport report, Throttle* throttle, ByteBudget& budget)
      : source_(source), options_(std::move(options)), report_(std::move(report)), throttle_(throttle), budget_(budget), router_(source.router().acquire()) {}
  End read(const Range& range, const CollectionCopy& collection, Sink& sink, std::stop_token stop);
  // Of the collection while the range was read.
  [[nodiscard]] const std::string& version() const { return version_; }

 private:
  struct Pass {  // one way through the range
    const Range& range;
    const CollectionCopy& collection;
    Sink& sink;
    std::stop_token stop;
  };
  struct From {  // where a cursor is opened
    mongo::Client& client;
    std::uint32_t server;
    std::optional<oplog::ShardIndex> shard;  // none: the router
    std::uint64_t reply_bytes;
    bool natural;
  };
  bool find_place(const CollectionCopy& collection, std::size_t number);
  [[nodiscard]] bool read_all_shards(const Pass& pass);
  [[nodiscard]] bool read_naturally(const Pass& pass);
  [[nodiscard]] bool drain(const Pass& pass, const From& from, const bson::Document& command);
  using Ids = std::unordered_set<std::string>;  // as typed_bytes
  [[nodiscard]] bool is_up_to_end(const mongo::Cursor::Batch& reply) const;
  [[nodiscard]] Ids ids_up_to_end(const Pass& pass, const From& from, std::int64_t batch_size) const;
  [[nodiscard]] bool take_token(const bson::Document& reply);
  [[nodiscard]] std::vector<Batch> cut(const mongo::Cursor::Batch& reply, std::optional<oplog::ShardIndex> shard, const Ids* wanted, std::shared_ptr<ByteBudget::Share> share) const;
  [[nodiscard]] std::optional<std::int64_t> last_record(const Pass& pass, mongo::Client& client, std::uint32_t server);
  void append_read_options(bson::Builder& b, const CollectionCopy& collection, std::optional<oplog::ShardIndex> shard) const;
  [[nodiscard]] bson::Document find_command(const Pass& pass, std::optional<oplog::ShardIndex> shard, std::int64_t batch_size) const;
  [[nodiscard]] bson::Document find_naturally(const Pass& pass, std::int64_t batch_size, Fields fields, const bson::Document* after) const;
  void look_for_twins(const Batch& batch, const CollectionCopy& collection);
  void await_state(const Pass& pass, mongo::Client& client, std::uint32_t server, oplog::ShardIndex shard);
  mongo::Client& client_of(oplog::ShardIndex shard);

  mongo::Cluster& source_;
  const Options options_;
  WaitReport report_;
  Throttle* throttle_;  // of bytes; none: as fast as it can
  ByteBudget& budget_;
  mongo::Client router_;
  std::map<oplog::ShardIndex, mongo::Client> clients_;
  std::shared_ptr<const source::CollectionPlace> place_;
  std::size_t place_of_ = 0;  // the collection's number
  std::string version_;
  bool repeated_ = false;
  std::optional<NaturalPosition> position_;
  SeenIds seen_;
  bool exact_ids_ = false;
};

}  // namespace mongotwin::copy
