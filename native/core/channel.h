// Channels: messages from any number of writers to any number of readers, in order, in shared memory.
//
//   write lock                                     read lock
//   writers ──▶ chunk ─next─▶ chunk ─next─▶ chunk ──▶ readers ──▶ spare ──▶ writers
//                  records, 8 bytes each before the message
//
//   put    lock · copy records behind the cursor · prepare the other cursor · signal += 2 (published) ·
//   unlock · wake take   lock · copy records out · prepare the other cursor · signal += 2 (taken) · unlock ·
//   wake
//
// The one word `signal` commits: what a killed writer had not published is overwritten, what a killed reader
// had not taken is still there. A long message, or one that holds shared objects, is a block of its own: the
// channel holds it from its publication on, its taker from then until it has settled it; the hold moves in
// the same change that commits. A taker that dies before it has settled leaves it to others, once (reap_slot:
// channel_redeliver).
#pragma once
#include "core/heap.h"

namespace multiproc {

class Transaction;

enum class Outcome : int {
  kDone = 0,
  kWait = 1,      ///< no room, or no message: wait for the other side
  kEnded = 2,     ///< the other side is gone (and, for a reader, all is read)
  kShutDown = 3,  ///< channel_shut_down
  kTimedOut = 4,
  kInterrupted = 5,
};

struct Limits {
  uint32_t messages;  ///< 0: none
  uint64_t bytes;     ///< 0: none. One message always fits into an empty channel.
};

/// A new channel, held by the actor. Throws ENOSPC.
Block channel_create(Actor& actor, Limits limits);
struct Pipe {
  Block first, second;
};
/// Two ends, held by the actor; the first one reads what the second writes and, if `duplex`, the other way
/// round.
Pipe pipe_create(Actor& actor, bool duplex, uint64_t max_bytes);

/// Publishes records as they lie there, as many as there is room for. `*done`: their bytes; `*seen`: the
/// signal of the other side, for channel_wait. Throws ENOSPC, having published nothing.
Outcome channel_put(Actor& actor, Offset channel, const char* records, size_t bytes, size_t* done,
                    uint32_t* seen);

/// A new message of so many bytes, held by the actor, to be written behind its head by heap_write. Throws
/// ENOSPC.
Block message_create(Actor& actor, uint64_t bytes, uint32_t what);
/// Publishes a message that this actor holds; the hold becomes the channel's.
Outcome channel_put_message(Actor& actor, Offset channel, Offset message, uint32_t* seen);

struct Taken {
  size_t bytes;      ///< of records
  uint32_t records;  ///< how many
  Offset message;    ///< or a message that this actor holds now
  uint64_t message_bytes;
  uint32_t what;
};
/// Copies up to `most` records into `into` (room for one of kMaxInline at least) and keeps the readers' lock
/// until channel_commit; or takes one message of its own.
Outcome channel_take(Actor& actor, Offset channel, char* into, size_t room, uint32_t most, Taken* taken,
                     uint32_t* seen);
/// The first `count` of the records that channel_take has copied are taken; the others stay. Until then a
/// reader that is killed has taken nothing.
void channel_commit(Actor& actor, Offset channel, uint32_t count);
/// The taker has what it needs of a message: it is not delivered again. Dropping it ends it.
void message_settle(Actor& actor, Offset message);
/// A taker died before it had settled this message: others get it. False: it is not to be delivered again.
bool channel_redeliver(Actor& actor, uint32_t dead, const Block& message);

enum class Waits { kMessage, kRoom, kDone };
/// Blocks until the other side has moved on from what was `seen`. Negative: for ever.
Outcome channel_wait(Actor& actor, Offset channel, Waits what, uint32_t seen, int64_t timeout_ns);
/// The word that a waiter looks at, and where event loops register: the offset of the side.
Offset side_of(Offset channel, Waits what);
/// The next change rings one who is registered. False: it has changed already.
bool side_flag(Root& root, Offset side, uint32_t seen);
/// Who was woken and leaves with nothing passes it on.
void side_pass_on(Actor& actor, Offset channel, Waits what);

struct Counts {
  uint32_t messages;
  uint64_t bytes;
  uint32_t unfinished;
};
Counts channel_counts(Root& root, Offset channel);
uint32_t channel_ended(Root& root, Offset channel);
/// Nothing can be put any more. `now`: and nothing taken; what is queued is dropped.
void channel_shut_down(Actor& actor, Offset channel, bool now);
/// One task less. False: there was none.
bool channel_task_done(Actor& actor, Offset channel);

/// The last hold on this end is about to go: tells the other ends. False: that was done before.
bool channel_end_gone(Actor& actor, Transaction& transaction, Offset end);
/// A dead owner's locks.
void channel_abandon(Actor& actor, Offset channel, Owner dead);

}  // namespace multiproc
