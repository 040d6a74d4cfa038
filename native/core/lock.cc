#include "core/lock.h"

#include <optional>

#include "core/deadlock.h"
#include "core/spin.h"
#include "core/transaction.h"

namespace multiproc {

namespace {

constexpr int64_t kSliceNs = 100 * 1000000;
constexpr int64_t kMaxOvertakenNs = 2 * 1000000;
constexpr int64_t kNapNs = 100 * 1000;

uint32_t now_ms() { return static_cast<uint32_t>(platform::now_ns() / 1000000); }

/// May this waiter take a hand-off? Those who waited may; everybody may once nobody came for it during a
/// slice.
bool may_take_handoff(LockCell& cell, bool waited) {
  return waited || now_ms() - cell.handoff_ms.load() > kSliceNs / 1000000;
}

/// One attempt at a word that may be free, marked or a dead owner's. kTimedOut: it is held, `*seen` says by
/// whom.
Acquired attempt(Actor& actor, LockCell& cell, bool waited, uint32_t flags, uint32_t* seen) {
  uint32_t w = cell.word.load();
  for (;;) {
    uint32_t holder = w & ~kFlags;
    *seen = w;
    Acquired result;
    if (holder == 0)
      result = Acquired::kYes;
    else if (holder == kHandoff && may_take_handoff(cell, waited))
      result = Acquired::kYes;
    else if (holder == kAbandoned)
      result = Acquired::kAbandoned;
    else
      return Acquired::kTimedOut;
    if (!cell.word.compare_exchange_weak(w, actor.me | (w & kFlags) | flags)) continue;
    if (waited) cell.starving.store(0);  // others that starve say so again
    return result;
  }
}

/// Only its owner counts, so what others read may be old.
uint32_t acquisitions(const LockCell& cell) { return __atomic_load_n(&cell.counter, __ATOMIC_RELAXED); }

/// Takes the word from a dead owner. The flags stay: others may sleep on it.
bool steal(Actor& actor, LockCell& cell, uint32_t w) {
  if (!cell.word.compare_exchange_strong(w, actor.me | (w & kFlags))) return false;
  cell.starving.store(0);
  return true;
}

/// Leaves a wait without the lock. A wake-up meant for another may have come to us: it is passed on.
Acquired leave(LockCell& cell, Acquired why) {
  cell.starving.store(0);  // no hand-over for one who has left; others that starve say so again
  for (uint32_t w = cell.word.load();;) {
    if ((w & ~kFlags) < kSlots) {  // free, handed over or abandoned
      platform::wake(&cell.word, 1);
      return why;
    }
    if (cell.word.compare_exchange_weak(w, w | kWaiters)) return why;
  }
}

void wake_after_release(Actor& actor, Offset at, LockCell& cell, uint32_t flags) {
  if (flags & kWaiters) platform::wake(&cell.word, 1);
  if (flags & kAsyncWaiters) actor.ringer.ring_next(at);
}

}  // namespace

Acquired lock_acquire(Actor& actor, Offset at, int64_t timeout_ns, Watched watched) {
  LockCell& cell = actor.root.ref<LockCell>(at);
  uint32_t w;
  if (timeout_ns == 0) return lock_try(actor, at, false);
  bool overtaken = false;
  const uint32_t before = acquisitions(cell);
  Spin spin;
  do {
    if (Acquired got = attempt(actor, cell, false, 0, &w); got != Acquired::kTimedOut) {
      spin.came();
      return got;
    }
    overtaken = acquisitions(cell) - before > 1;
  } while (!overtaken && spin.again());

  const uint64_t start = platform::now_ns();
  bool waited = false;
  std::optional<BlockedIn> blocked;
  for (;;) {
    // Having slept, one does not know whether others still do: the flag is set for them.
    if (Acquired got = attempt(actor, cell, waited, waited ? kWaiters : 0, &w); got != Acquired::kTimedOut)
      return got;
    Owner holder = w & ~kFlags;
    const bool handoff = holder == kHandoff;
    if (!handoff && slot_of(holder) < kSlots && holder >= kSlots) {
      bool ended = life_ended(actor.root, holder) ||
                   actor.root.slot(slot_of(holder)).generation.load() != generation_of(holder);
      if (ended && owner_dead(actor.root, holder)) {
        if (steal(actor, cell, w)) return Acquired::kAbandoned;
        continue;
      }
    }
    const int64_t passed = static_cast<int64_t>(platform::now_ns() - start);
    if (timeout_ns >= 0 && passed >= timeout_ns) return leave(cell, Acquired::kTimedOut);
    if (overtaken && !handoff) {
      // Somebody releases and takes it again, faster than we wake up. Let it run for a moment: woken each
      // time, we would only slow it down. Then insist: its next release hands over.
      if (passed < kMaxOvertakenNs && (timeout_ns < 0 || timeout_ns - passed > kNapNs)) {
        platform::nap(kNapNs);
        continue;
      }
      cell.starving.store(1);
      waited = true;  // by napping: a hand-over is for us, and ends the starving
    }
    if (!(w & kWaiters)) {
      if (!cell.word.compare_exchange_strong(w, w | kWaiters)) continue;
      w |= kWaiters;
    }
    int64_t slice = kSliceNs;
    if (watched != Watched::kNo && timeout_ns < 0) {
      if (passed < kPatienceNs) {
        slice = kPatienceNs;
      } else {
        if (!blocked)
          blocked.emplace(actor, watched == Watched::kOwned ? Blocked::kOwned : Blocked::kLock, at);
        try {
          blocked->check();
        } catch (...) {
          leave(cell, Acquired::kInterrupted);
          throw;
        }
      }
    }
    if (watched != Watched::kNo && timeout_ns >= 0 && passed >= kPatienceNs && !blocked)
      blocked.emplace(actor, Blocked::kTold, at);
    if (timeout_ns >= 0 && timeout_ns - passed < slice) slice = timeout_ns - passed;
    platform::Watch watches[2] = {{&cell.word, w}, {nullptr, 0}};
    size_t count = 1;
    if (!handoff) {
      Slot& s = actor.root.slot(slot_of(holder));
      uint32_t life = s.life.word.load();
      if (life & platform::kOwnerDied) {
        if (slice > 1000000) slice = 1000000;  // it is ending: look again soon
      } else {
        watches[count++] = {&s.life.word, life, true};
      }
    }
    bool woken = platform::wait(watches, count, slice);
    waited = true;
    overtaken = woken;
    // The kernel wakes one waiter of a life word only: the news is passed on.
    if (!handoff && life_ended(actor.root, holder))
      platform::wake(&actor.root.slot(slot_of(holder)).life.word, platform::kWakeAll);
    if (!woken && !handoff && owner_dead(actor.root, holder)) {
      uint32_t dead = cell.word.load();
      if ((dead & ~kFlags) == holder && steal(actor, cell, dead)) return Acquired::kAbandoned;
    }
    if (actor.interrupted != nullptr && slice >= kPatienceNs && !woken && actor.interrupted(actor.data))
      return leave(cell, Acquired::kInterrupted);
  }
}

Acquired lock_try(Actor& actor, Offset at, bool registered) {
  LockCell& cell = actor.root.ref<LockCell>(at);
  uint32_t w;
  for (;;) {
    if (Acquired got = attempt(actor, cell, registered, registered ? kAsyncWaiters : 0, &w);
        got != Acquired::kTimedOut)
      return got;
    Owner holder = w & ~kFlags;
    if (holder == kHandoff || !owner_dead(actor.root, holder)) return Acquired::kTimedOut;
    if (steal(actor, cell, w)) return Acquired::kAbandoned;
  }
}

bool lock_flag_async(Actor& actor, Offset at) {
  LockCell& cell = actor.root.ref<LockCell>(at);
  for (uint32_t w = cell.word.load();;) {
    uint32_t holder = w & ~kFlags;
    if (holder == 0 || holder == kHandoff || holder == kAbandoned) return false;
    if ((w & kAsyncWaiters) || cell.word.compare_exchange_weak(w, w | kAsyncWaiters)) return true;
  }
}

bool lock_release(Actor& actor, Offset at, Owner owner) {
  LockCell& cell = actor.root.ref<LockCell>(at);
  Slot& me = actor.root.slot(slot_of(actor.me));
  for (uint32_t w = cell.word.load();;) {
    uint32_t holder = w & ~kFlags;
    if (holder < kSlots || (owner != 0 && holder != owner)) {
      me.changing.store(0);
      return false;
    }
    uint32_t next = 0;
    if ((w & kFlags) != 0 && cell.starving.load() != 0) {
      cell.handoff_ms.store(now_ms());
      next = kHandoff | (w & kFlags);
    }
    if (w & kFlags) me.changing.store(at);  // if we die before the wake-ups below, the reaper does them
    if (!cell.word.compare_exchange_weak(w, next)) continue;
    crash_point();
    if (w & kFlags) {
      wake_after_release(actor, at, cell, w & kFlags);
      me.changing.store(0);
    }
    return true;
  }
}

void lock_abandon(Actor& actor, Offset at, Owner dead) {
  LockCell& cell = actor.root.ref<LockCell>(at);
  for (uint32_t w = cell.word.load(); (w & ~kFlags) == dead;)
    if (cell.word.compare_exchange_weak(w, kAbandoned | (w & kFlags))) {
      platform::wake(&cell.word, platform::kWakeAll);
      actor.ringer.ring_next(at);
      return;
    }
}

bool lock_takeable(Root& root, Offset at) {
  uint32_t holder = root.ref<LockCell>(at).word.load() & ~kFlags;
  return holder < kSlots || owner_dead(root, holder);
}

RootGuard::RootGuard(Actor& actor) : actor_(actor) {
  actor_.interrupted = nullptr;  // held for microseconds: not a wait that a user sees
  const Offset at = MULTIPROC_HEADER_FIELD(lock);
  if (lock_acquire(actor_, at, -1) != Acquired::kAbandoned) return;
  try {
    Transaction::apply(actor_.root);
  } catch (...) {  // the next one tries again
    lock_abandon(actor_, at, actor_.me);
    throw;
  }
}

RootGuard::~RootGuard() { lock_release(actor_, MULTIPROC_HEADER_FIELD(lock), actor_.me); }

}  // namespace multiproc
