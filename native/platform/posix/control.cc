// Descriptors that relatives pass to each other: what Linux and macOS have in common.
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "platform/platform.h"

namespace multiproc::platform {

#ifdef MSG_CMSG_CLOEXEC
constexpr int kReceiveFlags = MSG_DONTWAIT | MSG_CMSG_CLOEXEC;
#else
constexpr int kReceiveFlags = MSG_DONTWAIT;
#endif
#ifdef MSG_NOSIGNAL
constexpr int kSendFlags = MSG_DONTWAIT | MSG_NOSIGNAL;
#else
constexpr int kSendFlags = MSG_DONTWAIT;
#endif

static int both_close_on_exec(int fds[2]) {
  int error = close_on_exec(fds[0]);
  if (error == 0) error = close_on_exec(fds[1]);
  if (error != 0) {
    close(fds[0]);
    close(fds[1]);
  }
  return error;
}

int control_pair(int out[2]) {
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, out) != 0) return -errno;
  return both_close_on_exec(out);
}

int pipe_pair(int out[2]) {
  if (pipe(out) != 0) return -errno;
  return both_close_on_exec(out);
}

int redirect(int descriptor, int target) {
  const bool nothing = descriptor < 0;
  if (nothing) descriptor = open("/dev/null", O_RDWR | O_CLOEXEC);
  if (descriptor < 0) return -errno;
  int error = 0;
  if (descriptor != target) {
    while (dup2(descriptor, target) < 0 && error == 0)
      if (errno != EINTR && errno != EBUSY) error = -errno;
    if (nothing) close(descriptor);
  } else if (int flags = fcntl(target, F_GETFD); flags >= 0) {
    fcntl(target, F_SETFD, flags & ~FD_CLOEXEC);
  }
  return error;
}

int control_identify(int socket) {
#ifdef SO_PASSCRED
  int yes = 1;
  return setsockopt(socket, SOL_SOCKET, SO_PASSCRED, &yes, sizeof yes) == 0 ? 0 : -errno;
#else
  return 0;
#endif
}

int64_t control_send(int socket, const void* data, size_t length, const int* descriptors, size_t count) {
  if (count > kMaxPassed) return -EINVAL;
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kMaxPassed)] = {};
  iovec part = {const_cast<void*>(data), length};
  msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (count > 0) {
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(sizeof(int) * count);
    cmsghdr* head = CMSG_FIRSTHDR(&message);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(sizeof(int) * count);
    memcpy(CMSG_DATA(head), descriptors, sizeof(int) * count);
  }
  for (;;) {
    ssize_t n = sendmsg(socket, &message, kSendFlags);
    if (n >= 0) return n;
    if (errno != EINTR) return errno == EWOULDBLOCK ? -EAGAIN : -errno;
  }
}

int control_receive(int socket, void* data, size_t length, Received* out) {
  *out = {};
#ifdef SCM_CREDENTIALS
  constexpr size_t kIdentity = CMSG_SPACE(sizeof(ucred));
#else
  constexpr size_t kIdentity = 0;
#endif
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kMaxPassed) + kIdentity];
  iovec part = {data, length};
  msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  ssize_t n;
  while ((n = recvmsg(socket, &message, kReceiveFlags)) < 0)
    if (errno != EINTR) return errno == EWOULDBLOCK ? -EAGAIN : -errno;
  out->bytes = static_cast<size_t>(n);
  for (cmsghdr* head = CMSG_FIRSTHDR(&message); head != nullptr; head = CMSG_NXTHDR(&message, head)) {
    if (head->cmsg_level != SOL_SOCKET) continue;
    if (head->cmsg_type == SCM_RIGHTS) {
      size_t count = (head->cmsg_len - CMSG_LEN(0)) / sizeof(int);
      for (size_t i = 0; i < count; i++) {
        int fd;
        memcpy(&fd, CMSG_DATA(head) + i * sizeof(int), sizeof fd);
        if (out->passed == kMaxPassed) {
          close(fd);
          continue;
        }
        close_on_exec(fd);
        out->descriptors[out->passed++] = fd;
      }
    }
#ifdef SCM_CREDENTIALS
    if (head->cmsg_type == SCM_CREDENTIALS) {
      ucred sender;
      memcpy(&sender, CMSG_DATA(head), sizeof sender);
      out->pid = static_cast<uint32_t>(sender.pid);
      out->user = sender.uid;
    }
#endif
  }
  return 0;
}

int control_wait(int socket, bool writable, int64_t timeout_ns) {
  pollfd p = {socket, static_cast<short>(writable ? POLLIN | POLLOUT : POLLIN), 0};
  int n = poll(&p, 1, timeout_ns < 0 ? -1 : static_cast<int>((timeout_ns + 999999) / 1000000));
  if (n < 0) return errno == EINTR ? 0 : -errno;
  return n;
}

}  // namespace multiproc::platform
