// SPDX-License-Identifier: Apache-2.0
// The yardstick: a plain libmongoc program that writes the benchmark's documents and operations as fast as it can,
// from memory, by unordered bulks of 1,000 with write concern majority. It shares no code with mongotwin.
//   bench_tool load URI DB.COLL DOCUMENTS THREADS         inserts documents 0 … DOCUMENTS-1
//   bench_tool ops  URI DB.COLL DOCUMENTS OPERATIONS THREADS   the fixed mix on a collection made by load
// Prints one JSON line {"count": …, "seconds": …}. Making the documents is not part of the time.
#include <fmt/format.h>
#include <mongoc/mongoc.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

namespace {

constexpr std::size_t kBulk = 1000;

std::uint64_t mix(std::uint64_t x) {  // splitmix64: the same sequence everywhere
  x += 0x9e3779b97f4a7c15ULL;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
  return x ^ (x >> 31);
}

std::string words(std::uint64_t seed, std::size_t length) {
  std::string out;
  while (out.size() < length) {
    seed = mix(seed);
    for (int n = 0; n < 8; ++n) out += static_cast<char>('a' + (seed >> (8 * n)) % 26);
    out += ' ';
  }
  out.resize(length);
  return out;
}

// About 560 bytes: an order with a customer, two lines and a note.
bson_t* document(std::int64_t id) {
  auto r = mix(static_cast<std::uint64_t>(id));
  bson_t* d = bson_new();
  BSON_APPEND_INT64(d, "_id", id);
  BSON_APPEND_INT64(d, "customer", static_cast<std::int64_t>(r % 100000));
  BSON_APPEND_UTF8(d, "state", r % 3 ? "sent" : "open");
  BSON_APPEND_DATE_TIME(d, "placed", static_cast<std::int64_t>(1700000000000 + r % 100000000));
  BSON_APPEND_DOUBLE(d, "total", static_cast<double>(r % 100000) / 100);
  bson_t address, lines, line;
  BSON_APPEND_DOCUMENT_BEGIN(d, "address", &address);
  BSON_APPEND_UTF8(&address, "street", words(r, 24).c_str());
  BSON_APPEND_UTF8(&address, "city", words(r + 1, 12).c_str());
  bson_append_document_end(d, &address);
  BSON_APPEND_ARRAY_BEGIN(d, "lines", &lines);
  for (const char* key : {"0", "1"}) {
    BSON_APPEND_DOCUMENT_BEGIN(&lines, key, &line);
    BSON_APPEND_INT32(&line, "sku", static_cast<std::int32_t>(r % 5000));
    BSON_APPEND_INT32(&line, "count", static_cast<std::int32_t>(r % 7));
    BSON_APPEND_DOUBLE(&line, "price", static_cast<double>(r % 1000) / 10);
    bson_append_document_end(&lines, &line);
  }
  bson_append_array_end(d, &lines);
  BSON_APPEND_UTF8(d, "note", words(r + 2, 190).c_str());
  BSON_APPEND_INT32(d, "version", 1);
  return d;
}

struct Operation {
  enum Kind { insert, update, replace, remove } kind;
  std::int64_t id;
  bson_t* body;
};

// 40 % inserts, 40 % updates of three kinds, 20 % deletes; `n` decides everything. Deletes take each document once,
// from the upper half; updates take the lower half.
Operation operation(std::int64_t n, std::int64_t documents) {
  auto r = mix(static_cast<std::uint64_t>(n) * 7919);
  auto half = documents / 2;
  switch (n % 10) {
    case 0: case 1: case 2: case 3: return {Operation::insert, documents + n, document(documents + n)};
    case 4: case 5: return {Operation::remove, half + (n / 10) * 2 + n % 2, nullptr};
    case 6: case 7: {
      bson_t* u = BCON_NEW("$set", "{", "state", BCON_UTF8("paid"), "total", BCON_DOUBLE(static_cast<double>(r % 1000)), "}", "$inc", "{", "version", BCON_INT32(1), "}");
      return {Operation::update, static_cast<std::int64_t>(r % static_cast<std::uint64_t>(half)), u};
    }
    case 8: {
      bson_t* u = BCON_NEW("$push", "{", "lines", "{", "sku", BCON_INT32(static_cast<std::int32_t>(r % 5000)), "count", BCON_INT32(1), "}", "}", "$set", "{", "address.zip", BCON_INT32(static_cast<std::int32_t>(r % 99999)), "}");
      return {Operation::update, static_cast<std::int64_t>(r % static_cast<std::uint64_t>(half)), u};
    }
    default: {
      auto id = static_cast<std::int64_t>(r % static_cast<std::uint64_t>(half));
      bson_t* d = document(id);
      BSON_APPEND_INT64(d, "revised", n);
      return {Operation::replace, id, d};
    }
  }
}

void add(mongoc_bulk_operation_t* bulk, const Operation& op) {
  if (op.kind == Operation::insert) {
    mongoc_bulk_operation_insert(bulk, op.body);
    return;
  }
  bson_t* query = BCON_NEW("_id", BCON_INT64(op.id));
  if (op.kind == Operation::update) mongoc_bulk_operation_update_one(bulk, query, op.body, false);
  else if (op.kind == Operation::replace) mongoc_bulk_operation_replace_one(bulk, query, op.body, false);
  else mongoc_bulk_operation_remove_one(bulk, query);
  bson_destroy(query);
}

std::vector<Operation> prepare(const std::string& mode, std::int64_t documents, std::int64_t count, std::int64_t thread, std::int64_t threads) {
  std::vector<Operation> out;
  for (std::int64_t n = 0; n < count; ++n) {
    if (mode == "load") {
      if (n % threads == thread) out.push_back({Operation::insert, n, document(n)});
      continue;
    }
    // A document's operations stay in one thread, so that the outcome does not depend on the threads' race.
    auto op = operation(n, documents);
    if (static_cast<std::int64_t>(mix(static_cast<std::uint64_t>(op.id)) % static_cast<std::uint64_t>(threads)) == thread) out.push_back(op);
    else if (op.body) bson_destroy(op.body);
  }
  return out;
}

void write(mongoc_client_pool_t* pool, const std::string& database, const std::string& collection, const std::vector<Operation>& operations) {
  mongoc_client_t* client = mongoc_client_pool_pop(pool);
  mongoc_collection_t* c = mongoc_client_get_collection(client, database.c_str(), collection.c_str());
  bson_t* opts = BCON_NEW("ordered", BCON_BOOL(false), "writeConcern", "{", "w", "majority", "}");
  for (std::size_t n = 0; n < operations.size();) {
    mongoc_bulk_operation_t* bulk = mongoc_collection_create_bulk_operation_with_opts(c, opts);
    // By kind: libmongoc makes a command of every run of one kind, and a bulk that changes kind with each operation
    // would measure round trips.
    auto end = std::min(operations.size(), n + kBulk);
    for (auto kind : {Operation::remove, Operation::update, Operation::replace, Operation::insert})
      for (auto k = n; k < end; ++k)
        if (operations[k].kind == kind) add(bulk, operations[k]);
    n = end;
    bson_error_t error;
    bson_t reply;
    if (!mongoc_bulk_operation_execute(bulk, &reply, &error)) {
      fmt::print(stderr, "bench_tool: {}\n", error.message);
      std::exit(1);
    }
    bson_destroy(&reply);
    mongoc_bulk_operation_destroy(bulk);
  }
  bson_destroy(opts);
  mongoc_collection_destroy(c);
  mongoc_client_pool_push(pool, client);
}

}  // namespace

int main(int argc, char** argv) {
  std::string mode = argc > 1 ? argv[1] : "";
  if ((mode != "load" || argc != 6) && (mode != "ops" || argc != 7)) {
    fmt::print(stderr, "usage: bench_tool load URI DB.COLL DOCUMENTS THREADS | ops URI DB.COLL DOCUMENTS OPERATIONS THREADS\n");
    return 2;
  }
  mongoc_init();
  std::string ns = argv[3];
  auto documents = std::atoll(argv[4]);
  auto count = mode == "load" ? documents : std::atoll(argv[5]);
  auto threads = std::atoll(argv[argc - 1]);
  mongoc_uri_t* uri = mongoc_uri_new(argv[2]);
  mongoc_client_pool_t* pool = mongoc_client_pool_new(uri);
  std::vector<std::vector<Operation>> shares;
  for (std::int64_t t = 0; t < threads; ++t) shares.push_back(prepare(mode, documents, count, t, threads));
  auto begin = std::chrono::steady_clock::now();
  std::vector<std::thread> running;
  auto dot = ns.find('.');
  for (const auto& share : shares) running.emplace_back([&] { write(pool, ns.substr(0, dot), ns.substr(dot + 1), share); });
  for (auto& thread : running) thread.join();
  auto seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  fmt::print("{{\"count\": {}, \"seconds\": {:.3f}}}\n", count, seconds);
  mongoc_client_pool_destroy(pool);
  mongoc_uri_destroy(uri);
  mongoc_cleanup();
}
