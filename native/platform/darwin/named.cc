// macOS: segments of shm_open, which cannot be locked: what a holder locks is a file of the same name in the
// user's temporary directory, and that there is one marks a tracked segment. Never run: no Mac was at hand.
#include "platform/named.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

namespace multiproc::platform {

namespace {

constexpr const char* kPrefix = "multiproc-shm-";
constexpr int kAttempts = 1000;  ///< of 1 ms each
constexpr int kAgain = 1;

const char* bare(const char* name) {
  while (*name == '/') name++;
  return name;
}
std::string folder() {
  char path[PATH_MAX];
  size_t n = confstr(_CS_DARWIN_USER_TEMP_DIR, path, sizeof path);
  return n == 0 || n > sizeof path ? "/tmp/" : path;
}
std::string marker_of(const char* name) { return folder() + kPrefix + bare(name); }
std::string segment_of(const char* name) { return std::string("/") + bare(name); }

int lock(int fd, int how) {
  while (flock(fd, how | LOCK_NB) != 0)
    if (errno != EINTR) return -errno;
  return 0;
}

bool is_there(const std::string& path, const struct stat& st) {
  struct stat now;
  return lstat(path.c_str(), &now) == 0 && now.st_dev == st.st_dev && now.st_ino == st.st_ino;
}

/// Its users were killed, or the last one goes: the caller has the marker locked for itself.
void remove(const char* name) {
  shm_unlink(segment_of(name).c_str());
  unlink(marker_of(name).c_str());
}

/// Locks the marker. -ENOENT: there is none; kAgain: an orphan, removed now, or somebody is just removing it.
int claim(const char* name, bool hold, int* out, struct stat* st) {
  const std::string path = marker_of(name);
  int fd = open(path.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0) return -errno;
  int state = fstat(fd, st) == 0 ? 0 : -errno;
  if (state == 0 && lock(fd, LOCK_EX) == 0) {
    if (is_there(path, *st)) remove(name);
    state = kAgain;
  } else if (state == 0 && hold) {
    state = lock(fd, LOCK_SH);
    if (state == -EWOULDBLOCK || (state == 0 && !is_there(path, *st))) state = kAgain;
  }
  if (state != 0 || !hold)
    close(fd);
  else
    *out = fd;
  return state;
}

}  // namespace

int named_create(const char* name, uint64_t bytes, bool tracked, NamedMemory* out) {
  if (*bare(name) == 0) return -EINVAL;
  *out = NamedMemory{-1, bytes, {0, 0}, tracked, -1};
  struct stat st;
  int old = -1;
  // An orphan in the way is removed.
  if (claim(name, true, &old, &st) == 0) {
    close(old);
    return -EEXIST;
  }
  int fd = shm_open(segment_of(name).c_str(), O_RDWR | O_CREAT | O_EXCL, 0600);
  if (fd < 0) return -errno;
  int error = 0;
  if (tracked) {
    int marker = open(marker_of(name).c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    error = marker < 0 ? -errno : lock(marker, LOCK_SH);
    if (error == 0 && fstat(marker, &st) != 0) error = -errno;
    out->hold = marker;
    out->identity[0] = static_cast<uint64_t>(st.st_dev);
    out->identity[1] = static_cast<uint64_t>(st.st_ino);
  }
  if (error == 0 && ftruncate(fd, static_cast<off_t>(bytes)) != 0) error = -errno;
  if (error == 0 && fstat(fd, &st) != 0) error = -errno;
  if (error != 0) {
    remove(name);
    close(fd);
    if (out->hold >= 0) close(static_cast<int>(out->hold));
    return error;
  }
  out->memory = fd;
  out->bytes = static_cast<uint64_t>(st.st_size);  // whole pages
  return 0;
}

int named_open(const char* name, bool hold, NamedMemory* out) {
  if (*bare(name) == 0) return -EINVAL;
  for (int attempt = 0; attempt < kAttempts; attempt++) {
    if (attempt > 0) nap(1000000);
    struct stat st;
    int marker = -1;
    int state = claim(name, hold, &marker, &st);
    if (state == kAgain) continue;
    if (state < 0 && state != -ENOENT) return state;
    const bool marked = state == 0;
    *out = NamedMemory{-1, 0, {0, 0}, marker >= 0, marker};
    if (marked) {
      out->identity[0] = static_cast<uint64_t>(st.st_dev);
      out->identity[1] = static_cast<uint64_t>(st.st_ino);
    }
    int fd = shm_open(segment_of(name).c_str(), O_RDWR, 0600);
    int error = fd < 0 || fstat(fd, &st) != 0 ? -errno : 0;
    if (error == 0 && st.st_size > 0) {
      out->memory = fd;
      out->bytes = static_cast<uint64_t>(st.st_size);
      return 0;
    }
    if (fd >= 0) close(fd);
    if (marker >= 0) close(marker);
    if (error != 0) return error;
  }
  return -ENOENT;
}

NamedEnd named_close(const char* name, const NamedMemory& segment) {
  NamedEnd end = NamedEnd::kStays;
  const int marker = static_cast<int>(segment.hold);
  struct stat st;
  if (marker >= 0 && fstat(marker, &st) == 0) {
    if (!is_there(marker_of(name), st)) {
      end = NamedEnd::kGone;
    } else if (segment.tracked && lock(marker, LOCK_EX) == 0) {
      remove(name);
      end = NamedEnd::kRemoved;
    }
  }
  if (marker >= 0) close(marker);
  if (segment.memory >= 0) close(static_cast<int>(segment.memory));
  return end;
}

void named_release(MemoryHandle hold) {
  lock(static_cast<int>(hold), LOCK_UN);
  close(static_cast<int>(hold));
}

int named_unlink(const char* name, const uint64_t identity[2]) {
  struct stat st;
  const bool marked = lstat(marker_of(name).c_str(), &st) == 0;
  const uint64_t now[2] = {marked ? static_cast<uint64_t>(st.st_dev) : 0,
                           marked ? static_cast<uint64_t>(st.st_ino) : 0};
  if (now[0] != identity[0] || now[1] != identity[1]) return -ENOENT;
  int error = shm_unlink(segment_of(name).c_str()) == 0 ? 0 : -errno;
  if (marked) unlink(marker_of(name).c_str());
  return error;
}

size_t named_sweep() {
  DIR* files = opendir(folder().c_str());
  if (files == nullptr) return 0;
  size_t removed = 0;
  while (dirent* entry = readdir(files)) {
    if (strncmp(entry->d_name, kPrefix, strlen(kPrefix)) != 0) continue;
    struct stat st;
    int unused;
    if (claim(entry->d_name + strlen(kPrefix), false, &unused, &st) == kAgain) removed++;
  }
  closedir(files);
  return removed;
}

}  // namespace multiproc::platform
