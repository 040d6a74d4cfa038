// Windows: streams of bytes to other programs, over TCP or named pipes (pipe.cc), and what waits for
// descriptors of all kinds.
#include <algorithm>
#include <cstring>
#include <map>
#include <mutex>
#include <vector>

#include "platform/internet.h"
#include "platform/win32/stream.h"

namespace multiproc::platform {

namespace {

/// All that are open, by the numbers of their events `readable`.
std::mutex mutex;
std::map<int, std::unique_ptr<Stream>>& streams() {
  static auto* all = new std::map<int, std::unique_ptr<Stream>>;
  return *all;
}

/// nullptr: the handle of something else, a process or a doorbell. A stream is closed by who uses it only.
Stream* stream_of(intptr_t number) {
  std::lock_guard<std::mutex> guard(mutex);
  auto found = streams().find(static_cast<int>(number));
  return found == streams().end() ? nullptr : found->second.get();
}

SocketHandle keep(std::unique_ptr<Stream> stream) {
  const int number = number_of(stream->readable());
  std::lock_guard<std::mutex> guard(mutex);
  streams()[number] = std::move(stream);
  return number;
}

// ---- TCP
// --------------------------------------------------------------------------------------------------------

int socket_error() { return system_error(static_cast<DWORD>(WSAGetLastError())); }

int tcp_socket(const SocketName& name, Address* address, SOCKET* out) {
  static const int started = [] {
    WSADATA data;
    return WSAStartup(MAKEWORD(2, 2), &data);
  }();
  if (started != 0) return system_error(static_cast<DWORD>(started));
  const int error = ip_address(name, address);
  if (error != 0) return error;
  *out = WSASocketW(address->storage.ss_family, SOCK_STREAM, IPPROTO_TCP, nullptr, 0,
                    WSA_FLAG_OVERLAPPED | WSA_FLAG_NO_HANDLE_INHERIT);
  return *out == INVALID_SOCKET ? socket_error() : 0;
}

void set(SOCKET socket, int level, int option) {
  const DWORD on = 1;
  setsockopt(socket, level, option, reinterpret_cast<const char*>(&on), sizeof on);
}

int tcp_name(SOCKET socket, bool peer, SocketName* out) {
  Address address;
  address.length = sizeof address.storage;
  if ((peer ? getpeername(socket, address.get(), &address.length)
            : getsockname(socket, address.get(), &address.length)) != 0)
    return socket_error();
  return ip_name(address, out);
}

class Tcp : public Connection {
 public:
  /// `connecting`: it tells by `writable` when that is done.
  Tcp(SOCKET socket, bool connecting)
      : Connection(reinterpret_cast<HANDLE>(socket)), socket_(socket), connecting_(connecting) {
    set(socket, IPPROTO_TCP, TCP_NODELAY);
    if (connecting) {
      ResetEvent(writable_);
      WSAEventSelect(socket, writable_, FD_CONNECT);
    } else {
      start_reading();
    }
  }
  ~Tcp() override {
    cancel();
    closesocket(socket_);
  }

  int connected() override;
  int name(bool peer, SocketName* out) override { return tcp_name(socket_, peer, out); }

 protected:
  DWORD begin_read(char* into, DWORD room) override {
    WSABUF buffer{room, into};
    DWORD flags = 0;
    return begun(WSARecv(socket_, &buffer, 1, nullptr, &flags, &reading_, nullptr));
  }
  DWORD begin_write(const char* bytes, DWORD length) override {
    WSABUF buffer{length, const_cast<char*>(bytes)};
    return begun(WSASend(socket_, &buffer, 1, nullptr, 0, &writing_, nullptr));
  }
  DWORD result_of(OVERLAPPED* overlapped, DWORD* bytes) override {
    DWORD flags;
    return WSAGetOverlappedResult(socket_, overlapped, bytes, FALSE, &flags)
               ? 0
               : static_cast<DWORD>(WSAGetLastError());
  }
  int took(DWORD bytes, bool) override {
    first_ = kMargin;
    last_ = kMargin + bytes;
    return bytes == 0 ? 0 : 1;
  }
  int64_t fill(const void* head, size_t head_length, const void* body, size_t body_length) override {
    if (!make_room(kBuffer)) return -ENOMEM;
    const size_t of_body = std::min(body_length, kBuffer - head_length);
    if (head_length > 0) memcpy(out_.get(), head, head_length);
    if (of_body > 0) memcpy(out_.get() + head_length, body, of_body);
    out_length_ = static_cast<DWORD>(head_length + of_body);
    return out_length_;
  }

 private:
  static DWORD begun(int result) {
    const int error = result == 0 ? 0 : WSAGetLastError();
    return error == WSA_IO_PENDING ? 0 : static_cast<DWORD>(error);
  }

  const SOCKET socket_;
  bool connecting_;
};

int Tcp::connected() {
  if (!connecting_) return 1;
  WSANETWORKEVENTS events{};
  if (WSAEnumNetworkEvents(socket_, nullptr, &events) != 0) return socket_error();
  if ((events.lNetworkEvents & FD_CONNECT) == 0) return 0;
  if (const int error = events.iErrorCode[FD_CONNECT_BIT]; error != 0)
    return system_error(static_cast<DWORD>(error));
  WSAEventSelect(socket_, nullptr, 0);
  connecting_ = false;
  SetEvent(writable_);
  start_reading();
  return 1;
}

class TcpListener : public Stream {
 public:
  explicit TcpListener(SOCKET socket) : socket_(socket) { tell_who_comes(); }
  ~TcpListener() override { closesocket(socket_); }

  int accept(std::unique_ptr<Stream>* out) override {
    for (;;) {
      ResetEvent(readable_);
      const SOCKET socket = ::accept(socket_, nullptr, nullptr);
      if (socket == INVALID_SOCKET) {
        const int error = WSAGetLastError();
        if (error == WSAECONNRESET || error == WSAECONNABORTED) continue;  // gone before, nobody's error
        // wine may have told of one that was taken already, and tells of no more before one is.
        if (error == WSAEWOULDBLOCK) tell_who_comes();
        return system_error(static_cast<DWORD>(error));
      }
      SetEvent(readable_);  // there may be more
      SetHandleInformation(reinterpret_cast<HANDLE>(socket), HANDLE_FLAG_INHERIT, 0);
      WSAEventSelect(socket, nullptr, 0);  // it has the listener's
      *out = std::make_unique<Tcp>(socket, false);
      return 0;
    }
  }
  int name(bool peer, SocketName* out) override { return tcp_name(socket_, peer, out); }

 private:
  /// Sets `readable` for who is there, too.
  void tell_who_comes() { WSAEventSelect(socket_, readable_, FD_ACCEPT); }

  const SOCKET socket_;
};

int tcp_listen(const SocketName& name, int backlog, std::unique_ptr<Stream>* out) {
  Address address;
  SOCKET socket;
  const int error = tcp_socket(name, &address, &socket);
  if (error != 0) return error;
  // Without it others may listen on the same port.
  set(socket, SOL_SOCKET, SO_EXCLUSIVEADDRUSE);
  if (bind(socket, address.get(), address.length) != 0 || listen(socket, backlog) != 0) {
    const int why = socket_error();
    closesocket(socket);
    return why;
  }
  *out = std::make_unique<TcpListener>(socket);
  return 0;
}

int tcp_connect(const SocketName& name, std::unique_ptr<Stream>* out) {
  Address address;
  SOCKET socket;
  const int error = tcp_socket(name, &address, &socket);
  if (error != 0) return error;
  *out = std::make_unique<Tcp>(socket, true);  // from now on nothing of it blocks
  if (connect(socket, address.get(), address.length) == 0 || WSAGetLastError() == WSAEWOULDBLOCK) return 0;
  return socket_error();
}

}  // namespace

// ---- streams
// ----------------------------------------------------------------------------------------------------

int socket_listen(const SocketName& name, int backlog, SocketHandle* out) {
  std::unique_ptr<Stream> stream;
  const int error = (name.port < 0 ? pipe_listen : tcp_listen)(name, backlog, &stream);
  if (error == 0) *out = keep(std::move(stream));
  return error;
}

int socket_connect(const SocketName& name, SocketHandle* out) {
  std::unique_ptr<Stream> stream;
  const int error = (name.port < 0 ? pipe_connect : tcp_connect)(name, &stream);
  if (error == 0) *out = keep(std::move(stream));
  return error;
}

int socket_connected(SocketHandle socket) {
  Stream* stream = stream_of(socket);
  return stream == nullptr ? -EBADF : stream->connected();
}

int socket_accept(SocketHandle listener, SocketHandle* out) {
  Stream* stream = stream_of(listener);
  std::unique_ptr<Stream> accepted;
  const int error = stream == nullptr ? -EBADF : stream->accept(&accepted);
  if (error == 0) *out = keep(std::move(accepted));
  return error;
}

int socket_name(SocketHandle socket, bool peer, SocketName* out) {
  Stream* stream = stream_of(socket);
  return stream == nullptr ? -EBADF : stream->name(peer, out);
}

int64_t socket_read(SocketHandle socket, void* into, size_t length) {
  Stream* stream = stream_of(socket);
  return stream == nullptr ? -EBADF : stream->read(into, length);
}

int64_t socket_write(SocketHandle socket, const void* head, size_t head_length, const void* body,
                     size_t body_length) {
  Stream* stream = stream_of(socket);
  return stream == nullptr ? -EBADF : stream->write(head, head_length, body, body_length);
}

void socket_close(SocketHandle socket) {
  std::unique_ptr<Stream> stream;
  {
    std::lock_guard<std::mutex> guard(mutex);
    auto found = streams().find(static_cast<int>(socket));
    if (found != streams().end()) {
      stream = std::move(found->second);
      streams().erase(found);
    }
  }
  if (stream == nullptr) CloseHandle(handle_of(socket));
}

size_t host_addresses(const char* host, SocketName* out, size_t room) {
  return ip_addresses(host, out, room);
}

// ---- waiting
// ----------------------------------------------------------------------------------------------------

HANDLE waitable_of(int descriptor, int event) {
  if (event == kSocketReadable) return handle_of(descriptor);
  Stream* stream = stream_of(descriptor);
  return stream == nullptr ? nullptr : stream->writable();
}

int ready_events(int descriptor, int events) {
  int ready = 0;
  for (int event : {kSocketReadable, kSocketWritable})
    if (HANDLE waitable = (events & event) != 0 ? waitable_of(descriptor, event) : nullptr;
        waitable != nullptr && WaitForSingleObject(waitable, 0) == WAIT_OBJECT_0)
      ready |= event;
  return ready;
}

int socket_wait(const SocketHandle* sockets, size_t count, int events, int64_t timeout_ns) {
  std::vector<HANDLE> handles;
  for (size_t i = 0; i < count; i++)
    for (int event : {kSocketReadable, kSocketWritable})
      if ((events & event) != 0) handles.push_back(waitable_of(static_cast<int>(sockets[i]), event));
  const uint64_t start = now_ns();
  for (;;) {
    const int64_t passed = static_cast<int64_t>(now_ns() - start);
    DWORD left = timeout_ns < 0 ? INFINITE : milliseconds(std::max<int64_t>(0, timeout_ns - passed));
    // Windows waits for so many at a time: the others are looked at again and again.
    if (handles.size() > MAXIMUM_WAIT_OBJECTS) left = std::min<DWORD>(left, 5);
    for (size_t i = 0; i < handles.size(); i += MAXIMUM_WAIT_OBJECTS) {
      const DWORD n = static_cast<DWORD>(std::min<size_t>(handles.size() - i, MAXIMUM_WAIT_OBJECTS));
      const bool last = i + n == handles.size();
      const DWORD result = WaitForMultipleObjects(n, handles.data() + i, FALSE, last ? left : 0);
      if (result == WAIT_FAILED) return last_error();
      if (result != WAIT_TIMEOUT) return 1;
    }
    if (timeout_ns >= 0 && static_cast<int64_t>(now_ns() - start) >= timeout_ns) return 0;
  }
}

int descriptors_wait(const int* descriptors, uint8_t* ready, size_t count, int64_t timeout_ns) {
  if (count > MAXIMUM_WAIT_OBJECTS) return -EINVAL;
  std::vector<HANDLE> handles;
  for (size_t i = 0; i < count; i++) handles.push_back(handle_of(descriptors[i]));
  const DWORD result =
      WaitForMultipleObjects(static_cast<DWORD>(count), handles.data(), FALSE, milliseconds(timeout_ns));
  if (result == WAIT_FAILED && GetLastError() != ERROR_INVALID_HANDLE) return last_error();
  for (size_t i = 0; i < count; i++) {
    const DWORD each = result == WAIT_TIMEOUT ? WAIT_TIMEOUT : WaitForSingleObject(handles[i], 0);
    ready[i] = each == WAIT_FAILED ? 2 : each == WAIT_OBJECT_0 ? 1 : 0;
  }
  return result == WAIT_TIMEOUT ? 0 : 1;
}

}  // namespace multiproc::platform
