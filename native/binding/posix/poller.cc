#include "binding/poller.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <cstdlib>
#include <utility>

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
// uv_poll_event has the numbers of Poller's.
constexpr int kUvPoll = 8;  // uv_handle_type: UV_POLL

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
  hold_callback(false);
  uv_loop_s* loop = nullptr;
  if (!uv().complete || napi_get_uv_event_loop(env, &loop) != napi_ok) {
    start_thread();
    return;
  }
  poll_ = calloc(1, uv().handle_size(kUvPoll));
  if (poll_ == nullptr || uv().poll_init(loop, poll_, descriptor_) != 0) {
    free(poll_);
    poll_ = nullptr;
    start_thread();
    return;
  }
  data_of(poll_) = this;
  uv().unref(poll_);
}

Poller::~Poller() {
  if (context_ != nullptr) napi_async_destroy(env_, context_);
}

void Poller::watch(int events) {
  wanted_ = events;
  if (!calling_) apply();
}

void Poller::keep_alive(bool yes) {
  alive_ = yes;
  if (poll_ != nullptr)
    yes ? uv().ref(poll_) : uv().unref(poll_);
  else if (thread_function_ != nullptr)
    yes&& active_ != 0 ? napi_ref_threadsafe_function(env_, thread_function_)
                       : napi_unref_threadsafe_function(env_, thread_function_);
}

void Poller::close(std::function<void()> closed) {
  if (closing_) {
    closed_ = [first = std::move(closed_), then = std::move(closed)] {
      first();
      then();
    };
    return;
  }
  closing_ = true;
  closed_ = std::move(closed);
  if (poll_ != nullptr) {
    uv().poll_stop(poll_);
    uv().close(poll_, [](void* handle) {
      std::function<void()> done = std::move(static_cast<Poller*>(data_of(handle))->closed_);
      free(handle);
      done();
    });
    return;
  }
  if (thread_function_ == nullptr) {
    thread_ended();
    return;
  }
  stop_thread();
  // thread_ended() comes when nothing of it is queued any more.
  napi_release_threadsafe_function(thread_function_, napi_tsfn_abort);
}

void Poller::ready(int events) {
  if (closing_) return;
  Napi::HandleScope scope(env_);
  calling_ = true;
  if (answer_) answer_();
  napi_value result, self = env_.Global(), told = Napi::Number::New(env_, events);
  napi_make_callback(env_, context_, self, callback_.Value(), 1, &told, &result);
  if (env_.IsExceptionPending()) napi_fatal_exception(env_, env_.GetAndClearPendingException().Value());
  calling_ = false;
  apply();
}

void Poller::apply() {
  if (closing_ || wanted_ == active_) return;
  hold_callback(wanted_ != 0);
  active_ = wanted_;
  if (poll_ == nullptr) {
    keep_alive(alive_);
    thread_events_ = active_;
    tell_thread();
  } else if (active_ == 0) {
    uv().poll_stop(poll_);
  } else {
    uv().poll_start(poll_, active_, [](void* handle, int status, int events) {
      Poller* self = static_cast<Poller*>(data_of(handle));
      if (status < 0) self->active_ = 0;  // libuv has stopped: whoever reads or writes now learns why
      self->ready(status < 0 ? kReadable | kWritable : events);
    });
  }
}

/// While nothing is polled for, the callback and what it refers to may be collected.
void Poller::hold_callback(bool yes) {
  if (yes == held_) return;
  held_ = yes;
  yes ? callback_.Ref() : callback_.Unref();
}

void Poller::start_thread() {
  napi_value name = Napi::String::New(env_, "multiproc:poller");
  if (napi_create_threadsafe_function(
          env_, nullptr, nullptr, name, 0, 1, this,
          [](napi_env, void* self, void*) { static_cast<Poller*>(self)->thread_ended(); }, this,
          [](napi_env env, napi_value, void* context, void*) {
            if (env == nullptr) return;
            Poller* self = static_cast<Poller*>(context);
            self->active_ = 0;
            self->ready(self->thread_ready_);
          },
          &thread_function_) != napi_ok) {
    thread_function_ = nullptr;
    return;
  }
  napi_unref_threadsafe_function(env_, thread_function_);
  if (pipe(tell_) != 0) return;
  for (int fd : tell_) {
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    fcntl(fd, F_SETFL, O_NONBLOCK);
  }
  thread_ = std::thread([this] { run_thread(); });
}

void Poller::run_thread() {
  while (!thread_stop_) {
    const int events = thread_events_;
    const short wanted = static_cast<short>(((events & kReadable) != 0 ? POLLIN : 0) |
                                            ((events & kWritable) != 0 ? POLLOUT : 0));
    pollfd fds[2] = {{tell_[0], POLLIN, 0}, {events != 0 ? descriptor_ : -1, wanted, 0}};
    if (poll(fds, 2, -1) < 0) continue;
    char told[16];
    if (fds[0].revents != 0) {
      while (read(tell_[0], told, sizeof told) > 0) continue;
      continue;
    }
    const short came = fds[1].revents;
    const bool other = (came & ~(POLLIN | POLLOUT)) != 0;  // an error, or the end: both are to know
    int expected = events;
    if (!thread_events_.compare_exchange_strong(expected, 0)) continue;  // told otherwise meanwhile
    thread_ready_ =
        ((came & POLLIN) != 0 || other ? kReadable : 0) | ((came & POLLOUT) != 0 || other ? kWritable : 0);
    napi_call_threadsafe_function(thread_function_, nullptr, napi_tsfn_nonblocking);
  }
}

void Poller::tell_thread() {
  if (tell_[1] >= 0 && write(tell_[1], "", 1) < 0) return;  // full: it has been told
}

void Poller::stop_thread() {
  if (!thread_.joinable()) return;
  thread_stop_ = true;
  tell_thread();
  thread_.join();
  for (int& fd : tell_) ::close(std::exchange(fd, -1));
}

/// Nothing calls the function any more: we closed it, or the environment ends.
void Poller::thread_ended() {
  stop_thread();
  thread_function_ = nullptr;
  std::function<void()> done = std::move(closed_);
  if (done) done();
}

}  // namespace multiproc
