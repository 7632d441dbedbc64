// SPDX-License-Identifier: Apache-2.0
// Lock rules that clang checks (-Wthread-safety), and a mutex that carries them. Empty under gcc.
#pragma once

#include <condition_variable>
#include <mutex>

#if defined(__clang__)
#define TWIN_TSA(x) __attribute__((x))
#else
#define TWIN_TSA(x)
#endif
#define GUARDED_BY(m) TWIN_TSA(guarded_by(m))
#define REQUIRES(m) TWIN_TSA(requires_capability(m))
#define EXCLUDES(m) TWIN_TSA(locks_excluded(m))

namespace mongotwin {

class TWIN_TSA(capability("mutex")) Mutex {
 public:
  void lock() TWIN_TSA(acquire_capability()) { m_.lock(); }
  void unlock() TWIN_TSA(release_capability()) { m_.unlock(); }
  bool try_lock() TWIN_TSA(try_acquire_capability(true)) { return m_.try_lock(); }

 private:
  std::mutex m_;
};

class TWIN_TSA(scoped_lockable) Lock {
 public:
  explicit Lock(Mutex& m) TWIN_TSA(acquire_capability(m)) : m_(m) { m_.lock(); }
  ~Lock() TWIN_TSA(release_capability()) { m_.unlock(); }
  Lock(const Lock&) = delete;
  Lock& operator=(const Lock&) = delete;

 private:
  Mutex& m_;
};

}  // namespace mongotwin
