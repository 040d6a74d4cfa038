// Windows: a segment is a section of the page file under its name, as CPython's, and is there for as long as
// anybody has it open, whatever becomes of its users. So there is nothing to hold, to remove or to sweep.
#include "platform/named.h"

#include <cstring>

#include "platform/win32/system.h"

namespace multiproc::platform {

namespace {

/// Leading slashes do not count, as elsewhere. Empty: no section can have this name.
WideName name_of(const char* name) {
  while (*name == '/') name++;
  return WideName(name, strlen(name));
}

/// Its bytes, in whole pages: Windows does not tell what was asked for.
uint64_t bytes_of(HANDLE section) {
  void* view = MapViewOfFile(section, FILE_MAP_READ, 0, 0, 0);
  MEMORY_BASIC_INFORMATION region{};
  if (view != nullptr) VirtualQuery(view, &region, sizeof region);
  if (view != nullptr) UnmapViewOfFile(view);
  return region.RegionSize;
}

}  // namespace

int named_create(const char* name, uint64_t bytes, bool tracked, NamedMemory* out) {
  const WideName wide = name_of(name);
  if (wide.empty()) return -EINVAL;
  Handle section(CreateFileMappingW(INVALID_HANDLE_VALUE, nullptr, PAGE_READWRITE,
                                    static_cast<DWORD>(bytes >> 32), static_cast<DWORD>(bytes), wide.text));
  if (section.get() == nullptr) {
    // Anything else than a section has this name.
    if (GetLastError() == ERROR_INVALID_HANDLE) return -EEXIST;
    const int error = last_error();
    return error == -ENOMEM ? -ENOSPC : error;
  }
  if (GetLastError() == ERROR_ALREADY_EXISTS) return -EEXIST;
  const MemoryHandle memory = number_of(section.release());
  *out = NamedMemory{memory, bytes, {1, 0}, tracked, memory};
  return 0;
}

int named_open(const char* name, bool, NamedMemory* out) {
  const WideName wide = name_of(name);
  if (wide.empty()) return -EINVAL;
  Handle section(OpenFileMappingW(FILE_MAP_READ | FILE_MAP_WRITE, FALSE, wide.text));
  if (section.get() == nullptr) return GetLastError() == ERROR_INVALID_HANDLE ? -EINVAL : last_error();
  const uint64_t bytes = bytes_of(section.get());
  if (bytes == 0) return -EINVAL;
  const MemoryHandle memory = number_of(section.release());
  *out = NamedMemory{memory, bytes, {1, 0}, true, memory};
  return 0;
}

NamedEnd named_close(const char*, const NamedMemory& segment) {
  CloseHandle(handle_of(segment.memory));
  return NamedEnd::kStays;
}

void named_release(MemoryHandle hold) { CloseHandle(handle_of(hold)); }

int named_unlink(const char*, const uint64_t*) { return 0; }

size_t named_sweep() { return 0; }

}  // namespace multiproc::platform
