// macOS memory: a sparse file without a name in the user's own temporary directory (shm_open objects cannot
// be sparse, grow or be punched). It vanishes with its last user. Compiled, never run: no Mac was at hand.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/param.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdlib>
#include <cstring>

#include "platform/platform.h"

namespace multiproc::platform {

int memory_create(uint64_t* bytes, MemoryHandle* out) {
  char path[PATH_MAX];
  size_t n = confstr(_CS_DARWIN_USER_TEMP_DIR, path, sizeof path);
  if (n == 0 || n > sizeof path - 32) strcpy(path, "/tmp/");
  strcat(path, "multiproc-XXXXXX");
  int fd = mkstemp(path);  // 0600, O_EXCL
  if (fd < 0) return -errno;
  unlink(path);
  fcntl(fd, F_SETFD, FD_CLOEXEC);
  constexpr uint64_t kLeast = uint64_t{16} << 30;
  while (ftruncate(fd, static_cast<off_t>(*bytes)) != 0) {
    int error = -errno;
    *bytes /= 2;
    if (*bytes < kLeast) {
      close(fd);
      return error;
    }
  }
  *out = fd;
  return 0;
}

int64_t memory_known(MemoryHandle) { return -ENOTSUP; }  // another process's descriptors cannot be had

int memory_reserve(MemoryHandle memory, uint64_t offset, uint64_t length) {
  // There is no call that reserves the middle of a sparse file: what is free now is all that can be asked.
  struct statfs fs;
  if (fstatfs(static_cast<int>(memory), &fs) != 0) return -errno;
  return static_cast<uint64_t>(fs.f_bavail) * fs.f_bsize < length ? -ENOSPC : 0;
}

int memory_release(MemoryHandle memory, uint64_t offset, uint64_t length) {
  if (length == 0) return 0;
  fpunchhole_t hole = {0, 0, static_cast<off_t>(offset), static_cast<off_t>(length)};
  return fcntl(static_cast<int>(memory), F_PUNCHHOLE, &hole) == 0 ? 0 : -errno;
}

}  // namespace multiproc::platform
