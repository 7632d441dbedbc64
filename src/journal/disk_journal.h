// SPDX-License-Identifier: Apache-2.0
// DiskJournal: a Journal in a directory at the target's side (RocksDB). What was appended survives kill -9 and the loss
// of the source; of a power cut it loses at most the last second, without a gap: watermark and entries are written
// together. Each value carries a checksum that is verified when it is read back. Behind the writer a window in memory
// gives the consumer what it has not taken yet; only when that is full the consumer reads from the disk.
// A shard's entries are good for one cluster: a directory of another one is emptied. Thread-safe as Journal says; trim(),
// sync() and size() from any thread. Throws Error(pause) naming the directory when the disk refuses.
#pragma once

#include <atomic>
#include <deque>
#include <memory>
#include <optional>
#include <string>

#include "base/annotations.h"
#include "base/worker.h"
#include "journal/window.h"

namespace rocksdb {
class ColumnFamilyHandle;
class DB;
}  // namespace rocksdb

namespace mongotwin::journal {

struct DiskLimits {
  std::uint64_t window_bytes = 64'000'000;    // in memory, for all shards together
  // Of entries; the directory may be larger by some write buffers. Each shard has its part of it: one that is ahead must
  // not take the room of one that all wait for.
  std::uint64_t disk_bytes = 10'000'000'000;
};

class DiskJournal final : public Journal {
 public:
  // `cluster`: the source's id. `shards`: names, in the order of their indexes; others in the directory are forgotten.
  // `on_append` wakes the merger; `on_room[shard]` that shard's reader. They must outlive the journal.
  DiskJournal(const std::string& directory, const std::string& cluster, std::vector<std::string> shards, DiskLimits limits, Signal& on_append, std::vector<Signal*> on_room);
  ~DiskJournal() override;

  // Before the first append: the consumer begins with the first entry at or after `from`. Returns where the reader goes
  // on: after what is here already, or nothing if the history from `from` on is not (then it is emptied).
  std::optional<Timestamp> open_shard(ShardIndex shard, Timestamp from);
  [[nodiscard]] bool append(ShardIndex shard, std::vector<Record>& batch, Timestamp read_up_to) override;
  [[nodiscard]] std::vector<Record> take(ShardIndex shard, TakeLimits limits) override;
  [[nodiscard]] Timestamp read_up_to(ShardIndex shard) const override;

  // Entries before `before` will not be asked for again.
  void trim(ShardIndex shard, Timestamp before);
  void sync();  // against a power cut
  struct Size {
    std::uint64_t bytes = 0, bytes_max = 0;
    std::uint32_t oldest_t = 0;  // seconds since 1970 of the oldest entry; 0: none
    bool full = false;           // a reader waits for room
  };
  [[nodiscard]] Size size() const;

  // What an earlier run has left of a shard: every entry from `first` to `last` is there.
  struct Span {
    Timestamp first, last;
  };
  [[nodiscard]] static std::optional<Span> span_of(const std::string& directory, const std::string& cluster, const std::string& shard);
  static void remove(const std::string& directory);
  // Before anything else is done: whether the directory could be made and written to; and, with it open for a moment,
  // that no other process has it. Throw Error(fix_config).
  static void check_place(const std::string& directory);
  static void check_free(const std::string& directory);

 private:
  struct Chunk {  // neighbours, so that trimming needs to remember little
    Timestamp first, last;
    std::uint64_t bytes = 0;
  };
  struct Lot {
    std::string name;
    rocksdb::ColumnFamilyHandle* entries = nullptr;
    mutable Mutex m;
    Window window GUARDED_BY(m);
    bool spilled GUARDED_BY(m) = false;  // the window misses what is on disk behind `taken`
    Timestamp first GUARDED_BY(m), appended GUARDED_BY(m), read_up_to GUARDED_BY(m);
    Timestamp taken GUARDED_BY(m);       // the consumer's last; null: from `from` on
    Timestamp from GUARDED_BY(m);
    std::deque<Chunk> chunks GUARDED_BY(m);
    std::atomic<std::uint64_t> bytes{0};
    std::atomic<bool> waits{false};
  };
  void put(const std::string& key, Timestamp ts);
  [[nodiscard]] std::uint64_t bytes_between(const Lot& lot, Timestamp first, Timestamp last);
  void cut(const Lot& lot, Timestamp first, Timestamp last, std::uint64_t piece, std::deque<Chunk>& out);
  void forget(const std::string& shard);
  void make_family(Lot& lot);
  struct Read {
    std::vector<Record> records;
    bool all = false;  // up to the end
  };
  [[nodiscard]] Read read(const Lot& lot, Timestamp after, bool inclusive, Timestamp up_to, TakeLimits limits);

  const std::string directory_;
  const DiskLimits limits_;
  Signal& on_append_;
  std::vector<Signal*> on_room_;
  std::unique_ptr<rocksdb::DB> db_;
  std::deque<Lot> lots_;
};

}  // namespace mongotwin::journal
