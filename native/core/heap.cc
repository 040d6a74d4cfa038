#include "core/heap.h"

#include <cerrno>
#include <cstring>

#include "core/channel.h"
#include "core/heap_change.h"

namespace multiproc {

namespace {

uint32_t class_of(uint64_t bytes) {
  uint32_t c = 0;
  while (class_bytes(c) < bytes) c++;
  return c;
}

/// Gives all warm runs back to the system. False: there was none.
bool cool(Actor& actor) {
  for (bool any = false;; any = true) {
    RootGuard guard(actor);
    Change change(actor);
    uint32_t span, pages;
    if (!change.cool_one(&span, &pages)) return any;
    change.commit();
    platform::memory_release(actor.root.memory(), Root::data_at(span), pages * kSpanBytes);
  }
}

}  // namespace

uint64_t heap_footprint(uint64_t bytes) {
  if (bytes <= kMaxSmall) return class_bytes(class_of(bytes == 0 ? 1 : bytes));
  return (bytes + kSpanBytes - 1) / kSpanBytes * kSpanBytes;
}

static Block allocate(Actor& actor, uint32_t slot, uint64_t bytes, Kind kind, Fill fill) {
  const bool small = bytes <= kMaxSmall;
  bool fresh = false, warm = fill != Fill::kZeros;
  Block block;
  {
    RootGuard guard(actor);
    Change change(actor);
    Place place =
        small ? change.take_small(class_of(bytes == 0 ? 1 : bytes), &fresh)
              : change.take_large(static_cast<uint32_t>((bytes + kSpanBytes - 1) / kSpanBytes), &warm);
    change.describe(place, bytes, kind);
    change.add_hold(place, by_slot(slot));
    if (is_container(kind)) {  // its head is read by whoever follows us, should we die
      const size_t head = small ? heap_footprint(bytes) : kContainerHead;
      if (!small) check_system(platform::memory_reserve(actor.root.memory(), place.data, head), "fallocate");
      memset(actor.root.at(place.data, head), 0, head);
    }
    change.commit();
    block = living(actor.root, place);
  }
  // Zeroing and reserving go on outside the lock: the block is ours, and freed if we die.
  if (small) {
    if (!fresh && fill == Fill::kZeros && !is_container(kind))
      memset(actor.root.at(block.offset, heap_footprint(bytes)), 0, heap_footprint(bytes));
    return block;
  }
  if (fill == Fill::kWritten) return block;
  if (!warm)
    platform::memory_release(actor.root.memory(), block.offset,
                             heap_footprint(bytes));  // whatever a killed freer left
  int error = platform::memory_reserve(actor.root.memory(), block.offset, heap_footprint(bytes));
  if (error < 0) {
    heap_drop(actor, slot, block.offset);
    throw SystemError{-error, "fallocate"};
  }
  return block;
}

Block heap_allocate(Actor& actor, uint32_t slot, uint64_t bytes, Kind kind, Fill fill) {
  if (bytes > actor.root.bytes()) throw SystemError{ENOSPC, "fallocate"};
  try {
    return allocate(actor, slot, bytes, kind, fill);
  } catch (const SystemError& e) {
    if (e.error != ENOSPC || !cool(actor)) throw;
    return allocate(actor, slot, bytes, kind, fill);
  }
}

void heap_write(Root& root, Offset offset, const void* bytes, uint64_t length) {
  if (length <= kMaxSmall && offset % kWindowBytes + length <= kWindowBytes)
    memcpy(root.at(offset, length), bytes, length);
  else
    check_system(platform::memory_write(root.memory(), offset, bytes, length), "pwrite");
}

Block heap_hold(Actor& actor, uint32_t slot, Offset offset, uint32_t generation) {
  RootGuard guard(actor);
  Change change(actor);
  Place place = change.find(offset);
  Block block = living(actor.root, place);
  if (block.generation != generation) throw Refusal{"ERR_MP_GONE", "the shared object no longer exists"};
  if (!holds(actor.root, place, by_slot(slot))) {
    change.add_hold(place, by_slot(slot));
    change.commit();
  }
  return block;
}

void heap_hold_for(Actor& actor, Owner child, Offset offset) {
  RootGuard guard(actor);
  Change change(actor);
  Place place = change.find(offset);
  living(actor.root, place);
  // Under the lock that its reaper needs for each hold: what is added now is dropped by it.
  if (owner_reaped(actor.root, child)) throw Refusal{"ERR_MP_GONE", "the child is gone"};
  if (holds(actor.root, place, by_slot(slot_of(child)))) return;
  change.add_hold(place, by_slot(slot_of(child)));
  change.commit();
}

namespace {

enum class Dropped { kDone, kNotHeld, kMore };

/// One change on the way of a drop. kMore: `*next` is to be dropped, then this block once more.
Dropped drop_step(Actor& actor, uint32_t slot, Offset offset, Offset* next) {
  *next = 0;
  Root& root = actor.root;
  RootGuard guard(actor);
  Change change(actor);
  Place place = change.find(offset);
  Block block = living(root, place);
  bool last = false;
  if (is_container(block.kind)) {
    const uint32_t first = root.ref<BlockMeta>(place.meta).holds;
    last = first != 0 && root.ref<Hold>(Root::hold_at(first)).next_of_block == 0 &&
           holds(root, place, by_slot(slot));
    if (last && block.kind == Kind::kEnd && channel_end_gone(actor, change.transaction(), offset))
      return Dropped::kMore;
    const uint32_t inner = last ? root.ref<Container>(offset).holds : 0;
    if (inner != 0) {
      Offset child = root.ref<Hold>(Root::hold_at(inner)).block;
      Place inside = change.find(child);
      living(root, inside);
      if (!change.remove_hold(inside, by_container(offset), &last))
        corrupt_heap("a container does not hold its contents");
      if (!holds(root, inside, by_slot(slot))) {
        change.add_hold(inside, by_slot(slot));
        *next = child;
      }
      change.commit();
      return Dropped::kMore;
    }
  }
  if (!change.remove_hold(place, by_slot(slot), &last)) return Dropped::kNotHeld;
  uint32_t freed_span = 0, freed_pages = 0;
  if (last) change.give_back(place, block.bytes, &freed_span, &freed_pages);
  change.commit();
  if (freed_pages != 0)
    platform::memory_release(root.memory(), Root::data_at(freed_span), freed_pages * kSpanBytes);
  return Dropped::kDone;
}

}  // namespace

bool heap_drop(Actor& actor, uint32_t slot, Offset offset) {
  std::vector<Offset> work{offset};
  for (;;) {
    Offset next;
    Dropped dropped = drop_step(actor, slot, work.back(), &next);
    if (next != 0) work.push_back(next);
    if (dropped == Dropped::kMore) continue;
    work.pop_back();
    if (work.empty()) return dropped == Dropped::kDone;
  }
}

void heap_put_into(Actor& actor, Offset container, Offset offset) {
  RootGuard guard(actor);
  Change change(actor);
  Place place = change.find(offset);
  living(actor.root, place);
  if (!is_container(living(actor.root, change.find(container)).kind)) corrupt_heap("a block holds no others");
  if (holds(actor.root, place, by_container(container))) return;
  change.add_hold(place, by_container(container));
  change.commit();
}

void heap_move(Actor& actor, Holder from, Holder to, Offset offset, uint32_t generation,
               const std::function<void(Transaction&)>& also) {
  RootGuard guard(actor);
  Change change(actor);
  Place place = change.find(offset);
  bool last;
  if (living(actor.root, place).generation != generation || !change.remove_hold(place, from, &last))
    throw Refusal{"ERR_MP_GONE", "the shared object no longer exists"};
  if (!holds(actor.root, place, to)) change.add_hold(place, to);
  also(change.transaction());
  change.commit();
}

void heap_take_out(Actor& actor, Offset container, Offset offset,
                   const std::function<void(Transaction&)>& also) {
  bool last = false;
  {
    RootGuard guard(actor);
    Change change(actor);
    Place place = change.find(offset);
    living(actor.root, place);
    if (!change.remove_hold(place, by_container(container), &last))
      throw Refusal{"ERR_MP_GONE", "the shared object no longer exists"};
    if (last) change.add_hold(place, by_slot(slot_of(actor.me)));  // ours, to be dropped step by step
    also(change.transaction());
    change.commit();
  }
  if (last) heap_drop(actor, slot_of(actor.me), offset);
}

std::vector<Block> heap_contents(Root& root, Offset container) {
  std::vector<Block> blocks;
  uint32_t at = root.ref<Container>(container).holds;
  for (uint32_t steps = 0; at != 0 && steps <= kMaxHolds; steps++) {
    Hold& hold = root.ref<Hold>(Root::hold_at(at));
    Place place;
    if (!locate(root, hold.block, &place)) corrupt_heap("a hold names no block");
    blocks.push_back(living(root, place));
    at = hold.next_of_holder;
  }
  return blocks;
}

Block heap_find(Actor& actor, Offset offset) {
  RootGuard guard(actor);
  Change change(actor);
  return living(actor.root, change.find(offset));
}

uint64_t heap_length(Root& root, Offset offset, Kind kind) {
  // Of a block that stays nobody changes these; of what else lies here we read no more than one word.
  const auto load = [](const auto& word) { return __atomic_load_n(&word, __ATOMIC_RELAXED); };
  if (offset < kDataAt || offset >= root.bytes()) return 0;
  const uint32_t index = static_cast<uint32_t>((offset - kDataAt) / kSpanBytes);
  SpanEntry& span = root.ref<SpanEntry>(Root::span_at(index));
  const SpanState state = static_cast<SpanState>(load(span.state));
  const uint32_t wanted = static_cast<uint32_t>(kind) + 1;
  if (state == SpanState::kLarge)
    return offset == Root::data_at(index) && load(span.meta.kind) == wanted ? load(span.bytes) : 0;
  const uint32_t size_class = load(span.size_class);
  if (state != SpanState::kSmall || size_class >= kSizeClasses) return 0;
  const uint64_t inside = offset - Root::data_at(index), first = first_block(size_class);
  if (inside < first || (inside - first) % class_bytes(size_class) != 0) return 0;
  const uint64_t block = (inside - first) / class_bytes(size_class);
  if (block >= blocks_of(size_class)) return 0;
  const BlockMeta& meta =
      root.ref<BlockMeta>(small_place(index, size_class, static_cast<uint32_t>(block)).meta);
  const uint64_t bytes = load(meta.link);
  return load(meta.kind) == wanted && bytes <= class_bytes(size_class) ? bytes : 0;
}

bool heap_first_held(Actor& actor, uint32_t slot, Block* out) {
  RootGuard guard(actor);
  uint32_t first = actor.root.slot(slot).holds;
  if (first == 0) return false;
  Change change(actor);
  *out = living(actor.root, change.find(actor.root.ref<Hold>(Root::hold_at(first)).block));
  return true;
}

std::vector<uint32_t> heap_holders(Root& root, Offset offset) {
  std::vector<uint32_t> slots;
  Place place;
  if (!locate(root, offset, &place)) return slots;
  uint32_t at = root.ref<BlockMeta>(place.meta).holds;
  for (uint32_t steps = 0; at != 0 && steps <= kSlots; steps++) {
    Hold& hold = root.ref<Hold>(Root::hold_at(at));
    slots.push_back(hold.slot);  // kSlots: a message or a channel holds it
    at = hold.next_of_block;
  }
  return slots;
}

std::string heap_label(Root& root, Offset offset) {
  Place place;
  if (!locate(root, offset, &place) || !place.small) return "";
  BlockMeta& meta = root.ref<BlockMeta>(place.meta);
  size_t at = 0;
  if (meta.kind == static_cast<uint32_t>(Kind::kSync) + 1)
    at = kSyncCellsEnd;
  else if (meta.kind <= static_cast<uint32_t>(Kind::kRLock) + 1 &&
           meta.kind > static_cast<uint32_t>(Kind::kData) + 1)
    at = sizeof(LockCell);
  constexpr size_t kMost = kNamedLockBytes - sizeof(LockCell);
  if (at == 0 || meta.link < at + kMost) return "";
  const char* name = static_cast<const char*>(root.at(offset + at, kMost));
  return std::string(name, strnlen(name, kMost));
}

HeapStats heap_stats(Actor& actor) {
  RootGuard guard(actor);
  Header& h = actor.root.header();
  return {h.live_blocks, h.live_holds, h.live_bytes};
}

std::string heap_check(Actor& actor) {
  RootGuard guard(actor);
  Root& root = actor.root;
  Header& h = root.header();
  uint32_t blocks = 0, block_holds = 0, holder_holds = 0, free_runs = 0, listed_runs = 0, warm_runs = 0,
           warm = 0;
  auto text = [](const char* what, uint64_t a, uint64_t b) {
    return std::string(what) + ": " + std::to_string(a) + " and " + std::to_string(b);
  };
  auto count_holds = [&](uint32_t first) {
    for (uint32_t n = 0; first != 0;
         n++, block_holds++, first = root.ref<Hold>(Root::hold_at(first)).next_of_block)
      if (n > kSlots) return;
  };
  auto count_held = [&](uint32_t first) {
    for (; first != 0 && holder_holds <= h.live_holds;
         first = root.ref<Hold>(Root::hold_at(first)).next_of_holder)
      holder_holds++;
  };
  for (uint32_t i = 0; i < h.span_high;) {
    SpanEntry& span = root.ref<SpanEntry>(Root::span_at(i));
    uint32_t pages = 1;
    switch (static_cast<SpanState>(span.state)) {
      case SpanState::kUnused:
        return text("a span is nobody's", i, 0);
      case SpanState::kFree:
        pages = span.pages;
        free_runs++;
        if (root.ref<SpanEntry>(Root::span_at(i + pages - 1)).pages != pages)
          return text("a free run's ends differ", i, pages);
        break;
      case SpanState::kWarm:
        pages = span.pages;
        warm += pages;
        warm_runs++;
        break;
      case SpanState::kLarge:
        pages = span.pages;
        blocks++;
        count_holds(span.meta.holds);
        if (span.meta.kind != 0 && is_container(static_cast<Kind>(span.meta.kind - 1)))
          count_held(root.ref<Container>(Root::data_at(i)).holds);
        break;
      case SpanState::kSmall: {
        uint32_t used = 0;
        for (uint32_t b = 0; b < span.fresh; b++) {
          BlockMeta& meta = root.ref<BlockMeta>(small_place(i, span.size_class, b).meta);
          if (meta.kind == 0) continue;
          used++;
          if (meta.holds == 0) return text("a living block is held by nobody", i, b);
          count_holds(meta.holds);
          if (is_container(static_cast<Kind>(meta.kind - 1)))
            count_held(root.ref<Container>(small_place(i, span.size_class, b).data).holds);
        }
        if (used != span.used) return text("used blocks of a span", used, span.used);
        blocks += used;
        break;
      }
    }
    if (pages == 0) return text("an empty run", i, 0);
    i += pages;
  }
  for (uint32_t at = h.run_free; at != 0; at = root.ref<SpanEntry>(Root::span_at(at - 1)).next) listed_runs++;
  for (uint32_t s = 0; s < kSlots; s++) count_held(root.slot(s).holds);
  for (uint32_t at = h.run_warm; at != 0; at = root.ref<SpanEntry>(Root::span_at(at - 1)).next) warm_runs--;
  if (blocks != h.live_blocks) return text("living blocks", blocks, h.live_blocks);
  if (block_holds != holder_holds) return text("holds by block and by holder", block_holds, holder_holds);
  if (warm_runs != 0 || warm != h.warm_spans) return text("warm spans", warm, h.warm_spans);
  if (block_holds != h.live_holds) return text("holds", block_holds, h.live_holds);
  if (free_runs != listed_runs) return text("free runs", free_runs, listed_runs);
  return "";
}

}  // namespace multiproc
