// SPDX-License-Identifier: Apache-2.0
#include "journal/spill.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

#include "base/log.h"

namespace mongotwin::journal {
namespace {

// Each one in the file takes a mapping, of which a process has some ten thousand.
constexpr std::uint32_t kSpilledLeast = 256u << 10;

std::uint64_t pages(std::uint64_t bytes) {
  static const auto page = static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
  return (bytes + page - 1) / page * page;
}

}  // namespace

class Spill::File {
 public:
  static std::shared_ptr<File> open(const std::string& directory) {
    std::error_code failed;
    std::filesystem::create_directories(directory, failed);
    int fd = ::open(directory.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0) {  // not every file system has files without a name
      auto name = directory + "/spill.XXXXXX";
      fd = ::mkostemp(name.data(), O_CLOEXEC);
      if (fd >= 0) ::unlink(name.c_str());
    }
    return fd < 0 ? nullptr : std::make_shared<File>(fd);
  }

  explicit File(int fd) : fd_(fd) {}
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  ~File() { ::close(fd_); }

  // One mapping of it; gives its part of the file back.
  struct Part {
    std::shared_ptr<File> file;
    void* address;
    std::uint64_t offset, bytes;
    Part(std::shared_ptr<File> in, void* at, std::uint64_t from, std::uint64_t size) : file(std::move(in)), address(at), offset(from), bytes(size) {}
    Part(const Part&) = delete;
    Part& operator=(const Part&) = delete;
    ~Part() {
      ::munmap(address, bytes);
      if (::fallocate(file->fd_, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(offset), static_cast<off_t>(bytes)) != 0)
        log::debug("merge", "room in the file of open transactions could not be given back: {}", std::strerror(errno));
      file->used_ -= bytes;
    }
  };

  // Null if there is no room; errno says why.
  static std::shared_ptr<Part> write(const std::shared_ptr<File>& file, bson::View document) {
    auto bytes = pages(document.size());
    auto offset = file->end_;
    const auto* from = document.data();
    for (std::uint64_t done = 0; done < document.size();) {
      auto n = ::pwrite(file->fd_, from + done, document.size() - done, static_cast<off_t>(offset + done));
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) return nullptr;
      done += static_cast<std::uint64_t>(n);
    }
    if (::ftruncate(file->fd_, static_cast<off_t>(offset + bytes)) != 0) return nullptr;
    void* address = ::mmap(nullptr, bytes, PROT_READ, MAP_SHARED, file->fd_, static_cast<off_t>(offset));
    if (address == MAP_FAILED) return nullptr;
    // Only what is looked at, not its neighbours: looking at a part's head must not bring in the part.
    ::madvise(address, bytes, MADV_RANDOM);
    file->end_ += bytes;
    file->used_ += bytes;
    return std::make_shared<Part>(file, address, offset, bytes);
  }
  [[nodiscard]] std::uint64_t used() const { return used_; }

 private:
  const int fd_;
  std::uint64_t end_ = 0;  // under the Spill's lock
  std::atomic<std::uint64_t> used_{0};
};

Spill::Spill(std::string directory, std::uint64_t memory_bytes) : directory_(std::move(directory)), memory_bytes_(memory_bytes) {}

std::uint64_t Spill::bytes_on_disk() const {
  Lock lock(m_);
  return file_ ? file_->used() : 0;
}

bson::Document Spill::in_memory(bson::View document) {
  struct Counted {
    bson::Document document;
    std::shared_ptr<std::atomic<std::uint64_t>> count;
    ~Counted() { *count -= document.size(); }
  };
  auto copy = bson::Document::copy_of(document);
  *in_memory_ += copy.size();
  auto owner = std::shared_ptr<Counted>(new Counted{std::move(copy), in_memory_});
  return {owner, owner->document.view()};
}

bson::Document Spill::keep(bson::View document) {
  if (document.size() < kSpilledLeast || *in_memory_ + document.size() <= memory_bytes_) return in_memory(document);
  Lock lock(m_);
  // Begun anew when it is empty: its offsets never come back.
  if (!file_ || file_->used() == 0) file_ = File::open(directory_);
  if (file_) {
    if (auto part = File::write(file_, document)) return {part, bson::View(static_cast<const std::uint8_t*>(part->address), document.size())};
  }
  if (!std::exchange(warned_, true))
    log::warn("merge", "{}: no room to set open transactions aside ({}); they stay in memory, beyond memory_limit", directory_, std::strerror(errno));
  return in_memory(document);
}

}  // namespace mongotwin::journal
