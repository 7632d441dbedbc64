// SPDX-License-Identifier: Apache-2.0
#include "journal/disk_journal.h"

#include <fmt/format.h>
#include <rocksdb/convenience.h>
#include <rocksdb/db.h>
#include <rocksdb/options.h>
#include <rocksdb/table.h>
#include <unistd.h>
#include <xxhash.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <numeric>

#include "base/error.h"
#include "base/log.h"

namespace mongotwin::journal {
namespace {

// Keys: "cluster"; "f<shard>" and "l<shard>" the span of a shard, each with one writer. Entries are in a column family
// "e<shard>" under their big-endian ts: its files follow each other, so that compaction moves them and never rewrites
// them, for which it would hold the entries of many files in memory. Values of entries: 8 bytes of checksum over key and
// BSON, then the BSON.
constexpr const char* kClusterKey = "cluster";
constexpr std::size_t kChecksumBytes = 8;
constexpr std::size_t kKeyBytes = 64;  // about, with what RocksDB adds
constexpr std::uint64_t kChunkBytes = 256u << 10;
constexpr std::uint64_t kChunksOpened = 1000;  // about, of what an earlier run has left: each costs some looks at its files

void append_big_endian(std::string& out, std::uint32_t v) {
  for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>((v >> shift) & 0xff);
}

std::uint32_t big_endian(const char* p) {
  std::uint32_t v = 0;
  for (int n = 0; n < 4; ++n) v = v << 8 | static_cast<unsigned char>(p[n]);
  return v;
}

void append_ts(std::string& out, Timestamp ts) {
  append_big_endian(out, ts.t);
  append_big_endian(out, ts.i);
}

Timestamp ts_at(const char* p) { return {big_endian(p), big_endian(p + 4)}; }

std::uint64_t number_of(Timestamp ts) { return static_cast<std::uint64_t>(ts.t) << 32 | ts.i; }
Timestamp ts_of(std::uint64_t number) { return {static_cast<std::uint32_t>(number >> 32), static_cast<std::uint32_t>(number)}; }

std::uint64_t checksum(std::string_view key, std::string_view bson) { return XXH64(bson.data(), bson.size(), XXH64(key.data(), key.size(), 0)); }

std::string bytes_of(Timestamp ts) {
  std::string out;
  append_ts(out, ts);
  return out;
}

std::optional<DiskJournal::Span> read_span(rocksdb::DB& db, const std::string& shard) {
  std::string first, last;
  if (!db.Get({}, "f" + shard, &first).ok() || !db.Get({}, "l" + shard, &last).ok() || first.size() != 8 || last.size() != 8) return {};
  return DiskJournal::Span{ts_at(first.data()), ts_at(last.data())};
}

[[noreturn]] void fail(const std::string& directory, const rocksdb::Status& status) {
  if (status.IsCorruption())
    throw Error(Remedy::pause, fmt::format("the journal {} is damaged: {}", directory, status.ToString()), "remove the directory and start again: what is missing is read from the source's oplog, as far as that still holds it");
  auto text = status.ToString();
  if (text.find("lock hold by current process") != std::string::npos || text.find("While lock file") != std::string::npos)
    throw Error(Remedy::fix_config, fmt::format("the journal {} is in use", directory), "another mongotwin runs with it; give each link a journal of its own");
  throw Error(Remedy::pause, fmt::format("the journal {}: {}", directory, text), "make room on that disk, or set journal.path to a directory that can be written to");
}

rocksdb::Options options_of(const DiskLimits& limits) {
  rocksdb::Options o;
  o.create_if_missing = true;
  o.write_buffer_size = std::clamp<std::uint64_t>(limits.window_bytes / 4, 1u << 20, 32u << 20);
  o.max_write_buffer_number = 2;
  o.db_write_buffer_size = 2 * o.write_buffer_size;
  o.atomic_flush = true;  // the families stand at the same moment, also after a power cut
  o.max_total_wal_size = 4 * o.write_buffer_size;
  o.target_file_size_base = o.write_buffer_size;
  o.compression = rocksdb::kLZ4Compression;
  o.max_open_files = 128;
  o.keep_log_file_num = 2;
  o.max_log_file_size = 1u << 20;
  o.wal_recovery_mode = rocksdb::WALRecoveryMode::kPointInTimeRecovery;
  // Read once from front to back: a large cache would only take memory.
  rocksdb::BlockBasedTableOptions table;
  table.block_size = 64u << 10;
  // A reader that seeks opens every file of the first level: with few of them, and none of their blocks before its turn.
  table.index_type = rocksdb::BlockBasedTableOptions::kBinarySearchWithFirstKey;
  o.level0_file_num_compaction_trigger = 1;
  table.block_cache = rocksdb::NewLRUCache(4u << 20);
  o.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  return o;
}

struct Opened {
  std::unique_ptr<rocksdb::DB> db;
  std::vector<rocksdb::ColumnFamilyHandle*> families;
};

Opened open_all(const std::string& directory, const DiskLimits& limits) {
  auto options = options_of(limits);
  std::vector<std::string> names;
  if (!rocksdb::DB::ListColumnFamilies(options, directory, &names).ok()) names = {rocksdb::kDefaultColumnFamilyName};  // none yet
  std::vector<rocksdb::ColumnFamilyDescriptor> families;
  for (const auto& name : names) families.emplace_back(name, options);
  Opened out;
  rocksdb::DB* db = nullptr;
  if (auto status = rocksdb::DB::Open(options, directory, families, &out.families, &db); !status.ok()) fail(directory, status);
  out.db.reset(db);
  return out;
}

}  // namespace

DiskJournal::DiskJournal(const std::string& directory, const std::string& cluster, std::vector<std::string> shards, DiskLimits limits, Signal& on_append, std::vector<Signal*> on_room)
    : directory_(directory), limits_(limits), on_append_(on_append), on_room_(std::move(on_room)) {
  std::error_code no_parent;  // RocksDB says what is wrong
  std::filesystem::create_directories(directory, no_parent);
  auto opened = open_all(directory, limits);
  db_ = std::move(opened.db);
  for (auto& name : shards) lots_.emplace_back().name = std::move(name);
  std::string owner;
  bool mine = db_->Get({}, kClusterKey, &owner).ok() && owner == cluster;
  for (auto* family : opened.families) {
    if (family->GetName() == rocksdb::kDefaultColumnFamilyName) {
      db_->DestroyColumnFamilyHandle(family);
      continue;
    }
    auto shard = family->GetName().substr(1);
    auto lot = std::find_if(lots_.begin(), lots_.end(), [&](const auto& l) { return l.name == shard; });
    if (mine && lot != lots_.end()) {
      lot->entries = family;
      continue;
    }
    forget(shard);
    if (auto status = db_->DropColumnFamily(family); !status.ok()) fail(directory, status);
    db_->DestroyColumnFamilyHandle(family);
  }
  if (!mine) {
    if (!owner.empty()) log::info("journal", "{} is of another source: emptying it", directory);
    auto end = std::string(1, '\x7f');
    if (auto status = db_->DeleteRange({}, db_->DefaultColumnFamily(), "", end); !status.ok()) fail(directory, status);
    if (auto status = db_->Put({}, kClusterKey, cluster); !status.ok()) fail(directory, status);
  }
  for (auto& lot : lots_)
    if (!lot.entries) make_family(lot);
}

DiskJournal::~DiskJournal() {
  for (auto& lot : lots_) db_->DestroyColumnFamilyHandle(lot.entries);
}

void DiskJournal::make_family(Lot& lot) {
  if (auto status = db_->CreateColumnFamily(options_of(limits_), "e" + lot.name, &lot.entries); !status.ok()) fail(directory_, status);
}

// Before its entries go: on disk at once, or a power cut could leave a span of which nothing is there.
void DiskJournal::forget(const std::string& shard) {
  rocksdb::WriteBatch batch;
  batch.Delete("f" + shard);
  batch.Delete("l" + shard);
  rocksdb::WriteOptions options;
  options.sync = true;
  if (auto status = db_->Write(options, &batch); !status.ok()) fail(directory_, status);
}

std::optional<Timestamp> DiskJournal::open_shard(ShardIndex shard, Timestamp from) {
  auto& lot = lots_.at(shard);
  Lock lock(lot.m);
  lot.from = from;
  auto span = read_span(*db_, lot.name);
  if (!span || from < span->first || from > span->last) {
    forget(lot.name);
    if (auto status = db_->DropColumnFamily(lot.entries); !status.ok()) fail(directory_, status);
    db_->DestroyColumnFamilyHandle(lot.entries);
    make_family(lot);
    lot.first = lot.read_up_to = lot.appended = from;
    put("f" + lot.name, from);
    return {};
  }
  lot.first = span->first;
  lot.read_up_to = lot.appended = span->last;
  lot.spilled = true;
  auto piece = std::max(bytes_between(lot, span->first, span->last) / kChunksOpened, kChunkBytes);
  cut(lot, span->first, span->last, piece, lot.chunks);
  lot.bytes = std::accumulate(lot.chunks.begin(), lot.chunks.end(), std::uint64_t{0}, [](auto sum, const auto& chunk) { return sum + chunk.bytes; });
  return span->last;
}

std::uint64_t DiskJournal::bytes_between(const Lot& lot, Timestamp first, Timestamp last) {
  auto begin = bytes_of(first), end = bytes_of(last) + '\0';  // the next key
  rocksdb::Range range(begin, end);
  std::uint64_t bytes = 0;
  using Flags = rocksdb::DB::SizeApproximationFlags;
  if (auto status = db_->GetApproximateSizes(lot.entries, &range, 1, &bytes, static_cast<Flags>(Flags::INCLUDE_FILES | Flags::INCLUDE_MEMTABLES)); !status.ok()) fail(directory_, status);
  return bytes;
}

// What an earlier run has left, by halves of time: as one chunk it would be freed when all of it is applied, and no sooner.
void DiskJournal::cut(const Lot& lot, Timestamp first, Timestamp last, std::uint64_t piece, std::deque<Chunk>& out) {
  auto bytes = bytes_between(lot, first, last);
  if (bytes == 0) return;
  if (bytes <= piece || first == last) {
    out.push_back({first, last, bytes});
    return;
  }
  auto from = number_of(first), middle = from + (number_of(last) - from) / 2;
  cut(lot, first, ts_of(middle), piece, out);
  cut(lot, ts_of(middle + 1), last, piece, out);
}

void DiskJournal::put(const std::string& key, Timestamp ts) {
  if (auto status = db_->Put({}, key, bytes_of(ts)); !status.ok()) fail(directory_, status);
}

bool DiskJournal::append(ShardIndex shard, std::vector<Record>& batch, Timestamp read_up_to) {
  auto& lot = lots_.at(shard);
  if (!batch.empty() && lot.bytes >= limits_.disk_bytes / lots_.size()) {
    lot.waits = true;
    return false;
  }
  lot.waits = false;
  {
    Lock lock(lot.m);
    TWIN_INVARIANT(read_up_to >= lot.read_up_to);
    if (batch.empty() && read_up_to == lot.read_up_to) return true;
  }
  std::uint64_t bytes = 0;
  for (const auto& record : batch) bytes += record.entry.size();
  rocksdb::WriteBatch writes(bytes + (batch.size() + 1) * kKeyBytes);
  std::string key, sum(kChecksumBytes, '\0');
  for (const auto& record : batch) {
    key = bytes_of(record.ts);
    std::string_view bson(reinterpret_cast<const char*>(record.entry.view().data()), record.entry.size());
    auto hash = checksum(key, bson);
    std::memcpy(sum.data(), &hash, kChecksumBytes);
    rocksdb::Slice whole(key);
    rocksdb::Slice parts[] = {sum, {bson.data(), bson.size()}};
    if (auto status = writes.Put(lot.entries, rocksdb::SliceParts(&whole, 1), rocksdb::SliceParts(parts, 2)); !status.ok()) fail(directory_, status);
  }
  writes.Put("l" + lot.name, bytes_of(read_up_to));
  if (auto status = db_->Write({}, &writes); !status.ok()) fail(directory_, status);
  lot.bytes += bytes;
  {
    Lock lock(lot.m);
    if (!batch.empty()) {
      if (lot.chunks.empty() || lot.chunks.back().bytes >= kChunkBytes) lot.chunks.push_back({batch.front().ts, {}, 0});
      lot.chunks.back().last = batch.back().ts;
      lot.chunks.back().bytes += bytes;
      lot.appended = batch.back().ts;
    }
    if (!lot.spilled && lot.window.bytes() + bytes > limits_.window_bytes / lots_.size() && !lot.window.empty()) lot.spilled = true;
    if (!lot.spilled) lot.window.push(batch);
    lot.read_up_to = read_up_to;
  }
  batch.clear();
  on_append_.notify();
  return true;
}

std::vector<Record> DiskJournal::take(ShardIndex shard, TakeLimits limits) {
  auto& lot = lots_.at(shard);
  Timestamp after, up_to;
  bool first = false;
  {
    Lock lock(lot.m);
    auto out = lot.window.take(limits);
    if (!out.empty()) {
      lot.taken = out.back().ts;
      return out;
    }
    if (!lot.spilled) return out;
    first = lot.taken.is_null();
    after = first ? lot.from : lot.taken;
    up_to = lot.appended;
  }
  auto [out, all] = read(lot, after, first, up_to, limits);
  Lock lock(lot.m);
  if (!out.empty()) lot.taken = out.back().ts;
  // Nothing is left behind on the disk: from here on the window has it all.
  if (all && lot.appended == up_to) lot.spilled = false;
  return std::move(out);
}

DiskJournal::Read DiskJournal::read(const Lot& lot, Timestamp after, bool inclusive, Timestamp up_to, TakeLimits limits) {
  Read out;
  std::size_t bytes = 0;
  rocksdb::ReadOptions options;
  options.fill_cache = false;
  std::unique_ptr<rocksdb::Iterator> it(db_->NewIterator(options, lot.entries));
  for (it->Seek(bytes_of(after)); it->Valid(); it->Next()) {
    auto ts = ts_at(it->key().data());
    if (ts == after && !inclusive) continue;
    if (ts > up_to) break;
    bytes += it->value().size();
    if (out.records.size() == limits.records || (!out.records.empty() && bytes > limits.bytes)) return out;
    std::string_view key(it->key().data(), it->key().size()), value(it->value().data(), it->value().size());
    std::uint64_t sum = 0;
    if (value.size() > kChecksumBytes) std::memcpy(&sum, value.data(), kChecksumBytes);
    auto bson = value.substr(std::min(value.size(), kChecksumBytes));
    if (value.size() <= kChecksumBytes || sum != checksum(key, bson)) fail(directory_, rocksdb::Status::Corruption(fmt::format("the entry at {} of shard {}", oplog::to_string(ts), lot.name)));
    out.records.push_back({ts, bson::Document::adopt({bson.begin(), bson.end()})});
  }
  if (!it->status().ok()) fail(directory_, it->status());
  out.all = true;
  return out;
}

Timestamp DiskJournal::read_up_to(ShardIndex shard) const {
  auto& lot = lots_.at(shard);
  Lock lock(lot.m);
  return lot.read_up_to;
}

void DiskJournal::trim(ShardIndex shard, Timestamp before) {
  auto& lot = lots_.at(shard);
  std::uint64_t freed = 0;
  bool advances = false;  // not where all that goes is the entry at `first`
  Timestamp first;
  {
    Lock lock(lot.m);
    // The entry at `before` itself stays, and is not counted: a chunk that ends with it must not keep the journal full
    // when nothing more is to be applied.
    while (!lot.chunks.empty() && lot.chunks.front().last <= before) {
      freed += lot.chunks.front().bytes;
      lot.chunks.pop_front();
    }
    if (freed == 0) return;
    advances = before > lot.first;
    if (advances) lot.first = std::min(before, lot.read_up_to);
    first = lot.first;
  }
  if (advances) {
    put("f" + lot.name, first);
    auto begin = bytes_of({}), end = bytes_of(first);
    rocksdb::Slice from(begin), to(end);
    // Whole files go at once; what shares a file with later entries goes with them.
    if (auto status = rocksdb::DeleteFilesInRange(db_.get(), lot.entries, &from, &to, false); !status.ok()) fail(directory_, status);
  }
  lot.bytes -= freed;
  if (lot.waits) on_room_.at(shard)->notify();
}

void DiskJournal::sync() {
  if (auto status = db_->SyncWAL(); !status.ok() && !status.IsNotSupported()) fail(directory_, status);
}

DiskJournal::Size DiskJournal::size() const {
  Size out{0, limits_.disk_bytes, 0, false};
  for (const auto& lot : lots_) {
    Lock lock(lot.m);
    out.bytes += lot.bytes;
    out.full |= lot.waits;
    if (!lot.chunks.empty() && (out.oldest_t == 0 || lot.chunks.front().first.t < out.oldest_t)) out.oldest_t = lot.chunks.front().first.t;
  }
  return out;
}

std::optional<DiskJournal::Span> DiskJournal::span_of(const std::string& directory, const std::string& cluster, const std::string& shard) {
  if (!std::filesystem::exists(directory)) return {};
  rocksdb::DB* opened = nullptr;
  rocksdb::Options o;
  if (!rocksdb::DB::OpenForReadOnly(o, directory, &opened).ok()) return {};
  std::unique_ptr<rocksdb::DB> db(opened);
  std::string owner;
  if (!db->Get({}, kClusterKey, &owner).ok() || owner != cluster) return {};
  return read_span(*db, shard);
}

void DiskJournal::check_place(const std::string& directory) {
  namespace fs = std::filesystem;
  std::error_code ignored;
  auto there = fs::absolute(directory, ignored);
  while (!fs::exists(there, ignored) && there.has_parent_path() && there != there.parent_path()) there = there.parent_path();
  if (!fs::is_directory(there, ignored)) throw Error(Remedy::fix_config, fmt::format("the journal can't be in {}: {} is no directory", directory, there.string()), "set journal.path to a directory that can be written to");
  if (access(there.c_str(), W_OK | X_OK) != 0)
    throw Error(Remedy::fix_config, fmt::format("the journal can't be in {}: no right to write to {}", directory, there.string()), "set journal.path to a directory that can be written to");
}

void DiskJournal::check_free(const std::string& directory) {
  check_place(directory);
  if (!std::filesystem::exists(directory)) return;
  auto opened = open_all(directory, {});
  for (auto* family : opened.families) opened.db->DestroyColumnFamilyHandle(family);
}

void DiskJournal::remove(const std::string& directory) {
  rocksdb::Options o;
  if (auto status = rocksdb::DestroyDB(directory, o); !status.ok()) log::warn("journal", "{} could not be removed: {}", directory, status.ToString());
}

}  // namespace mongotwin::journal
