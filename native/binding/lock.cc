// The slow paths of locks: what lib/sync calls when an Atomics operation on the word did not do.
#include "binding/state.h"

namespace multiproc {

namespace {

Napi::Value number(Napi::Env env, Acquired result) {
  return Napi::Number::New(env, static_cast<int>(result));
}

Napi::Value acquire(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    Actor actor = State::of(info.Env()).actor();
    return number(info.Env(), lock_acquire(actor, offset_of(info[0]), timeout_ns(info[1])));
  });
}

Napi::Value try_once(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    Actor actor = State::of(info.Env()).actor();
    return number(info.Env(), lock_try(actor, offset_of(info[0]), false));
  });
}

Napi::Value try_or_register(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    State& state = State::of(info.Env());
    Actor actor = state.actor();
    Offset at = offset_of(info[0]);
    // Register, then try: a release between the two rings us or leaves the word free.
    state.environment().await(at);
    for (;;) {
      Acquired got = lock_try(actor, at, true);
      if (got != Acquired::kTimedOut) {
        state.environment().unawait(at);
        return number(info.Env(), got);
      }
      if (lock_flag_async(actor, at)) return number(info.Env(), got);
    }
  });
}

void unregister(const Napi::CallbackInfo& info) {
  guarded(info.Env(), [&] {
    State& state = State::of(info.Env());
    Offset at = offset_of(info[0]);
    state.environment().unawait(at);
    // A ring that came for us may have been the only one.
    if (lock_takeable(state.environment().root(), at))
      state.environment().host().ringer().ring_next(at, state.environment().slot());
  });
}

Napi::Value release(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    Actor actor = State::of(info.Env()).actor();
    Owner owner = info[1].As<Napi::Number>().Uint32Value();
    return Napi::Boolean::New(info.Env(), lock_release(actor, offset_of(info[0]), owner));
  });
}

void mark_starving(const Napi::CallbackInfo& info) {
  guarded(info.Env(), [&] {
    State::of(info.Env()).environment().root().ref<LockCell>(offset_of(info[0])).starving.store(1);
  });
}

}  // namespace

void init_lock(Napi::Env env, Napi::Object exports) {
  exports["lockAcquire"] = Napi::Function::New(env, acquire);
  exports["lockTry"] = Napi::Function::New(env, try_once);
  exports["lockTryOrRegister"] = Napi::Function::New(env, try_or_register);
  exports["lockUnregister"] = Napi::Function::New(env, unregister);
  exports["lockRelease"] = Napi::Function::New(env, release);
  exports["lockMarkStarving"] = Napi::Function::New(env, mark_starving);
}

}  // namespace multiproc
