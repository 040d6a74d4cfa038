// Descriptors that are passed between a process and its template, and those that the event loop watches.
#include "binding/state.h"

namespace multiproc {

namespace {

int int_of(const Napi::Value& value) { return value.As<Napi::Number>().Int32Value(); }

Napi::Value both(Napi::Env env, const int fds[2]) {
  Napi::Array pair = Napi::Array::New(env, 2);
  pair[0u] = Napi::Number::New(env, fds[0]);
  pair[1u] = Napi::Number::New(env, fds[1]);
  return pair;
}

Napi::Value socket_pair(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    int fds[2];
    check_system(platform::control_pair(fds), "socketpair");
    return both(info.Env(), fds);
  });
}

void own(const Napi::CallbackInfo& info) { State::of(info.Env()).owned.insert(int_of(info[0])); }

void close(const Napi::CallbackInfo& info) {
  State::of(info.Env()).owned.erase(int_of(info[0]));
  platform::bell_close(int_of(info[0]), -1);
}

Napi::Value pipe_pair(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    int fds[2];
    check_system(platform::pipe_pair(fds), "pipe");
    return both(info.Env(), fds);
  });
}

void redirect(const Napi::CallbackInfo& info) {
  guarded(info.Env(), [&] { check_system(platform::redirect(int_of(info[0]), int_of(info[1])), "dup2"); });
}

void identify(const Napi::CallbackInfo& info) {
  guarded(info.Env(), [&] { check_system(platform::control_identify(int_of(info[0])), "setsockopt"); });
}

void set_close_on_exec(const Napi::CallbackInfo& info) {
  guarded(info.Env(), [&] { check_system(platform::close_on_exec(int_of(info[0])), "fcntl"); });
}

/// How many bytes were taken; 0: none just now.
Napi::Value send(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    Napi::Uint8Array bytes = info[1].As<Napi::Uint8Array>();
    Napi::Int32Array fds = info[2].As<Napi::Int32Array>();
    int64_t n = platform::control_send(int_of(info[0]), bytes.Data(), bytes.ByteLength(), fds.Data(),
                                       fds.ElementLength());
    if (n == -EAGAIN) n = 0;
    check_system(static_cast<int>(n < 0 ? n : 0), "sendmsg");
    return Napi::Number::New(info.Env(), static_cast<double>(n));
  });
}

/// null: nothing there.
Napi::Value receive(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    char data[65536];
    platform::Received got;
    int error = platform::control_receive(int_of(info[0]), data, sizeof data, &got);
    if (error == -EAGAIN) return info.Env().Null();
    check_system(error, "recvmsg");
    Napi::Object result = Napi::Object::New(info.Env());
    Napi::Uint8Array bytes = Napi::Uint8Array::New(info.Env(), got.bytes);
    std::copy(data, data + got.bytes, bytes.Data());
    Napi::Array fds = Napi::Array::New(info.Env(), got.passed);
    for (uint32_t i = 0; i < got.passed; i++) fds[i] = Napi::Number::New(info.Env(), got.descriptors[i]);
    result["bytes"] = bytes;
    result["descriptors"] = fds;
    result["pid"] = Napi::Number::New(info.Env(), got.pid);
    result["user"] = Napi::Number::New(info.Env(), got.user);
    return result;
  });
}

Napi::Value wait(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    int n = platform::control_wait(int_of(info[0]), info[1].As<Napi::Boolean>(), timeout_ns(info[2]));
    check_system(n, "poll");
    return Napi::Boolean::New(info.Env(), n > 0);
  });
}

Napi::Value watch(const Napi::CallbackInfo& info) {
  State& state = State::of(info.Env());
  return guarded(info.Env(), [&] {
    state.pollers.emplace_back(
        new Poller(info.Env(), int_of(info[0]), nullptr, info[1].As<Napi::Function>()));
    state.pollers.back()->watch(Poller::kReadable);
    state.watches[++state.last_watch] = state.pollers.back().get();
    return Napi::Number::New(info.Env(), state.last_watch);
  });
}

Poller* watch_of(State& state, const Napi::Value& value) {
  auto found = state.watches.find(value.As<Napi::Number>().Uint32Value());
  return found == state.watches.end() ? nullptr : found->second;
}

void watch_ref(const Napi::CallbackInfo& info) {
  if (Poller* poller = watch_of(State::of(info.Env()), info[0]))
    poller->keep_alive(info[1].As<Napi::Boolean>());
}

void unwatch(const Napi::CallbackInfo& info) {
  State& state = State::of(info.Env());
  if (Poller* poller = watch_of(state, info[0])) state.close_poller(poller);
  state.watches.erase(info[0].As<Napi::Number>().Uint32Value());
}

}  // namespace

void init_control(Napi::Env env, Napi::Object exports) {
  define(exports, "controlPair", socket_pair);
  define(exports, "ownDescriptor", own);
  define(exports, "closeDescriptor", close);
  define(exports, "pipePair", pipe_pair);
  define(exports, "redirect", redirect);
  define(exports, "controlIdentify", identify);
  define(exports, "closeOnExec", set_close_on_exec);
  define(exports, "controlSend", send);
  define(exports, "controlReceive", receive);
  define(exports, "controlWait", wait);
  define(exports, "watch", watch);
  define(exports, "watchRef", watch_ref);
  define(exports, "unwatch", unwatch);
}

}  // namespace multiproc
