// Descriptors that travel: what Linux and macOS have in common. How a socket is named and who is at its other
// end: local.h and the folders of the two.
#include "platform/descriptors.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "platform/platform.h"
#include "platform/posix/local.h"

namespace multiproc::platform {

namespace {
#ifdef MSG_NOSIGNAL
constexpr int kSendFlags = MSG_NOSIGNAL;
#else
constexpr int kSendFlags = 0;  // SO_NOSIGPIPE, see darwin/local.cc
#endif
#ifdef MSG_CMSG_CLOEXEC
constexpr int kReceiveFlags = MSG_CMSG_CLOEXEC;
#else
constexpr int kReceiveFlags = 0;
#endif
constexpr int kBacklog = 1024;
constexpr size_t kMostWaited = 256;

/// errno of a call with a time limit.
int failure() { return errno == EAGAIN || errno == EWOULDBLOCK ? -ETIMEDOUT : -errno; }

/// `result`, having closed the descriptor if it is an error.
int or_close(int descriptor, int result) {
  if (result < 0) close(descriptor);
  return result < 0 ? result : descriptor;
}

int set_blocking(int descriptor, bool yes) {
  int flags = fcntl(descriptor, F_GETFL);
  if (flags < 0) return -errno;
  return fcntl(descriptor, F_SETFL, yes ? flags & ~O_NONBLOCK : flags | O_NONBLOCK) < 0 ? -errno : 0;
}

int same_user(int connection) {
  uid_t user;
  if (int error = peer_user(connection, &user); error < 0) return error;
  return user == geteuid() || user == 0 ? 0 : -EPERM;
}
}  // namespace

int local_listen(uint64_t name) {
  int fd = make_socket();
  if (fd < 0) return fd;
  if (int error = bind_name(fd, name); error < 0) return or_close(fd, error);
  if (listen(fd, kBacklog) != 0) {
    int error = -errno;
    local_unlisten(name, fd);
    return error;
  }
  return or_close(fd, set_blocking(fd, false));
}

void local_unlisten(uint64_t name, int listener) {
  close(listener);
  unbind_name(name);
}

int local_accept(int listener) {
  int fd = accept_socket(listener);
  if (fd < 0) return fd;
  if (int error = same_user(fd); error < 0) return or_close(fd, error);
  return or_close(fd, set_blocking(fd, false));
}

int local_connect(uint64_t name, int64_t timeout_ns) {
  int fd = make_socket();
  if (fd < 0) return fd;
  timeval limit{};
  limit.tv_sec = static_cast<time_t>(timeout_ns / 1000000000);
  limit.tv_usec = static_cast<suseconds_t>(timeout_ns % 1000000000 / 1000);
  if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) != 0 ||
      setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) != 0)
    return or_close(fd, -errno);
  if (int error = connect_name(fd, name); error < 0)
    return or_close(fd, error == -EAGAIN ? -ETIMEDOUT : error == -ENOENT ? -ECONNREFUSED : error);
  return or_close(fd, same_user(fd));
}

int local_send(int connection, const void* bytes, size_t length, int descriptor) {
  iovec data{const_cast<void*>(bytes), length};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  if (descriptor >= 0) {
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    cmsghdr* head = CMSG_FIRSTHDR(&message);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(head), &descriptor, sizeof(int));
  }
  for (;;) {
    ssize_t sent = sendmsg(connection, &message, kSendFlags);
    if (sent == static_cast<ssize_t>(length)) return 0;
    if (sent >= 0) return -EPROTO;  // so short a message is never split
    if (errno != EINTR) return failure();
  }
}

int local_receive(int connection, void* bytes, size_t length, int* descriptor) {
  *descriptor = -1;
  iovec data{bytes, length};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = CMSG_LEN(sizeof(int));  // no room for a second one
  ssize_t got;
  do got = recvmsg(connection, &message, kReceiveFlags);
  while (got < 0 && errno == EINTR);
  if (got < 0) return failure();
  for (cmsghdr* head = CMSG_FIRSTHDR(&message); head != nullptr; head = CMSG_NXTHDR(&message, head)) {
    if (head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS) continue;
    if (*descriptor >= 0) close(*descriptor);
    if (head->cmsg_len < CMSG_LEN(sizeof(int))) continue;
    memcpy(descriptor, CMSG_DATA(head), sizeof(int));
    if (kReceiveFlags == 0) close_on_exec(*descriptor);
  }
  const bool cut = *descriptor < 0 && (message.msg_flags & MSG_CTRUNC) != 0;
  if (!cut && got == static_cast<ssize_t>(length)) return 0;
  if (*descriptor >= 0) close(*descriptor);
  *descriptor = -1;
  return cut ? -EMFILE : got == 0 ? -ECONNRESET : -EPROTO;
}

int local_wait(const int* descriptors, size_t count, bool* ready, int timeout_ms) {
  pollfd polled[kMostWaited];
  if (count > kMostWaited) return -EINVAL;
  for (size_t i = 0; i < count; i++) polled[i] = {descriptors[i], POLLIN, 0};
  int result = poll(polled, static_cast<nfds_t>(count), timeout_ms);
  for (size_t i = 0; i < count; i++) ready[i] = result > 0 && polled[i].revents != 0;
  return result >= 0 || errno == EINTR ? 0 : -errno;
}

int descriptor_copy(int descriptor) {
  int copy = fcntl(descriptor, F_DUPFD_CLOEXEC, 3);
  return copy < 0 ? -errno : copy;
}

int descriptor_move(int from, int to) {
  int result;
  do result = dup2(from, to);
  while (result < 0 && errno == EINTR);
  int error = result < 0 ? -errno : close_on_exec(to);
  close(from);
  return error;
}

void descriptor_close(int descriptor) { close(descriptor); }

}  // namespace multiproc::platform
