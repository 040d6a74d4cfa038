// Linux: segments are files of the tmpfs /dev/shm, as the C library's shm_open has them.
#include "platform/named.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string>

namespace multiproc::platform {

namespace {

constexpr const char* kFolder = "/dev/shm";
constexpr int kAttempts = 1000;  ///< of 1 ms each

/// As the C library: leading slashes do not count. Empty: no file can have this name.
std::string path_of(const char* name) {
  while (*name == '/') name++;
  if (*name == 0 || strchr(name, '/') != nullptr || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
    return "";
  return std::string(kFolder) + "/" + name;
}

/// 0: it is locked; -EWOULDBLOCK: somebody else's lock is in the way.
int lock(int fd, int how) {
  while (flock(fd, how | LOCK_NB) != 0)
    if (errno != EINTR) return -errno;
  return 0;
}

bool same(const struct stat& a, uint64_t device, uint64_t inode) {
  return static_cast<uint64_t>(a.st_dev) == device && static_cast<uint64_t>(a.st_ino) == inode;
}

int unlink_same(const std::string& path, uint64_t device, uint64_t inode) {
  struct stat now;
  if (lstat(path.c_str(), &now) != 0) return -errno;
  if (!same(now, device, inode)) return -ENOENT;
  return unlink(path.c_str()) == 0 ? 0 : -errno;
}

bool is_tracked(const struct stat& st) { return (st.st_mode & S_ISVTX) != 0 && st.st_uid == geteuid(); }

void describe(int fd, const struct stat& st, NamedMemory* out) {
  *out = NamedMemory{fd,
                     static_cast<uint64_t>(st.st_size),
                     {static_cast<uint64_t>(st.st_dev), static_cast<uint64_t>(st.st_ino)},
                     is_tracked(st)};
}

/// Gives the segment its size and room.
int fill(int fd, uint64_t bytes) {
  // Above these limits the system would end the process, or use up the memory before it says that it has
  // none.
  rlimit limit;
  if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY && bytes > limit.rlim_cur)
    return -EFBIG;
  struct statvfs fs;
  if (fstatvfs(fd, &fs) != 0) return -errno;
  if (fs.f_blocks != 0 && bytes / fs.f_frsize >= fs.f_bavail && bytes > fs.f_bavail * fs.f_frsize)
    return -ENOSPC;
  if (ftruncate(fd, static_cast<off_t>(bytes)) != 0) return -errno;
  return memory_reserve(fd, 0, bytes);
}

constexpr int kAgain = 1;

/// Looks at an open segment, and holds it if it is a tracked one. kAgain: it is about to appear, or to go.
int claim(int fd, const std::string& path, bool hold, struct stat* st) {
  if (fstat(fd, st) != 0) return -errno;
  if (!S_ISREG(st->st_mode)) return -EINVAL;
  if (st->st_nlink == 0) return kAgain;
  if (st->st_size == 0) return kAgain;  // CPython names a segment before it gives it a size
  if (!is_tracked(*st)) return 0;
  int error = lock(fd, LOCK_EX);
  if (error == 0) {  // nobody holds it: its users were killed
    error = unlink_same(path, st->st_dev, st->st_ino);
    return error == 0 || error == -ENOENT ? kAgain : error;
  }
  if (error != -EWOULDBLOCK) return error;
  if (!hold) return 0;
  error = lock(fd, LOCK_SH);
  if (error != 0) return error == -EWOULDBLOCK ? kAgain : error;  // it is being removed just now
  if (fstat(fd, st) != 0) return -errno;
  return st->st_nlink == 0 ? kAgain : 0;
}

}  // namespace

int named_create(const char* name, uint64_t bytes, bool tracked, NamedMemory* out) {
  const std::string path = path_of(name);
  if (path.empty()) return -EINVAL;
  struct stat st;
  if (lstat(path.c_str(), &st) == 0) {
    // In the way, unless it is an orphan.
    NamedMemory other;
    int error = named_open(name, true, &other);
    if (error == 0) named_close(name, other);
    if (error != -ENOENT) return -EEXIST;
  }
  // Without a name until it is whole: nobody sees half of it, and nothing is left if we are killed.
  int fd = open(kFolder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (fd < 0) return -errno;
  int error = fill(fd, bytes);
  if (error == 0 && tracked && fchmod(fd, 0600 | S_ISVTX) != 0) error = -errno;
  if (error == 0) error = lock(fd, LOCK_SH);
  char self[64];
  snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
  if (error == 0 && linkat(AT_FDCWD, self, AT_FDCWD, path.c_str(), AT_SYMLINK_FOLLOW) != 0) error = -errno;
  if (error == 0 && fstat(fd, &st) != 0) error = -errno;
  if (error != 0) {
    close(fd);
    return error;
  }
  describe(fd, st, out);
  return 0;
}

int named_open(const char* name, bool hold, NamedMemory* out) {
  const std::string path = path_of(name);
  if (path.empty()) return -EINVAL;
  for (int attempt = 0; attempt < kAttempts; attempt++) {
    if (attempt > 0) nap(1000000);
    int fd = open(path.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) return -errno;
    struct stat st;
    int state = claim(fd, path, hold, &st);
    if (state == 0) {
      describe(fd, st, out);
      return 0;
    }
    close(fd);
    if (state < 0) return state;
  }
  return -ENOENT;
}

NamedEnd named_close(const char* name, const NamedMemory& segment) {
  const int fd = static_cast<int>(segment.memory);
  struct stat st;
  NamedEnd end = NamedEnd::kStays;
  if (fstat(fd, &st) == 0 && st.st_nlink == 0) {
    end = NamedEnd::kGone;
  } else if (segment.tracked && lock(fd, LOCK_EX) == 0 &&
             unlink_same(path_of(name), segment.identity[0], segment.identity[1]) == 0) {
    end = NamedEnd::kRemoved;
  }
  close(fd);
  return end;
}

void named_release(MemoryHandle memory) {
  lock(static_cast<int>(memory), LOCK_UN);
  close(static_cast<int>(memory));
}

int named_unlink(const char* name, const uint64_t identity[2]) {
  const std::string path = path_of(name);
  return path.empty() ? -EINVAL : unlink_same(path, identity[0], identity[1]);
}

size_t named_sweep() {
  DIR* folder = opendir(kFolder);
  if (folder == nullptr) return 0;
  size_t removed = 0;
  while (dirent* entry = readdir(folder)) {
    struct stat st;
    if (fstatat(dirfd(folder), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(st.st_mode) ||
        !is_tracked(st))
      continue;
    int fd = openat(dirfd(folder), entry->d_name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) continue;
    if (fstat(fd, &st) == 0 && lock(fd, LOCK_EX) == 0 &&
        unlink_same(path_of(entry->d_name), st.st_dev, st.st_ino) == 0)
      removed++;
    close(fd);
  }
  closedir(folder);
  return removed;
}

}  // namespace multiproc::platform
