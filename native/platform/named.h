// Shared memory by name: what shm_open makes, that outlives processes, with the names and bytes of CPython's.
//
//   holder      a descriptor with a shared flock on the segment itself: the kernel drops it at death
//   last one    gets an exclusive flock: removes the name                                 named_close()
//   orphan      a tracked segment that nobody holds: its users were killed               named_open(), sweep
//   tracked     the segment's sticky bit; what others made does not have it, and is never removed
//
// As in platform.h: functions that can fail return a negated errno, and nothing throws.
#pragma once
#include <cstddef>
#include <cstdint>

#include "platform/platform.h"

namespace multiproc::platform {

struct NamedMemory {
  MemoryHandle memory;
  uint64_t bytes;
  uint64_t identity[2];  ///< tells it from a later one of the same name
  bool tracked;
};

/// A new segment of zeros whose bytes are reserved, held through `memory`. It appears under its name when it
/// is whole. -EEXIST; -ENOSPC; -EFBIG: more than this process may write (ulimit -f); -EINVAL: no such name
/// can be.
int named_create(const char* name, uint64_t bytes, bool tracked, NamedMemory* out);
/// `hold`: nobody removes it before named_close(). -ENOENT.
int named_open(const char* name, bool hold, NamedMemory* out);
enum class NamedEnd { kStays, kRemoved, kGone };
/// Ends the hold; the last one removes a tracked segment. kGone: somebody had removed it before.
NamedEnd named_close(const char* name, const NamedMemory& segment);
/// Ends what a descriptor holds, wherever copies of it are, and closes it.
void named_release(MemoryHandle memory);
/// -ENOENT also if another segment has the name by now.
int named_unlink(const char* name, const uint64_t identity[2]);
/// Removes this user's orphans. Returns how many there were.
size_t named_sweep();

}  // namespace multiproc::platform
