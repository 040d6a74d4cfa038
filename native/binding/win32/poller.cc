// Windows: a handle that is waited for by the system's own pool of threads, which call a thread-safe
// function.
//
//   watch() ─▶ RegisterWaitForSingleObject ─ ready ─▶ pool thread ─▶ thread-safe function ─▶ ready() ─▶ again
//
// One wait is good for one call; the next is registered after the callback has run, so a handle that stays
// ready calls as often as the loop turns, and not more.
#include "binding/poller.h"

#include <utility>

#include "platform/win32/system.h"

namespace multiproc {

Poller::Poller(Napi::Env env, int descriptor, std::function<void()> answer, Napi::Function callback)
    : env_(env), descriptor_(descriptor), answer_(std::move(answer)), callback_(Napi::Persistent(callback)) {
  napi_value name = Napi::String::New(env, "multiproc:poller");
  napi_async_init(env, nullptr, name, &context_);
  hold_callback(false);
  if (napi_create_threadsafe_function(
          env, nullptr, nullptr, name, 0, 1, this,
          [](napi_env, void* self, void*) { static_cast<Poller*>(self)->function_ended(); }, this,
          [](napi_env env, napi_value, void* self, void*) {
            if (env != nullptr) static_cast<Poller*>(self)->came();
          },
          &function_) != napi_ok)
    function_ = nullptr;
  else
    napi_unref_threadsafe_function(env, function_);
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
  if (function_ == nullptr) return;
  if (yes && wanted_ != 0)
    napi_ref_threadsafe_function(env_, function_);
  else
    napi_unref_threadsafe_function(env_, function_);
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
  stop_waiting();
  if (function_ == nullptr)
    function_ended();
  else  // function_ended() comes when nothing of it is queued any more
    napi_release_threadsafe_function(function_, napi_tsfn_abort);
}

/// The thread of the pool, when it calls, is done with it.
void Poller::stop_waiting() {
  active_ = 0;
  for (void*& wait : waits_)
    if (wait != nullptr) UnregisterWaitEx(std::exchange(wait, nullptr), INVALID_HANDLE_VALUE);
}

/// A wait is over. It may have been one for something that is not wanted any more.
void Poller::came() {
  if (closing_) return;
  stop_waiting();
  const int events = wanted_ == 0 ? 0 : platform::ready_events(descriptor_, wanted_);
  if (events != 0)
    ready(events);
  else
    apply();
}

void Poller::ready(int events) {
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
  // A wait that is over is active no more, but what it has kept is still to be let go.
  if (closing_ || (wanted_ == active_ && active_ != 0)) return;
  stop_waiting();
  hold_callback(wanted_ != 0);
  active_ = wanted_;
  keep_alive(alive_);
  auto tell = [](void* self, BOOLEAN) {
    napi_call_threadsafe_function(static_cast<Poller*>(self)->function_, nullptr, napi_tsfn_nonblocking);
  };
  void** wait = waits_;
  for (int event : {kReadable, kWritable})
    if (HANDLE waitable = (active_ & event) != 0 ? platform::waitable_of(descriptor_, event) : nullptr;
        waitable != nullptr && function_ != nullptr &&
        RegisterWaitForSingleObject(wait, waitable, tell, this, INFINITE,
                                    WT_EXECUTEONLYONCE | WT_EXECUTEINWAITTHREAD))
      wait++;
}

/// While nothing is polled for, the callback and what it refers to may be collected.
void Poller::hold_callback(bool yes) {
  if (yes == held_) return;
  held_ = yes;
  yes ? callback_.Ref() : callback_.Unref();
}

/// Nothing calls the function any more: we closed it, or the environment ends.
void Poller::function_ended() {
  stop_waiting();
  function_ = nullptr;
  std::function<void()> done = std::move(closed_);
  if (done) done();
}

}  // namespace multiproc
