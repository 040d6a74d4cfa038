// The robust lock: a word in shared memory that survives the death of whoever holds it or waits for it.
//
//   free 0 ── CAS ──▶ owner ── CAS ──▶ free                          fast path, in TypeScript, no call
//   a waiter pauses and yields shortly (spin.h), sets kWaiters and sleeps on {word, life word of the owner};
//   an event loop registers in its slot, sets kAsyncWaiters and is rung;
//   release with flags: 0, wake one sleeper, ring one loop. A woken waiter sets the flag again for the
//   others. a waiter overtaken too often sets `starving`: the next release stores kHandoff, which only
//   waiters may take. owner dead: the word goes to whoever finds out, who is told that it was abandoned.
//
// Nobody's sleep depends on one wake-up: sleeps end after a slice of 100 ms to look again.
#pragma once
#include "core/slots.h"

namespace multiproc {

/// Who acts: everything that waits or changes shared state on behalf of an owner takes one.
struct Actor {
  Root& root;
  Ringer& ringer;
  Owner me;
  /// Called between slices; true ends the wait, which has taken nothing then. May be null.
  bool (*interrupted)(void*) = nullptr;
  void* data = nullptr;
};

enum class Acquired : int { kYes = 0, kAbandoned = 1, kTimedOut = 2, kInterrupted = 3 };

/// Is a wait without a time-out looked at for deadlocks (deadlock.h), and may only its owner release the
/// lock?
enum class Watched { kNo, kAny, kOwned };

/// Blocks. Negative time-out: for ever; 0: tries once. Throws ERR_MP_DEADLOCK, having taken nothing.
Acquired lock_acquire(Actor& actor, Offset at, int64_t timeout_ns, Watched watched = Watched::kNo);
/// Tries once; also takes from the dead. `registered`: the caller has waited, so it may take a hand-off.
Acquired lock_try(Actor& actor, Offset at, bool registered);
/// Makes sure that the next release rings; false: it was released meanwhile, try again.
bool lock_flag_async(Actor& actor, Offset at);
/// Releases what `owner` holds (0: whoever holds it). False: it is not held, or not by that owner.
bool lock_release(Actor& actor, Offset at, Owner owner);
/// Takes the lock from an owner that is known to be dead and wakes whoever waits.
void lock_abandon(Actor& actor, Offset at, Owner dead);
/// Could somebody who has waited take it now?
bool lock_takeable(Root& root, Offset at);

/// Holds the root lock for a scope, and repairs what a dead owner left half done.
class RootGuard {
 public:
  explicit RootGuard(Actor& actor);
  ~RootGuard();
  RootGuard(const RootGuard&) = delete;
  RootGuard& operator=(const RootGuard&) = delete;

 private:
  Actor actor_;
};

}  // namespace multiproc
