// Sockets of Linux and macOS: unix streams and TCP, never blocking, never inherited.
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <vector>

#include "platform/internet.h"
#include "platform/platform.h"

namespace multiproc::platform {

namespace {

int path_address(const SocketName& name, Address* out) {
  sockaddr_un* un = reinterpret_cast<sockaddr_un*>(&out->storage);
  un->sun_family = AF_UNIX;
  const bool abstract = name.length > 0 && name.text[0] == 0;
  // A path ends with a zero; an abstract name is all its bytes.
  if (name.length + (abstract ? 0 : 1) > sizeof un->sun_path) return -ENAMETOOLONG;
  memcpy(un->sun_path, name.text, name.length);
  out->length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.length + (abstract ? 0 : 1));
  return 0;
}

#ifndef SOCK_CLOEXEC  // macOS
int set_flags(int fd) {
  int flags = fcntl(fd, F_GETFL);
  if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0) return -errno;
#ifdef SO_NOSIGPIPE
  int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_NOSIGPIPE, &on, sizeof on);
#endif
  return close_on_exec(fd);
}
#endif

/// Small messages are not to wait for others.
void without_delay(int fd, int family) {
  int on = 1;
  if (family != AF_UNIX) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

int open_socket(const SocketName& name, Address* address, int* out) {
  int error = name.port < 0 ? path_address(name, address) : ip_address(name, address);
  if (error != 0) return error;
#ifdef SOCK_CLOEXEC
  int fd = socket(address->storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return -errno;
#else
  int fd = socket(address->storage.ss_family, SOCK_STREAM, 0);
  if (fd < 0) return -errno;
  error = set_flags(fd);
  if (error != 0) {
    close(fd);
    return error;
  }
#endif
  *out = fd;
  return 0;
}

}  // namespace

int socket_listen(const SocketName& name, int backlog, SocketHandle* out) {
  Address address;
  int fd;
  int error = open_socket(name, &address, &fd);
  if (error != 0) return error;
  int on = 1;
  if (name.port >= 0) setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(fd, address.get(), address.length) != 0 || listen(fd, backlog) != 0) {
    error = -errno;
    close(fd);
    return error;
  }
  *out = fd;
  return 0;
}

int socket_connect(const SocketName& name, SocketHandle* out) {
  Address address;
  int fd;
  int error = open_socket(name, &address, &fd);
  if (error != 0) return error;
  without_delay(fd, address.storage.ss_family);
  // Interrupted, it goes on by itself.
  if (connect(fd, address.get(), address.length) != 0 && errno != EINPROGRESS && errno != EINTR) {
    error = -errno;
    close(fd);
    return error;
  }
  *out = fd;
  return 0;
}

int socket_connected(SocketHandle socket) {
  SocketHandle list[] = {socket};
  int ready = socket_wait(list, 1, kSocketWritable, 0);
  if (ready <= 0) return ready;
  int error = 0;
  socklen_t length = sizeof error;
  if (getsockopt(static_cast<int>(socket), SOL_SOCKET, SO_ERROR, &error, &length) != 0) return -errno;
  return error != 0 ? -error : 1;
}

/// The connection ended before it was accepted, which is nobody's error. (Linux tells the reason here.)
static bool gone_before_accepted(int error) {
  return error == ECONNABORTED || error == EPROTO || error == ENOPROTOOPT || error == ENETDOWN ||
         error == ENETUNREACH || error == EHOSTDOWN || error == EHOSTUNREACH || error == ETIMEDOUT;
}

int socket_accept(SocketHandle listener, SocketHandle* out) {
  for (;;) {
    Address peer;
    peer.length = sizeof peer.storage;
#ifdef SOCK_CLOEXEC
    int fd = accept4(static_cast<int>(listener), peer.get(), &peer.length, SOCK_CLOEXEC | SOCK_NONBLOCK);
#else
    int fd = accept(static_cast<int>(listener), peer.get(), &peer.length);
#endif
    if (fd < 0) {
      if (errno == EINTR || gone_before_accepted(errno)) continue;
      return errno == EWOULDBLOCK ? -EAGAIN : -errno;
    }
#ifndef SOCK_CLOEXEC
    if (set_flags(fd) != 0) {
      close(fd);
      continue;
    }
#endif
    without_delay(fd, peer.storage.ss_family);
    *out = fd;
    return 0;
  }
}

int socket_name(SocketHandle socket, bool peer, SocketName* out) {
  Address address;
  address.length = sizeof address.storage;
  int fd = static_cast<int>(socket);
  if ((peer ? getpeername(fd, address.get(), &address.length)
            : getsockname(fd, address.get(), &address.length)) != 0)
    return -errno;
  if (address.storage.ss_family != AF_UNIX) return ip_name(address, out);
  const sockaddr_un* un = reinterpret_cast<const sockaddr_un*>(&address.storage);
  const size_t head = offsetof(sockaddr_un, sun_path);
  out->length = address.length > head ? address.length - head : 0;
  out->port = -1;
  memcpy(out->text, un->sun_path, out->length);
  // The zero after a path is none of it.
  if (out->length > 0 && out->text[0] != 0) out->length = strnlen(out->text, out->length);
  return 0;
}

int64_t socket_read(SocketHandle socket, void* into, size_t length) {
  for (;;) {
    ssize_t n = recv(static_cast<int>(socket), into, length, 0);
    if (n >= 0) return n;
    if (errno == EWOULDBLOCK) return -EAGAIN;
    if (errno != EINTR) return -errno;
  }
}

int64_t socket_write(SocketHandle socket, const void* head, size_t head_length, const void* body,
                     size_t body_length) {
  iovec parts[2] = {{const_cast<void*>(head), head_length}, {const_cast<void*>(body), body_length}};
  msghdr message{};
  message.msg_iov = parts;
  message.msg_iovlen = 2;
#ifdef MSG_NOSIGNAL
  const int flags = MSG_NOSIGNAL;
#else
  const int flags = 0;
#endif
  for (;;) {
    ssize_t n = sendmsg(static_cast<int>(socket), &message, flags);
    if (n >= 0) return n;
    if (errno == EWOULDBLOCK || errno == ENOBUFS) return -EAGAIN;
    if (errno != EINTR) return -errno;
  }
}

int socket_wait(const SocketHandle* sockets, size_t count, int events, int64_t timeout_ns) {
  std::vector<pollfd> list(count);
  for (size_t i = 0; i < count; i++)
    list[i] = {static_cast<int>(sockets[i]),
               static_cast<short>(((events & kSocketReadable) != 0 ? POLLIN : 0) |
                                  ((events & kSocketWritable) != 0 ? POLLOUT : 0)),
               0};
  const int64_t ms = (timeout_ns + 999999) / 1000000;
  int n = poll(list.data(), static_cast<nfds_t>(count), timeout_ns < 0 ? -1 : static_cast<int>(ms));
  if (n < 0) return errno == EINTR ? 0 : -errno;
  return n > 0 ? 1 : 0;
}

int descriptors_wait(const int* descriptors, uint8_t* ready, size_t count, int64_t timeout_ns) {
  std::vector<pollfd> list(count);
  for (size_t i = 0; i < count; i++) list[i] = {descriptors[i], POLLIN, 0};
  const int64_t ms = (timeout_ns + 999999) / 1000000;
  const int n = poll(list.data(), static_cast<nfds_t>(count), timeout_ns < 0 ? -1 : static_cast<int>(ms));
  if (n < 0 && errno != EINTR) return -errno;
  for (size_t i = 0; i < count; i++) {
    const short events = n > 0 ? list[i].revents : 0;
    ready[i] = (events & POLLNVAL) != 0 ? 2 : events != 0 ? 1 : 0;
  }
  return n > 0 ? 1 : 0;
}

int descriptor_duplicate(int descriptor, SocketHandle* out) {
  const int fd = fcntl(descriptor, F_DUPFD_CLOEXEC, 0);
  if (fd < 0) return -errno;
  *out = fd;
  return 0;
}

void socket_close(SocketHandle socket) { close(static_cast<int>(socket)); }

size_t host_addresses(const char* host, SocketName* out, size_t room) {
  return ip_addresses(host, out, room);
}

}  // namespace multiproc::platform
