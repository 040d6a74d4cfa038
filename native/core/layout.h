// What lies where in the root, the one object of shared memory that a family of processes shares.
//
//   0          header: identity, root lock, journal, heads of all lists
//   64 KiB     slots, one per process (its helper thread) and one per environment (a Node thread)
//   2 MiB..    hold records: who keeps which block alive
//   4 GiB..    span table: one entry for each 64 KiB of data
//   8 GiB..    data: spans, either cut into small blocks or run together for a large one
//
// Everything is sparse: what nobody touched costs nothing. All links are offsets or indices, never addresses.
// Both sides of every word that two processes change at once are std::atomic; the rest changes under the root
// lock.
#pragma once
#include <cstddef>
#include <cstdint>

#include "platform/platform.h"

namespace multiproc {

using platform::Word;
using Offset = uint64_t;

constexpr uint64_t kMagic = 0x636f72706974756dull;  // "mutiproc", read as little-endian text
constexpr uint32_t kLayoutVersion = 4;

/// A lock's block is this long if it has a label, which begins after its cell: its name, or @ and where it
/// was made.
constexpr size_t kNamedLockBytes = 64;
constexpr size_t kLabelBytes = 32;

constexpr uint64_t kWindowBytes = uint64_t{4} << 20;
constexpr uint64_t kSpanBytes = uint64_t{64} << 10;
constexpr uint64_t kRootBytes = uint64_t{1} << 40;

constexpr uint32_t kSlots = 4096;
constexpr Offset kSlotsAt = kSpanBytes;
constexpr Offset kHoldsAt = uint64_t{2} << 20;
constexpr uint32_t kMaxHolds = 1u << 26;
constexpr Offset kSpansAt = uint64_t{4} << 30;
constexpr Offset kDataAt = uint64_t{8} << 30;

// ---- owner ids and lock words
// --------------------------------------------------------------------------------------

/// An owner: slot number (12 bits) and the slot's generation (18 bits, never 0). 0 is nobody.
using Owner = uint32_t;
constexpr uint32_t kSlotBits = 12;
constexpr uint32_t kGenerations = 1u << 18;
constexpr Owner owner_id(uint32_t slot, uint32_t generation) { return slot | generation << kSlotBits; }
constexpr uint32_t slot_of(Owner owner) { return owner & (kSlots - 1); }
constexpr uint32_t generation_of(Owner owner) { return owner >> kSlotBits; }

// A lock word is 0 (free), an owner, or one of two marks (generation 0, so no owner), with two flags:
constexpr uint32_t kWaiters = 1u << 31;       ///< somebody sleeps on the word
constexpr uint32_t kAsyncWaiters = 1u << 30;  ///< somebody is registered in a slot
constexpr uint32_t kFlags = kWaiters | kAsyncWaiters;
constexpr uint32_t kAbandoned = 1;  ///< free; its last owner died holding it
constexpr uint32_t kHandoff = 2;    ///< free, but only for those who have waited

/// A robust lock, 32 bytes: at the start of every block that has one.
struct LockCell {
  Word word;
  uint32_t depth;  ///< RLock: how often its owner has it; only the owner touches it
  uint32_t
      acquisition;   ///< number of this acquisition, so that an old Held cannot end a newer one; owner only
  Word starving;     ///< a waiter was overtaken too often: the next release hands over
  Word handoff_ms;   ///< when kHandoff was stored
  uint32_t counter;  ///< of acquisitions; owner only
  uint32_t type;     ///< of a kSync object: which class it is, see lib/sync/monitor.ts; for inspection
  uint32_t reserved;
};
static_assert(sizeof(LockCell) == 32, "lib/sync knows this layout");

// ---- slots
// -----------------------------------------------------------------------------------------------------------

/// In the low bits of Slot::state; above them the pid of the process that brought the slot there, so that a
/// slot whose claimant or reaper was killed midway is known to be nobody's.
enum class SlotState : uint32_t { kFree, kClaimed, kReserved, kLive, kReaping };
constexpr uint32_t kStateBits = 3;
constexpr uint32_t slot_state(SlotState state, uint32_t pid) {
  return static_cast<uint32_t>(state) | pid << kStateBits;
}
constexpr SlotState state_of(uint32_t word) {
  return static_cast<SlotState>(word & ((1u << kStateBits) - 1));
}
constexpr uint32_t pid_of(uint32_t word) { return word >> kStateBits; }

constexpr size_t kMaxAwaits = 8;

/// Who is there. A process slot stands for the helper thread and so for the process; an environment slot for
/// one Node thread, which is the owner in lock words. Environment slots point to their process slot.
///
///   kFree → kClaimed → kLive → kReaping → kFree          a process, or a thread of it
///   kFree → kClaimed → kReserved → kLive …               a child: its parent reserves, it takes over
struct Slot {
  platform::Life life;
  Word state;
  Word generation;
  Word process;  ///< Owner: whose environment this is; of a process slot: itself
  uint32_t pid;
  uint64_t start_time;
  uint32_t thread;               ///< native id of the helper thread
  uint32_t node_thread;          ///< threadId of worker_threads
  uint32_t holds;                ///< first hold record of this slot; under the root lock
  Word bell_count;               ///< process slot: its helper sleeps on it
  Word rung;                     ///< environment slot: a ring is on its way to the event loop
  Word delivered;                ///< child: 1: `delivery` is there; 2: it was taken
  Word let_go;                   ///< child: its parent ended in order, it may go on alone
  uint32_t started_by;           ///< child: pid of the process that asked for it; for inspection
  std::atomic<Offset> delivery;  ///< a block handed to the child of a reserved slot
  std::atomic<Offset> changing;  ///< a lock word about to be changed in a way that owes somebody a wake-up
  platform::Bell bell;
  Word awaits_overflow;   ///< how many more objects are awaited than fit below
  uint32_t start_method;  ///< child: 1 spawn, 2 forkserver, 3 fork, 4 a template of these; for inspection
  std::atomic<Offset> awaits[kMaxAwaits];
  std::atomic<Offset> blocked_in;  ///< while `blocked`: the object, see deadlock.h
  Word blocked;
  Word blocked_number;           ///< of this wait
  char name[32];                 ///< of the process, for messages
  std::atomic<uint64_t> broker;  ///< process slot: where to ask for descriptors, see descriptors.cc
};
static_assert(sizeof(Slot) <= 256, "a slot is at most four cache lines");

// ---- blocks
// ----------------------------------------------------------------------------------------------------------

/// What a block is for. Those with a lock have it at their start.
enum class Kind : uint32_t {
  kData,
  kLock,
  kRLock,
  kValue,
  kLockedValue,
  kArray,
  kLockedArray,
  kParcel,
  kSync,
  kChannel,
  kChunk,
  kMessage,
  kEnd,
  kCollection,
  kTable,
  kCount
};
constexpr bool has_lock(Kind kind) {
  return kind == Kind::kLock || kind == Kind::kRLock || kind == Kind::kLockedValue ||
         kind == Kind::kLockedArray || kind == Kind::kSync;
}

/// A block that keeps others alive begins with the head of the list of its holds.
struct Container {
  uint32_t holds;  ///< first hold record; under the root lock
  uint32_t reserved;
};
constexpr size_t kContainerHead = 64;  ///< what of a container must be valid at all times
constexpr bool is_container(Kind kind) {
  return kind == Kind::kChannel || kind == Kind::kMessage || kind == Kind::kEnd ||
         kind == Kind::kCollection || kind == Kind::kTable;
}

/// A semaphore, condition, event, barrier or read-write lock: lib/sync/monitor.ts has the whole of it. The
/// core only sleeps on its cells, and tells those who sleep when an owner has died.
struct SyncCell {
  Word state;
  uint32_t want, granted, held;
  Word owner;
  uint32_t order;
  Word tag;
  uint32_t result;
};
static_assert(sizeof(SyncCell) == 32, "lib/sync/monitor.ts knows this layout");
constexpr size_t kSyncHead = 128;
constexpr size_t kSyncBytes = 8192;
constexpr size_t kSyncCellsEnd = kSyncBytes - 32;  ///< the object's name follows
constexpr uint32_t kCellWaiting = 1;               ///< its owner sleeps, or is to be rung
constexpr uint32_t kCellLook = 3;                  ///< somebody has died: its owner is to look
constexpr uint32_t kCellAsync = 1;                 ///< in a tag

/// Who keeps a block, a slot or a container: a node in two lists, that of the block and that of the holder.
struct Hold {
  Offset block;
  uint32_t slot;  ///< kSlots: a container
  uint32_t next_of_block;
  uint32_t next_of_holder;
  uint32_t previous_of_holder;
  Offset container;
};
static_assert(sizeof(Hold) == 32, "");

/// About one block; beside the blocks, so that no user's array can reach it.
struct BlockMeta {
  uint32_t generation;  ///< unique for each allocation
  uint32_t holds;       ///< first hold record; 0: the block is free
  uint32_t kind;        ///< Kind + 1; 0: free
  uint32_t link;        ///< small: length while live, next free index + 1 while free
};
static_assert(sizeof(BlockMeta) == 16, "");

/// A warm run is free, too, but its pages are kept: filling new ones takes nine times as long.
enum class SpanState : uint32_t { kUnused, kSmall, kLarge, kFree, kWarm };
constexpr uint32_t kMaxWarmSpans = 1024;  // 64 MiB

struct SpanEntry {
  uint32_t state;
  uint32_t
      pages;      ///< of a run: its length in spans (at the head; at the tail of a free run: of the run, too)
  uint32_t next;  ///< class list or free-run list: span index + 1
  uint32_t previous;
  uint32_t size_class;
  uint32_t used;       ///< small: live blocks
  uint32_t fresh;      ///< small: blocks from here on were never used
  uint32_t free_head;  ///< small: index + 1
  BlockMeta meta;      ///< large
  uint64_t bytes;      ///< large: its length
  uint64_t reserved;
};
static_assert(sizeof(SpanEntry) == 64, "");

constexpr uint32_t kSizeClasses = 13;  // 8 B … 32 KiB, powers of two
constexpr uint64_t kMaxSmall = uint64_t{32} << 10;

constexpr uint64_t class_bytes(uint32_t size_class) { return uint64_t{8} << size_class; }
/// A small span: first the metas of its blocks, then the blocks, aligned to their size up to a cache line.
constexpr uint32_t blocks_of(uint32_t size_class) {
  uint64_t size = class_bytes(size_class);
  uint64_t align = size < 64 ? size : 64;
  uint64_t n = kSpanBytes / (size + sizeof(BlockMeta));
  while ((n * sizeof(BlockMeta) + align - 1) / align * align + n * size > kSpanBytes) n--;
  return static_cast<uint32_t>(n);
}
constexpr uint64_t first_block(uint32_t size_class) {
  uint64_t align = class_bytes(size_class) < 64 ? class_bytes(size_class) : 64;
  return (blocks_of(size_class) * sizeof(BlockMeta) + align - 1) / align * align;
}
static_assert(blocks_of(kSizeClasses - 1) >= 1, "the largest small block fits");

// ---- channels: see channel.h
// -----------------------------------------------------------------------------------------------------

/// How far the writers or the readers have come.
struct Cursor {
  std::atomic<Offset> chunk;
  std::atomic<uint64_t> bytes;  ///< in all, for the limit
  Word at;                      ///< in the chunk's data
  Word count;                   ///< messages in all, modulo 2^32
};

/// What the other side waits for. `signal` grows by 2 (mod 4) with each commit: cursor[(signal >> 1) & 1] is
/// in force, the other one is being prepared. Other news adds a multiple of 4.
struct Side {
  Word signal;
  Word asleep;      ///< somebody sleeps on `signal`
  Word registered;  ///< event loops wait, too
  uint32_t reserved;
  Cursor cursor[2];
};
static_assert(sizeof(Side) == 64, "a side is one cache line");

// In Channel::ended.
constexpr uint32_t kReadersGone = 1;
constexpr uint32_t kWritersGone = 2;
constexpr uint32_t kShutDown = 4;
constexpr uint32_t kShutDownNow = 8;  ///< what is queued is not delivered any more

struct Channel {
  Container held;         ///< its chunks and messages
  uint32_t generation;    ///< of its block
  uint32_t max_messages;  ///< 0: no limit
  uint64_t max_bytes;     ///< 0: no limit
  Word ended;
  Word redelivered;               ///< messages in the list below
  std::atomic<Offset> redeliver;  ///< messages whose takers died
  std::atomic<Offset> spare;      ///< a chunk that was read to its end
  alignas(64) LockCell write_lock;
  alignas(64) Side put;
  alignas(64) LockCell read_lock;
  alignas(64) Side taken;
  alignas(64) Side done;  ///< no cursors: signal >> 1 counts the tasks that are done; bit 0: shut down
  alignas(64) char label[kLabelBytes];  ///< as a lock's, or empty; for inspection
  uint32_t type;                        ///< 0: of a pipe; else a queue, see lib/channel/queue.ts
};

struct Chunk {
  std::atomic<Offset> next;
  uint32_t size;  ///< of the data that follow
  uint32_t reserved;
};
constexpr size_t kMinChunk = 4096;
constexpr size_t kMaxChunk = kSpanBytes;
/// A longer message gets a block of its own.
constexpr size_t kMaxInline = 16 << 10;

/// Before each message in a chunk.
struct Record {
  uint32_t length;
  uint32_t what;
};
constexpr uint32_t kRecordEnd = 0xffffffffu;     ///< as `what`: the rest of the chunk is empty
constexpr uint32_t kRecordHandle = 0x80000000u;  ///< in `what`: the message is a block of its own
constexpr size_t record_bytes(size_t length) { return sizeof(Record) + (length + 7) / 8 * 8; }
struct HandleRecord {
  Record head;
  Offset message;
  uint64_t bytes;
  uint32_t generation;
  uint32_t reserved;
};

/// A message in a block of its own; its bytes follow.
struct Message {
  Container held;  ///< the shared objects in it
  Offset channel;  ///< through which it was sent
  uint32_t channel_generation;
  uint32_t taken;  ///< 1: its taker has not settled it: it is delivered again should the taker die
  Offset next;     ///< in the list of those to be redelivered
  uint32_t what;
  uint32_t deaths;  ///< of takers, so far
  uint32_t reserved[6];
};
/// After so many a message is held to be what kills them, and is dropped.
constexpr uint32_t kMostDeaths = 8;
static_assert(sizeof(Message) == kContainerHead, "");

static_assert(offsetof(Channel, label) == 384, "lib/channel/queue.ts knows this layout");

/// One end of a pipe: the last to let go of it ends the channels for the other end.
struct End {
  Container held;  ///< the channels
  uint32_t closed;
  uint32_t reserved;
  Offset reads;   ///< a channel, or 0
  Offset writes;  ///< a channel, or 0
};

// ---- header
// ----------------------------------------------------------------------------------------------------------

struct JournalEntry {
  uint64_t target;
  uint64_t value;
};
/// A redo record: see transaction.h.
template <uint32_t N>
struct JournalOf {
  Word committed;  ///< number of entries to be applied; 0: nothing
  uint32_t reserved;
  JournalEntry entries[N];
};
constexpr uint32_t kJournalEntries = 64;
using Journal = JournalOf<kJournalEntries>;

// ---- collections: see collection.h
// ------------------------------------------------------------------------------------------------

constexpr uint32_t kChangeEntries = 28;

/// A dictionary or a list.
struct Collection {
  Container held;  ///< its lock and its table
  Offset lock;     ///< a block of kRLock: the same lock as scripts have
  uint32_t lock_generation;
  uint32_t keyed;  ///< 1: a dictionary
  Word busy;       ///< a change has begun: whoever has the lock next sees to it that it is whole
  uint32_t reserved;
  std::atomic<Offset> table;   ///< the one in force
  std::atomic<Offset> doomed;  ///< a block that the table, or the collection, holds and that is to go
  uint64_t reserved2[2];
  JournalOf<kChangeEntries> journal;  ///< of changes that concern this collection only
};

/// What is in a collection: behind this head the index (of a dictionary), the entries, the records.
struct Table {
  Container held;       ///< values that are blocks of their own
  uint32_t slots;       ///< of the index: a power of two; 0: a list
  uint32_t capacity;    ///< of entries
  uint64_t data_bytes;  ///< room for records
  uint32_t used;        ///< entries
  uint32_t live;        ///< those that have a record
  uint32_t first;       ///< list: those before it are gone
  uint32_t reserved;
  uint64_t data_used;
  uint64_t data_dead;  ///< bytes of records that are no entry's any more
  uint64_t sequence;   ///< of the next entry
};
static_assert(sizeof(Table) == kContainerHead, "what is read of a table must be valid at all times");

struct TableEntry {
  uint32_t at;  ///< of the record in the data, in units of 8 bytes, + 1; 0: deleted
  uint32_t hash;
  uint64_t sequence;  ///< grows with each entry, and stays when the table is built anew
};

/// Before a key and its value.
struct TableRecord {
  uint32_t room;  ///< of the whole record, a multiple of 8
  uint32_t key_bytes;
  uint32_t value_bytes;
  uint32_t item;  ///< 1: the value is an Item
};

/// A value that is a block of its own: a Message without a channel.
struct Item {
  Offset message;
  uint32_t generation;
  uint32_t reserved;
};

struct Header {
  uint64_t magic;
  uint32_t version;
  uint32_t reserved;
  uint64_t bytes;
  uint64_t pid_namespace;
  uint8_t id[16];
  alignas(64) LockCell lock;
  alignas(64) Journal journal;
  // Heads of lists and high-water marks; 32-bit, under the root lock.
  alignas(64) uint32_t hold_high;  ///< record 0 is never used
  uint32_t hold_free;
  uint32_t span_high;
  uint32_t run_free;  ///< free runs of spans: index + 1
  uint32_t run_warm;  ///< warm ones
  uint32_t warm_spans;
  uint32_t next_generation;
  uint32_t class_partial[kSizeClasses];  ///< spans with a free block: index + 1
  uint32_t live_blocks;
  uint32_t live_holds;
  alignas(8) uint64_t live_bytes;
  alignas(64) Word slot_high;  ///< slots from here on were never used
  Word slot_cursor;            ///< where to look for a free one: used again as late as possible
  Word ring_cursor;            ///< whom to ring next, so that all have their turn
};
static_assert(sizeof(Header) <= kSpanBytes, "");

}  // namespace multiproc
