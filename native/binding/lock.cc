// The slow paths of locks: what lib/sync calls when an Atomics operation on the word did not do.
#include <optional>

#include "binding/state.h"
#include "core/cells.h"
#include "core/deadlock.h"
#include "core/spin.h"

namespace multiproc {

namespace {

Napi::Value number(Napi::Env env, Acquired result) {
  return Napi::Number::New(env, static_cast<int>(result));
}

/// The offset of a lock: among the data, mapped, aligned.
Offset cell_of(const Napi::Value& value, Root& root) {
  Offset at = offset_of(value);
  if (at < kDataAt) throw Refusal{"ERR_MP_CORRUPT", "a lock lies outside the data"};
  root.ref<LockCell>(at);
  return at;
}

Napi::Value acquire(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    Actor actor = State::of(info.Env()).actor();
    return number(info.Env(), lock_acquire(actor, cell_of(info[0], actor.root), timeout_ns(info[1]),
                                           static_cast<Watched>(info[2].As<Napi::Number>().Int32Value())));
  });
}

Napi::Value try_once(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    Actor actor = State::of(info.Env()).actor();
    return number(info.Env(), lock_try(actor, cell_of(info[0], actor.root), false));
  });
}

Napi::Value try_or_register(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    State& state = State::of(info.Env());
    Actor actor = state.actor();
    Offset at = cell_of(info[0], actor.root);
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
    Actor actor = state.actor();
    Offset at = cell_of(info[0], actor.root);
    state.environment().unawait(at);
    // A ring that came for us may have been the only one, and its sender has dropped the flag of the others.
    if (lock_takeable(actor.root, at) || !lock_flag_async(actor, at))
      state.environment().host().ringer().ring_next(at, state.environment().slot());
  });
}

Napi::Value release(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    Actor actor = State::of(info.Env()).actor();
    Owner owner = info[1].As<Napi::Number>().Uint32Value();
    return Napi::Boolean::New(info.Env(), lock_release(actor, cell_of(info[0], actor.root), owner));
  });
}

void mark_starving(const Napi::CallbackInfo& info) {
  guarded(info.Env(), [&] {
    Root& root = State::of(info.Env()).environment().root();
    root.ref<LockCell>(cell_of(info[0], root)).starving.store(1);
  });
}

/// 0: the cell's state is no longer WAITING; 2: time is over; 3: the thread is being terminated.
Napi::Value cell_wait(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    Actor actor = State::of(info.Env()).actor();
    const Offset at = offset_of(info[0]);
    SyncCell& cell = actor.root.ref<SyncCell>(at);
    const int64_t timeout = timeout_ns(info[1]);
    const uint64_t start = platform::now_ns();
    const Offset object = offset_of(info[2]);  // to be watched for deadlocks; 0: not
    std::optional<BlockedIn> blocked;
    int result = 0;
    Spin spin;
    while (cell.state.load() == kCellWaiting && spin.again()) {
    }
    if (cell.state.load() != kCellWaiting) spin.came();
    while (cell.state.load() == kCellWaiting) {
      int64_t slice = 100 * 1000000;
      if (timeout >= 0) {
        int64_t left = timeout - static_cast<int64_t>(platform::now_ns() - start);
        if (left <= 0) {
          result = 2;
          break;
        }
        if (left < slice) slice = left;
      }
      if (object != 0 && timeout < 0) {
        if (platform::now_ns() - start < static_cast<uint64_t>(kPatienceNs)) {
          slice = kPatienceNs;
        } else {
          if (!blocked) blocked.emplace(actor, Blocked::kCells, object);
          blocked->check();
        }
      }
      platform::Watch watch{&cell.state, kCellWaiting};
      if (!platform::wait(&watch, 1, slice)) {
        if (actor.interrupted(actor.data)) {
          result = 3;
          break;
        }
        cell_look_for_dead(actor.root, at);
      }
    }
    return Napi::Number::New(info.Env(), result);
  });
}

/// Wakes the owner of a cell: 0: who sleeps on it; else rings that owner's event loop.
void cell_wake(const Napi::CallbackInfo& info) {
  guarded(info.Env(), [&] {
    Environment& environment = State::of(info.Env()).environment();
    Owner owner = info[1].As<Napi::Number>().Uint32Value();
    if (owner == 0)
      platform::wake(&environment.root().ref<SyncCell>(offset_of(info[0])).state, platform::kWakeAll);
    else if (!owner_reaped(environment.root(), owner))
      environment.host().ringer().ring(slot_of(owner));
  });
}

void await_cell(const Napi::CallbackInfo& info) {
  guarded(info.Env(), [&] {
    Environment& environment = State::of(info.Env()).environment();
    Offset at = offset_of(info[0]);
    environment.root().ref<SyncCell>(at);
    environment.await_cell(at);
  });
}

void unawait_cell(const Napi::CallbackInfo& info) {
  guarded(info.Env(), [&] { State::of(info.Env()).environment().unawait_cell(offset_of(info[0])); });
}

Napi::Value is_reaped(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    Root& root = State::of(info.Env()).environment().root();
    return Napi::Boolean::New(info.Env(), owner_reaped(root, info[0].As<Napi::Number>().Uint32Value()));
  });
}

}  // namespace

void init_lock(Napi::Env env, Napi::Object exports) {
  define(exports, "lockAcquire", acquire);
  define(exports, "lockTry", try_once);
  define(exports, "lockTryOrRegister", try_or_register);
  define(exports, "lockUnregister", unregister);
  define(exports, "lockRelease", release);
  define(exports, "cellWait", cell_wait);
  define(exports, "cellWake", cell_wake);
  define(exports, "awaitCell", await_cell);
  define(exports, "unawaitCell", unawait_cell);
  define(exports, "isReaped", is_reaped);
  define(exports, "lockMarkStarving", mark_starving);
}

}  // namespace multiproc
