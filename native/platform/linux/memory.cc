// Linux memory: one sparse memfd, sealed against a change of size; it vanishes with its last user, whatever
// kills it.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <climits>

#include "platform/platform.h"

#ifndef MFD_CLOEXEC
#define MFD_CLOEXEC 1u
#endif
#ifndef MFD_ALLOW_SEALING
#define MFD_ALLOW_SEALING 2u
#endif
#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 8u
#endif
#ifndef F_ADD_SEALS
#define F_ADD_SEALS 1033
#define F_GET_SEALS 1034
#define F_SEAL_SHRINK 2
#define F_SEAL_GROW 4
#endif

namespace multiproc::platform {

static int memfd(unsigned flags) { return static_cast<int>(syscall(SYS_memfd_create, "multiproc", flags)); }

int memory_create(uint64_t* bytes, MemoryHandle* out) {
  // Probed by calling: kernels before 6.3 refuse MFD_NOEXEC_SEAL, and a seccomp filter may answer anything.
  int fd = memfd(MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);
  if (fd < 0) fd = memfd(MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (fd < 0) return -errno;
  // A file-size limit would end the process by SIGXFSZ: stay below it.
  rlimit limit;
  if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY && limit.rlim_cur < *bytes)
    *bytes = limit.rlim_cur & ~uint64_t{0xffff};
  int error = 0;
  if (ftruncate(fd, static_cast<off_t>(*bytes)) != 0) error = -errno;
  if (error == 0 && fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) != 0) error = -errno;
  if (error != 0) {
    close(fd);
    return error;
  }
  *out = fd;
  return 0;
}

static int allocate(MemoryHandle memory, int mode, uint64_t offset, uint64_t length) {
  for (;;) {
    if (fallocate(static_cast<int>(memory), mode, static_cast<off_t>(offset), static_cast<off_t>(length)) ==
        0)
      return 0;
    if (errno != EINTR) return -errno;
  }
}

int64_t memory_known(MemoryHandle memory) {
  // Only memory can be sealed: no pipe, device or file of a network can hang who reads it.
  const int seals = fcntl(static_cast<int>(memory), F_GET_SEALS);
  if (seals < 0) return -errno;
  if ((seals & (F_SEAL_SHRINK | F_SEAL_GROW)) != (F_SEAL_SHRINK | F_SEAL_GROW)) return -EINVAL;
  struct stat st;
  return fstat(static_cast<int>(memory), &st) == 0 ? static_cast<int64_t>(st.st_size) : -errno;
}

int memory_reserve(MemoryHandle memory, uint64_t offset, uint64_t length) {
  // The whole range fails or none of it (the kernel undoes what it had got), so a retry after EINTR starts
  // afresh; in steps, so that a process that is sent signals all the time still gets through.
  constexpr uint64_t kStep = uint64_t{64} << 20;
  for (uint64_t done = 0; done < length; done += kStep) {
    uint64_t n = length - done < kStep ? length - done : kStep;
    int error = allocate(memory, 0, offset + done, n);
    if (error != 0) {
      memory_release(memory, offset, done);
      return error;
    }
  }
  return 0;
}

int memory_release(MemoryHandle memory, uint64_t offset, uint64_t length) {
  if (length == 0) return 0;
  return allocate(memory, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, length);
}

}  // namespace multiproc::platform
