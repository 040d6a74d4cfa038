// Blocks of shared memory and who keeps them alive.
//
// A block of up to 32 KiB is cut from a span of its size class; a larger one is a run of spans of its own, so
// that its pages go back to the system when it is freed (but for some that are kept warm). Data and what is
// known about it lie apart: no user's array can reach a list. A block lives as long as a slot or a container
// (a channel, a message, an end) holds it; the last hold to end frees it. All under the root lock, all
// changes through a Transaction.
#pragma once
#include <functional>
#include <vector>

#include "core/lock.h"

namespace multiproc {

class Transaction;

struct Block {
  Offset offset;  ///< of its data
  uint64_t bytes;
  Kind kind;
  uint32_t generation;
};

/// Who holds a block: a slot, or (slot = kSlots) the container at this offset.
struct Holder {
  uint32_t slot;
  Offset container;
};
constexpr Holder by_slot(uint32_t slot) { return {slot, 0}; }
constexpr Holder by_container(Offset container) { return {kSlots, container}; }

/// kAny: the contents may be what an earlier block left there; quicker for large ones that are overwritten.
/// kWritten: the caller overwrites all by heap_write before anybody touches it; quicker still.
enum class Fill { kZeros, kAny, kWritten };

/// A new block, held by `slot`. Throws ENOSPC.
Block heap_allocate(Actor& actor, uint32_t slot, uint64_t bytes, Kind kind, Fill fill = Fill::kZeros);
/// Copies bytes into a block. Throws ENOSPC.
void heap_write(Root& root, Offset offset, const void* bytes, uint64_t length);
/// Adds a hold of `slot` on a living block. Throws ERR_MP_GONE for a block that was freed, ERR_MP_CORRUPT for
/// an offset that never was a block. Holding twice counts once.
Block heap_hold(Actor& actor, uint32_t slot, Offset offset, uint32_t generation);
/// Makes a child that was reserved, or that has begun, hold a block that we hold. Throws ERR_MP_GONE if it is
/// gone.
void heap_hold_for(Actor& actor, Owner child, Offset offset);
/// Ends the hold of `slot`; the last one frees the block, and a container's holds with it, one after the
/// other: who is killed midway has the rest among its own holds. False: it had none (a double free).
bool heap_drop(Actor& actor, uint32_t slot, Offset offset);

/// Makes a container hold a block that we hold.
void heap_put_into(Actor& actor, Offset container, Offset offset);
/// Moves a hold from one holder to another, and makes `also`'s changes, as one change. Who holds the block
/// already keeps one hold. Throws ERR_MP_GONE if `from` does not hold that generation of the block.
void heap_move(Actor& actor, Holder from, Holder to, Offset offset, uint32_t generation,
               const std::function<void(Transaction&)>& also);
/// Ends a container's hold on a block, and makes `also`'s changes, as one change; the last hold to end frees
/// it.
void heap_take_out(Actor& actor, Offset container, Offset offset,
                   const std::function<void(Transaction&)>& also);
/// The blocks that a container holds, with the root lock held.
std::vector<Block> heap_contents(Root& root, Offset container);
/// What is at this offset. Throws as heap_hold.
Block heap_find(Actor& actor, Offset offset);
/// The length of a block that is held by us for as long as this takes, without the root lock; 0: there is
/// none of that kind.
uint64_t heap_length(Root& root, Offset offset, Kind kind);
/// The first block that the slot holds. False: none.
bool heap_first_held(Actor& actor, uint32_t slot, Block* out);

/// The slots that hold the block at this offset, with the root lock held. Empty: there is none.
std::vector<uint32_t> heap_holders(Root& root, Offset offset);
/// The name of the lock in this block, if it has one; with the root lock held, or while the block is held.
std::string heap_label(Root& root, Offset offset);

struct HeapStats {
  uint32_t blocks;
  uint32_t holds;
  uint64_t bytes;
};
HeapStats heap_stats(Actor& actor);

/// Bytes that a block of this length occupies.
uint64_t heap_footprint(uint64_t bytes);

/// Walks all lists and compares them with each other; for tests. Empty: sound.
std::string heap_check(Actor& actor);

}  // namespace multiproc
