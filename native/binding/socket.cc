// Sockets: what lib/socket needs of the system. A socket is an External, so that one that is dropped without
// having been closed is closed by the garbage collector, or with its environment. No shared memory here.
#include <algorithm>
#include <cstring>

#include "binding/state.h"
#include "platform/platform.h"

namespace multiproc {

namespace {

struct Socket {
  platform::SocketHandle handle;
  uint32_t born;  ///< State::forks: a forked child has none of its parent's
  bool open = true;
  std::weak_ptr<Poller> poller;  ///< of State::pollers

  void close(napi_env env) {
    if (!open) return;
    open = false;
    State& state = State::of(env);
    if (born != state.forks) return;
    state.sockets.erase(handle);
    // Before the descriptor, which the system may give to another at once.
    if (std::shared_ptr<Poller> polled = poller.lock()) state.close_poller(polled.get());
    platform::socket_close(handle);
  }
};

Napi::Value external(Napi::Env env, platform::SocketHandle handle) {
  State& state = State::of(env);
  state.sockets.insert(handle);
  return Napi::External<Socket>::New(env, new Socket{handle, state.forks, true, {}},
                                     [](Napi::Env env, Socket* socket) {
                                       socket->close(env);
                                       delete socket;
                                     });
}

Socket& any_socket(const Napi::Value& value) { return *value.As<Napi::External<Socket>>().Data(); }

bool is_open(Napi::Env env, const Socket& socket) {
  return socket.open && socket.born == State::of(env).forks;
}

Socket& socket_of(const Napi::Value& value) {
  Socket& socket = any_socket(value);
  if (socket.open && !is_open(value.Env(), socket))
    throw Refusal{"ERR_MP_CLOSED", "the socket is the parent process's, not this forked child's"};
  if (!socket.open) throw Refusal{"ERR_MP_CLOSED", "the socket is closed"};
  return socket;
}

platform::SocketName name_of(const Napi::Value& text, const Napi::Value& port) {
  std::string bytes = text.As<Napi::String>();
  platform::SocketName name{};
  name.port = port.As<Napi::Number>().Int32Value();
  if (bytes.size() >= sizeof name.text) throw SystemError{ENAMETOOLONG, "bind"};
  name.length = bytes.size();
  memcpy(name.text, bytes.data(), bytes.size());
  return name;
}

Napi::Value listen(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    platform::SocketHandle handle;
    check_system(
        platform::socket_listen(name_of(info[0], info[1]), info[2].As<Napi::Number>().Int32Value(), &handle),
        "bind");
    return external(info.Env(), handle);
  });
}

Napi::Value connect(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    platform::SocketHandle handle;
    check_system(platform::socket_connect(name_of(info[0], info[1]), &handle), "connect");
    return external(info.Env(), handle);
  });
}

Napi::Value connected(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    int result = platform::socket_connected(socket_of(info[0]).handle);
    check_system(result, "connect");
    return Napi::Boolean::New(info.Env(), result == 1);
  });
}

Napi::Value accept(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    platform::SocketHandle handle;
    int result = platform::socket_accept(socket_of(info[0]).handle, &handle);
    if (result == -EAGAIN) return info.Env().Null();
    check_system(result, "accept");
    return external(info.Env(), handle);
  });
}

Napi::Value name(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    const bool peer = info[1].As<Napi::Boolean>();
    platform::SocketName name;
    check_system(platform::socket_name(socket_of(info[0]).handle, peer, &name),
                 peer ? "getpeername" : "getsockname");
    Napi::String text = Napi::String::New(info.Env(), name.text, name.length);
    if (name.port < 0) return text;
    Napi::Array pair = Napi::Array::New(info.Env(), 2);
    pair[0u] = text;
    pair[1u] = Napi::Number::New(info.Env(), name.port);
    return pair;
  });
}

Napi::Value addresses(const Napi::CallbackInfo& info) {
  std::vector<platform::SocketName> names(16);
  std::string host = info[0].As<Napi::String>();
  size_t count = platform::host_addresses(host.c_str(), names.data(), names.size());
  Napi::Array list = Napi::Array::New(info.Env(), count);
  for (uint32_t i = 0; i < count; i++)
    list[i] = Napi::String::New(info.Env(), names[i].text, names[i].length);
  return list;
}

/// -1: nothing just now; 0: the end.
Napi::Value read(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    Napi::Uint8Array into = info[1].As<Napi::Uint8Array>();
    const size_t begin = static_cast<size_t>(info[2].As<Napi::Number>().Int64Value());
    const size_t end = static_cast<size_t>(info[3].As<Napi::Number>().Int64Value());
    if (begin >= end || end > into.ByteLength()) throw Refusal{"ERR_MP_STATE", "a read outside its buffer"};
    int64_t n = platform::socket_read(socket_of(info[0]).handle, into.Data() + begin, end - begin);
    if (n == -EAGAIN)
      n = -1;
    else if (n < 0)
      throw SystemError{static_cast<int>(-n), "read"};
    return Napi::Number::New(info.Env(), static_cast<double>(n));
  });
}

/// As much of head and body as the system takes now, after the first `done` bytes. Returns how many are done.
Napi::Value write(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    Napi::Uint8Array head = info[1].As<Napi::Uint8Array>(), body = info[2].As<Napi::Uint8Array>();
    const size_t head_length = head.ByteLength(), length = head_length + body.ByteLength();
    size_t done = static_cast<size_t>(info[3].As<Napi::Number>().Int64Value());
    Socket& socket = socket_of(info[0]);
    while (done < length) {
      const size_t of_head = std::min(done, head_length), of_body = done - of_head;
      int64_t n = platform::socket_write(socket.handle, head.Data() + of_head, head_length - of_head,
                                         body.Data() + of_body, body.ByteLength() - of_body);
      if (n == -EAGAIN) break;
      if (n < 0) throw SystemError{static_cast<int>(-n), "write"};
      done += static_cast<size_t>(n);
    }
    return Napi::Number::New(info.Env(), static_cast<double>(done));
  });
}

/// Blocks until one of the sockets is ready (true) or the time is over (false).
Napi::Value wait(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    State& state = State::of(info.Env());
    Napi::Array list = info[0].As<Napi::Array>();
    std::vector<platform::SocketHandle> handles(list.Length());
    for (uint32_t i = 0; i < handles.size(); i++) handles[i] = socket_of(list.Get(i)).handle;
    const int events = info[1].As<Napi::Number>().Int32Value();
    const int64_t timeout = timeout_ns(info[2]);
    const uint64_t start = platform::now_ns();
    for (;;) {
      int64_t slice = 100 * 1000000;
      const int64_t passed = static_cast<int64_t>(platform::now_ns() - start);
      if (timeout >= 0) slice = std::max<int64_t>(0, std::min(slice, timeout - passed));
      int result = platform::socket_wait(handles.data(), handles.size(), events, slice);
      check_system(result, "poll");
      if (result != 0 || (timeout >= 0 && platform::now_ns() - start >= static_cast<uint64_t>(timeout)))
        return Napi::Boolean::New(info.Env(), result != 0);
      Napi::HandleScope scope(info.Env());
      state.nothing.Call({});  // throws when the thread is being terminated
    }
  });
}

/// A socket object over a copy of any descriptor, to be watched.
Napi::Value duplicate(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    platform::SocketHandle handle;
    check_system(platform::descriptor_duplicate(info[0].As<Napi::Number>().Int32Value(), &handle), "fcntl");
    return external(info.Env(), handle);
  });
}

/// One that can be read when the process has ended.
Napi::Value watch_process(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    platform::SocketHandle handle;
    check_system(platform::process_watch(info[0].As<Napi::Number>().Uint32Value(), &handle), "pidfd_open");
    return external(info.Env(), handle);
  });
}

/// Which of the descriptors can be read now.
void poll_now(const Napi::CallbackInfo& info) {
  guarded(info.Env(), [&] {
    Napi::Int32Array list = info[0].As<Napi::Int32Array>();
    Napi::Uint8Array ready = info[1].As<Napi::Uint8Array>();
    if (ready.ElementLength() < list.ElementLength()) throw Refusal{"ERR_MP_CORRUPT", "too few answers"};
    check_system(platform::descriptors_wait(list.Data(), ready.Data(), list.ElementLength(), 0), "poll");
  });
}

/// Blocks until a descriptor can be read, this environment is rung, or time is over (false). Rings are
/// answered.
Napi::Value wait_readable(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    State& state = State::of(info.Env());
    Napi::Int32Array list = info[0].As<Napi::Int32Array>();
    Napi::Uint8Array tell = info[1].As<Napi::Uint8Array>();
    if (tell.ElementLength() < list.ElementLength()) throw Refusal{"ERR_MP_CORRUPT", "too few answers"};
    const size_t count = list.ElementLength();
    std::vector<int> descriptors(list.Data(), list.Data() + count);
    descriptors.push_back(state.environment().bell());
    std::vector<uint8_t> ready(descriptors.size());
    const int64_t timeout = timeout_ns(info[2]);
    const uint64_t start = platform::now_ns();
    for (;;) {
      int64_t slice = 100 * 1000000;
      const int64_t passed = static_cast<int64_t>(platform::now_ns() - start);
      if (timeout >= 0) slice = std::max<int64_t>(0, std::min(slice, timeout - passed));
      const int result =
          platform::descriptors_wait(descriptors.data(), ready.data(), descriptors.size(), slice);
      check_system(result, "poll");
      std::copy(ready.begin(), ready.begin() + static_cast<std::ptrdiff_t>(count), tell.Data());
      if (ready[count] != 0) state.environment().answer_ring();
      if (result != 0 || (timeout >= 0 && platform::now_ns() - start >= static_cast<uint64_t>(timeout)))
        return Napi::Boolean::New(info.Env(), result != 0);
      Napi::HandleScope scope(info.Env());
      state.nothing.Call({});  // throws when the thread is being terminated
    }
  });
}

/// The function that the event loop calls when the socket is ready for what socketWatch asked for. Once.
void on_ready(const Napi::CallbackInfo& info) {
  guarded(info.Env(), [&] {
    State& state = State::of(info.Env());
    Socket& socket = socket_of(info[0]);
    state.clean_up_at_end();
    auto poller = std::make_shared<Poller>(info.Env(), static_cast<int>(socket.handle), nullptr,
                                           info[1].As<Napi::Function>());
    poller->keep_alive(true);
    socket.poller = poller;
    state.pollers.push_back(std::move(poller));
  });
}

void watch(const Napi::CallbackInfo& info) {
  if (std::shared_ptr<Poller> poller = any_socket(info[0]).poller.lock())
    poller->watch(info[1].As<Napi::Number>().Int32Value());
}

void keep_alive(const Napi::CallbackInfo& info) {
  if (std::shared_ptr<Poller> poller = any_socket(info[0]).poller.lock())
    poller->keep_alive(info[1].As<Napi::Boolean>());
}

Napi::Value descriptor(const Napi::CallbackInfo& info) {
  Socket& socket = any_socket(info[0]);
  return Napi::Number::New(info.Env(), is_open(info.Env(), socket) ? static_cast<double>(socket.handle) : -1);
}

void close(const Napi::CallbackInfo& info) { any_socket(info[0]).close(info.Env()); }

}  // namespace

void init_socket(Napi::Env env, Napi::Object exports) {
  define(exports, "socketListen", listen);
  define(exports, "socketConnect", connect);
  define(exports, "socketConnected", connected);
  define(exports, "socketAccept", accept);
  define(exports, "socketName", name);
  define(exports, "hostAddresses", addresses);
  define(exports, "socketRead", read);
  define(exports, "socketWrite", write);
  define(exports, "socketWait", wait);
  define(exports, "watchDescriptor", duplicate);
  define(exports, "watchProcess", watch_process);
  define(exports, "pollNow", poll_now);
  define(exports, "waitReadable", wait_readable);
  define(exports, "socketOnReady", on_ready);
  define(exports, "socketWatch", watch);
  define(exports, "socketKeepAlive", keep_alive);
  define(exports, "socketDescriptor", descriptor);
  define(exports, "socketClose", close);
}

}  // namespace multiproc
