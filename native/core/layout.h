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
#include <cstdint>

#include "platform/platform.h"

namespace multiproc {

using platform::Word;
using Offset = uint64_t;

constexpr uint64_t kMagic = 0x636f72706974756dull;  // "mutiproc", read as little-endian text
constexpr uint32_t kLayoutVersion = 1;

/// A lock's block is this long if it has a label, which begins after its cell: its name, or @ and where it
/// was made.
constexpr size_t kNamedLockBytes = 64;

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
  uint32_t reserved[2];
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
  std::atomic<Offset> delivery;  ///< a block handed to the child of a reserved slot
  std::atomic<Offset> changing;  ///< a lock word about to be changed in a way that owes somebody a wake-up
  platform::Bell bell;
  Word awaits_overflow;  ///< how many more objects are awaited than fit below
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
  kCount
};
constexpr bool has_lock(Kind kind) {
  return kind == Kind::kLock || kind == Kind::kRLock || kind == Kind::kLockedValue ||
         kind == Kind::kLockedArray || kind == Kind::kSync;
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

/// Who keeps a block: a node in two lists, that of the block and that of the slot. 32 bytes.
struct Hold {
  Offset block;  ///< where its BlockMeta lies
  uint32_t slot;
  uint32_t next_of_block;
  uint32_t next_of_slot;
  uint32_t previous_of_slot;
  uint32_t reserved[2];
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

enum class SpanState : uint32_t { kUnused, kSmall, kLarge, kFree };

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

// ---- header
// ----------------------------------------------------------------------------------------------------------

constexpr uint32_t kJournalEntries = 64;
/// A redo record: see transaction.h.
struct Journal {
  Word committed;  ///< number of entries to be applied; 0: nothing
  uint32_t reserved;
  struct {
    uint64_t target;
    uint64_t value;
  } entries[kJournalEntries];
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
