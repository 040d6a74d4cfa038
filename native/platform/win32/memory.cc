// Windows memory: a section of the page file without a name, reserved and not committed, which vanishes with
// its last user. Relatives copy its handle out of the process that started them.
//
// Pages of a section cannot be given back one by one: what is released is zeroed, and used again.
#include <algorithm>
#include <cstring>
#include <iterator>
#include <map>
#include <vector>

#include "platform/win32/park.h"
#include "platform/win32/system.h"

namespace multiproc::platform {

namespace {

/// Windows keeps 8 bytes for each page of a section from its creation on: 32 MiB for this size.
constexpr uint64_t kMostBytes = uint64_t{16} << 30;
constexpr uint64_t kViewUnit = uint64_t{64} << 10;  ///< views begin at multiples of this

struct Rooted {
  MemoryHandle memory;
  void* shared;
  Lot* lot;
};
struct View {
  size_t length;
  Lot* lot;
  uint64_t offset;  ///< in what the core sees
};

/// Shared: looking up; exclusive: a root or a window comes or goes.
SRWLOCK lock = SRWLOCK_INIT;
std::vector<Rooted>& roots() {
  static auto* all = new std::vector<Rooted>;
  return *all;
}
std::map<const char*, View>& views() {
  static auto* all = new std::map<const char*, View>;
  return *all;
}

struct Exclusive {
  Exclusive() { AcquireSRWLockExclusive(&lock); }
  ~Exclusive() { ReleaseSRWLockExclusive(&lock); }
};
struct Shared {
  Shared() { AcquireSRWLockShared(&lock); }
  ~Shared() { ReleaseSRWLockShared(&lock); }
};

/// Under the lock. nullptr: not a root, but shared memory with a name.
Lot* lot_in(MemoryHandle memory) {
  for (const Rooted& root : roots())
    if (root.memory == memory) return root.lot;
  return nullptr;
}

int map_section(MemoryHandle memory, uint64_t offset, size_t length, char** out) {
  void* at = MapViewOfFile(handle_of(memory), FILE_MAP_READ | FILE_MAP_WRITE,
                           static_cast<DWORD>(offset >> 32), static_cast<DWORD>(offset), length);
  if (at == nullptr) return last_error();
  *out = static_cast<char*>(at);
  return 0;
}

int commit(char* at, uint64_t length) {
  if (VirtualAlloc(at, length, MEM_COMMIT, PAGE_READWRITE) != nullptr) return 0;
  const int error = last_error();
  return error == -ENOMEM ? -ENOSPC : error;
}

/// Calls `body(address, length)` with mappings of a range of a root, piece by piece.
template <class F>
int each_part(MemoryHandle memory, uint64_t offset, uint64_t length, F body) {
  constexpr uint64_t kPart = uint64_t{64} << 20;
  for (uint64_t done = 0; done < length;) {
    const uint64_t at = kLotBytes + offset + done, head = at % kViewUnit;
    const uint64_t n = std::min(kPart, length - done);
    char* view = nullptr;
    int error = map_section(memory, at - head, static_cast<size_t>(head + n), &view);
    if (error != 0) return error;
    error = body(view + head, n, done);
    UnmapViewOfFile(view);
    if (error != 0) return error;
    done += n;
  }
  return 0;
}

/// From now on the handle is a root.
int adopt_root(HANDLE section, MemoryHandle* out) {
  char* shared = nullptr;
  const MemoryHandle memory = number_of(section);
  int error = map_section(memory, 0, kLotBytes, &shared);
  if (error == 0) error = commit(shared, kLotBytes);
  if (error != 0) {
    CloseHandle(section);
    return error;
  }
  Exclusive guard;
  roots().push_back({memory, shared, lot_open(shared)});
  *out = memory;
  return 0;
}

}  // namespace

Lot* lot_of(const Word* word, uint64_t* place) {
  const char* at = reinterpret_cast<const char*>(word);
  Shared guard;
  auto after = views().upper_bound(at);
  if (after == views().begin()) return nullptr;
  const auto& [begin, view] = *std::prev(after);
  if (static_cast<size_t>(at - begin) >= view.length) return nullptr;
  *place = view.offset + static_cast<uint64_t>(at - begin);
  return view.lot;
}

int memory_create(uint64_t* bytes, MemoryHandle* out) {
  *bytes = std::min(*bytes, kMostBytes);
  const uint64_t whole = kLotBytes + *bytes;
  HANDLE section = CreateFileMappingW(INVALID_HANDLE_VALUE, nullptr, PAGE_READWRITE | SEC_RESERVE,
                                      static_cast<DWORD>(whole >> 32), static_cast<DWORD>(whole), nullptr);
  return section == nullptr ? last_error() : adopt_root(section, out);
}

int memory_adopt(intptr_t given, uint32_t giver, MemoryHandle* out) {
  HANDLE section = copy_from(giver, 0, given, FILE_MAP_READ | FILE_MAP_WRITE | SECTION_QUERY);
  return section == nullptr ? -ESRCH : adopt_root(section, out);
}

int memory_map(MemoryHandle memory, uint64_t offset, size_t length, void** out) {
  Exclusive guard;
  Lot* lot = lot_in(memory);
  char* at = nullptr;
  if (int error = map_section(memory, offset + (lot == nullptr ? 0 : kLotBytes), length, &at); error != 0)
    return error;
  if (lot != nullptr) views()[at] = {length, lot, offset};
  *out = at;
  return 0;
}

void memory_unmap(void* address, size_t) {
  Exclusive guard;
  views().erase(static_cast<const char*>(address));
  UnmapViewOfFile(address);
}

int memory_reserve(MemoryHandle memory, uint64_t offset, uint64_t length) {
  return each_part(memory, offset, length, [](char* at, uint64_t n, uint64_t) { return commit(at, n); });
}

int memory_write(MemoryHandle memory, uint64_t offset, const void* bytes, uint64_t length) {
  return each_part(memory, offset, length, [&](char* at, uint64_t n, uint64_t done) {
    const int error = commit(at, n);
    if (error == 0) memcpy(at, static_cast<const char*>(bytes) + done, n);
    return error;
  });
}

int memory_release(MemoryHandle memory, uint64_t offset, uint64_t length) {
  return each_part(memory, offset, length, [](char* at, uint64_t n, uint64_t) {
    // What is released was reserved, as a rule, and this costs nothing. Asked, wine would not tell of pages
    // that other processes have committed.
    if (commit(at, n) == 0) {
      memset(at, 0, n);
      return 0;
    }
    for (uint64_t done = 0; done < n;) {
      MEMORY_BASIC_INFORMATION region;
      if (VirtualQuery(at + done, &region, sizeof region) == 0) return last_error();
      const char* end = static_cast<char*>(region.BaseAddress) + region.RegionSize;
      const uint64_t here = std::min(n - done, static_cast<uint64_t>(end - (at + done)));
      if (region.State == MEM_COMMIT) memset(at + done, 0, here);
      done += here;
    }
    return 0;
  });
}

void memory_close(MemoryHandle memory) {
  {
    Exclusive guard;
    auto root = std::find_if(roots().begin(), roots().end(), [&](auto& r) { return r.memory == memory; });
    if (root != roots().end()) {
      lot_close(root->lot);
      UnmapViewOfFile(root->shared);
      roots().erase(root);
    }
  }
  CloseHandle(handle_of(memory));
}

}  // namespace multiproc::platform
