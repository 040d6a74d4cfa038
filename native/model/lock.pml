/* The lock word of core/lock.h and core/lock.cc, for exhaustive search by spin: scripts/model.sh says how it is run.
 *
 *   P(1) … P(PROCESSES)   acquire (fast CAS, attempt, flag, sleep), critical section, release; the first ROUNDS
 *                         times, the others OTHER_ROUNDS times;
 *                         the last of them has a time-out and may leave whenever it looks or sleeps
 *   killer                kills one of them, at any step of it (CRASH)
 *   reaper                the helper thread of a living process: reap_slot() of the dead one
 *
 * Checked: never two living owners inside; nobody sleeps for ever (spin's "invalid end state").
 * A slice is the end of a sleep by time. It is enabled only when nothing else can move, so that whatever needs it is
 * found; SLICES says who has it: 0 nobody, 1 who sleeps on kHandoff (as "everybody may after a slice" claims), 2 all.
 * More than MAX_SLICES of them in one run would mean that they do not help: an assertion.
 *
 * A failed compare-exchange loads the word again and is decided anew, so load and exchange are one step here. Not in the
 * model: spinning (but for what is seen by it), promises (kAsyncWaiters), and the moment between a life word's mark and
 * the end of its process. */

#define FREE 0
#define HANDOFF 10
#define ABANDONED 11
#define IS_OWNER(h) (h > 0 && h <= PROCESSES)

byte holder = FREE;  /* the word without flags */
bool waiters = false; /* kWaiters */
bool starving = false;

bool asleep[PROCESSES + 1];
byte watching[PROCESSES + 1]; /* whose life word the sleeper watches, too */
bool dead[PROCESSES + 1];
bool changing[PROCESSES + 1];
bool inside[PROCESSES + 1];
byte slices = 0;

/* FUTEX_WAKE of one sleeper on the word: any of them. */
inline wake_one() {
  if
  :: asleep[1] -> asleep[1] = false
  :: asleep[2] -> asleep[2] = false
  :: asleep[3] -> asleep[3] = false
  :: else
  fi
}
inline wake_all() {
  asleep[1] = false; asleep[2] = false; asleep[3] = false
}
inline wake_watchers(who) {
  asleep[1] = asleep[1] && watching[1] != who;
  asleep[2] = asleep[2] && watching[2] != who;
  asleep[3] = asleep[3] && watching[3] != who
}

proctype P(byte me; byte rounds; bool timed) {
  byte h;
  bool w, waited, overtaken, woken, late, s;
  {
    do
    :: rounds == 0 -> break
    :: else ->
      atomic { rounds--; waited = false; overtaken = false; late = false; woken = false; h = 0; w = false; s = false };

      /* the fast path in TypeScript */
      if
      :: atomic { holder == FREE && !waiters -> holder = me; goto critical }
      :: else
      fi;
      if /* while spinning it may have seen others take the lock again and again */
      :: atomic { holder != me && IS_OWNER(holder) -> overtaken = true }
      :: true
      fi;

again:
      atomic { /* attempt() */
        h = holder; w = waiters;
        if
        :: h == FREE || h == ABANDONED || (h == HANDOFF && waited) ->
          holder = me; waiters = waiters || waited;
          goto taken
        :: else
        fi
      };
      if
      :: IS_OWNER(h) && dead[h] -> /* steal() */
        atomic {
          if
          :: holder == h && waiters == w -> holder = me; goto stolen
          :: else -> goto again
          fi
        }
      :: else
      fi;
      if
      :: late -> goto leave
      :: else
      fi;
      if
      :: overtaken && h != HANDOFF ->
        if
        :: goto again /* a nap */
        :: atomic { starving = true; waited = true }
        fi
      :: else
      fi;
      if
      :: !w ->
        atomic {
          if
          :: holder == h && waiters == w -> waiters = true; w = true
          :: else -> goto again
          fi
        }
      :: else
      fi;
      atomic { /* platform::wait on {word, life word of the owner} */
        woken = true;
        if
        :: holder == h && waiters == w && !(IS_OWNER(h) && dead[h]) ->
          asleep[me] = true; watching[me] = (IS_OWNER(h) -> h : 0)
        :: else
        fi
      };
      if
      :: !asleep[me]
      :: timed && asleep[me] -> atomic { asleep[me] = false; late = true; woken = false }
      :: (SLICES == 2 || (SLICES == 1 && h == HANDOFF)) && timeout ->
        atomic { asleep[me] = false; woken = false; slices++; assert(slices <= MAX_SLICES) }
      fi;
      atomic { waited = true; overtaken = woken; watching[me] = 0 };
      if
      :: IS_OWNER(h) && dead[h] -> atomic { wake_watchers(h) }
      :: else
      fi;
      goto again;

leave:
      atomic {
        if
        :: holder == FREE || holder == HANDOFF || holder == ABANDONED -> h = FREE
        :: else -> waiters = true; h = me
        fi
      };
      if
      :: h == FREE -> atomic { wake_one() }
      :: else
      fi;
      goto next;

stolen:
      starving = false;
      goto critical;
taken:
      if
      :: waited -> starving = false
      :: else
      fi;

critical:
      atomic {
        inside[me] = true;
        assert(!(inside[1] && !dead[1] && me != 1));
        assert(!(inside[2] && !dead[2] && me != 2));
        assert(!(inside[3] && !dead[3] && me != 3))
      };
      inside[me] = false;

      /* release: the fast path, then lock_release() */
      if
      :: atomic { holder == me && !waiters -> holder = FREE; goto next }
      :: else
      fi;
release:
      atomic { assert(holder == me); w = waiters };
      s = starving;
      changing[me] = w;
      atomic {
        if
        :: waiters != w -> goto release
        :: else ->
          if
          :: w && s -> holder = HANDOFF /* the flags stay */
          :: else -> holder = FREE; waiters = false
          fi
        fi
      };
      if
      :: w -> atomic { wake_one() }; changing[me] = false
      :: else
      fi;
next: skip
    od
  } unless {
    dead[me]
  }
}

proctype killer() {
  byte victim;
  if
  :: victim = 1
  :: victim = 2
  :: victim = 3
  :: goto nobody
  fi;
  atomic {
    dead[victim] = true;
    asleep[victim] = false;
    if /* the kernel marks the life word and wakes one of those who watch it */
    :: asleep[1] && watching[1] == victim -> asleep[1] = false
    :: asleep[2] && watching[2] == victim -> asleep[2] = false
    :: asleep[3] && watching[3] == victim -> asleep[3] = false
    :: else
    fi
  };
nobody: skip
}

proctype reaper() {
  byte gone;
end: /* it may be that nobody dies */
  if
  :: dead[1] -> gone = 1
  :: dead[2] -> gone = 2
  :: dead[3] -> gone = 3
  fi;
  if
  :: changing[gone] -> atomic { wake_all() }
  :: else
  fi;
  atomic { /* lock_abandon() */
    if
    :: holder == gone -> holder = ABANDONED; wake_all()
    :: else
    fi
  }
}

init {
  atomic {
    run P(1, ROUNDS, false);
    run P(2, OTHER_ROUNDS, false);
    run P(3, OTHER_ROUNDS, TIMED);
    if
    :: CRASH -> run killer(); run reaper()
    :: else
    fi
  }
}
