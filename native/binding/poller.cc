#include "binding/poller.h"

#include <cstdlib>

#ifndef _WIN32
#include <dlfcn.h>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>
#endif

namespace multiproc {

namespace {

// The few functions of libuv that are needed, by their stable ABI (libuv 1.x): a handle's first member is
// `void* data`.
struct Uv {
  size_t (*handle_size)(int type);
  int (*poll_init)(void* loop, void* handle, int descriptor);
  int (*poll_start)(void* handle, int events, void (*callback)(void*, int, int));
  int (*poll_stop)(void* handle);
  void (*close)(void* handle, void (*callback)(void*));
  void (*ref)(void* handle);
  void (*unref)(void* handle);
  bool complete;
};
constexpr int kUvPoll = 8;      // uv_handle_type: UV_POLL
constexpr int kUvReadable = 1;  // uv_poll_event: UV_READABLE

const Uv& uv() {
  static const Uv table = [] {
    Uv t{};
    bool all = true;
    auto find = [&](auto& f, const char* name) {
      f = reinterpret_cast<std::remove_reference_t<decltype(f)>>(dlsym(RTLD_DEFAULT, name));
      all = all && f != nullptr;
    };
    find(t.handle_size, "uv_handle_size");
    find(t.poll_init, "uv_poll_init");
    find(t.poll_start, "uv_poll_start");
    find(t.poll_stop, "uv_poll_stop");
    find(t.close, "uv_close");
    find(t.ref, "uv_ref");
    find(t.unref, "uv_unref");
    t.complete = all;
    return t;
  }();
  return table;
}

void*& data_of(void* handle) { return *static_cast<void**>(handle); }

}  // namespace

Poller::Poller(Napi::Env env, int descriptor, std::function<void()> answer, Napi::Function callback)
    : env_(env), descriptor_(descriptor), answer_(std::move(answer)), callback_(Napi::Persistent(callback)) {
  napi_value name = Napi::String::New(env, "multiproc:poller");
  napi_async_init(env, nullptr, name, &context_);
  uv_loop_s* loop = nullptr;
  if (!uv().complete || napi_get_uv_event_loop(env, &loop) != napi_ok) {
    start_thread();
    return;
  }
  poll_ = calloc(1, uv().handle_size(kUvPoll));
  uv().poll_init(loop, poll_, descriptor_);
  data_of(poll_) = this;
  uv().poll_start(poll_, kUvReadable,
                  [](void* handle, int, int) { static_cast<Poller*>(data_of(handle))->readable(); });
  uv().unref(poll_);
}

Poller::~Poller() {
  if (context_ != nullptr) napi_async_destroy(env_, context_);
}

void Poller::readable() {
  Napi::HandleScope scope(env_);
  answer_();
  napi_value result, self = env_.Global();
  napi_make_callback(env_, context_, self, callback_.Value(), 0, nullptr, &result);
  if (env_.IsExceptionPending()) napi_fatal_exception(env_, env_.GetAndClearPendingException().Value());
}

void Poller::keep_alive(bool yes) {
  if (poll_ != nullptr)
    yes ? uv().ref(poll_) : uv().unref(poll_);
  else if (thread_function_ != nullptr)
    yes ? napi_ref_threadsafe_function(env_, thread_function_)
        : napi_unref_threadsafe_function(env_, thread_function_);
}

void Poller::close(std::function<void()> closed) {
  if (poll_ == nullptr) {
    if (thread_.joinable()) {
      if (write(stop_[1], "", 1) == 1) thread_.join();
      ::close(stop_[0]);
      ::close(stop_[1]);
      napi_release_threadsafe_function(thread_function_, napi_tsfn_abort);
    }
    closed();
    return;
  }
  closed_ = std::move(closed);
  uv().poll_stop(poll_);
  uv().close(poll_, [](void* handle) {
    std::function<void()> done = std::move(static_cast<Poller*>(data_of(handle))->closed_);
    free(handle);
    done();
  });
}

void Poller::start_thread() {
  napi_value name = Napi::String::New(env_, "multiproc:poller");
  if (napi_create_threadsafe_function(
          env_, nullptr, nullptr, name, 1, 1, nullptr, nullptr, this,
          [](napi_env, napi_value, void* self, void*) { static_cast<Poller*>(self)->readable(); },
          &thread_function_) != napi_ok ||
      pipe2(stop_, O_CLOEXEC) != 0)
    return;
  napi_unref_threadsafe_function(env_, thread_function_);
  thread_ = std::thread([this] {
    for (;;) {
      pollfd fds[2] = {{descriptor_, POLLIN, 0}, {stop_[0], POLLIN, 0}};
      if (poll(fds, 2, -1) < 0) continue;
      if (fds[1].revents != 0) return;
      napi_call_threadsafe_function(thread_function_, nullptr, napi_tsfn_blocking);
    }
  });
}

}  // namespace multiproc
