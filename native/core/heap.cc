#include "core/heap.h"

#include <cerrno>
#include <cstring>

#include "core/channel.h"
#include "core/transaction.h"

namespace multiproc {

namespace {

uint32_t class_of(uint64_t bytes) {
  uint32_t c = 0;
  while (class_bytes(c) < bytes) c++;
  return c;
}
constexpr uint32_t kNone = UINT32_MAX;

/// Where a block and its meta lie.
struct Place {
  uint32_t span;
  bool small;
  uint32_t size_class;
  uint32_t index;
  Offset meta;
  Offset data;
  Offset field(size_t offset) const { return meta + offset; }
};

Place small_place(uint32_t span, uint32_t size_class, uint32_t index) {
  Offset start = Root::data_at(span);
  return {span,
          true,
          size_class,
          index,
          start + index * sizeof(BlockMeta),
          start + first_block(size_class) + index * class_bytes(size_class)};
}
Place large_place(uint32_t span) {
  return {span, false, 0, 0, MULTIPROC_SPAN_FIELD(span, meta), Root::data_at(span)};
}

[[noreturn]] void corrupt(const char* what) { throw Refusal{"ERR_MP_CORRUPT", what}; }

/// One change of the heap: a transaction and the steps it is made of.
class Change {
 public:
  explicit Change(Actor& actor) : actor_(actor), root_(actor.root), t_(root_) {}

  void commit() { t_.commit(); }

  Place take_small(uint32_t size_class, bool* fresh);
  Place take_large(uint32_t pages, bool* warm);
  void describe(const Place& place, uint64_t bytes, Kind kind);
  void add_hold(const Place& place, Holder holder);
  /// False: the holder holds no such block. `*last`: nobody does any more.
  bool remove_hold(const Place& place, Holder holder, bool* last);
  bool cool_one(uint32_t* freed_span, uint32_t* freed_pages);
  Transaction& transaction() { return t_; }
  /// Returns the run of spans that became free, if any.
  void give_back(const Place& place, uint64_t bytes, uint32_t* freed_span, uint32_t* freed_pages);
  Place find(Offset offset);

 private:
  uint32_t span(uint32_t index, size_t field) { return t_.get(Root::span_at(index) + field); }
  void set_span(uint32_t index, size_t field, uint32_t value) { t_.set(Root::span_at(index) + field, value); }
  uint32_t head(size_t field) { return t_.get(field); }
  void set_head(size_t field, uint32_t value) { t_.set(field, value); }
  void link(size_t list, uint32_t index);
  void unlink(size_t list, uint32_t index);
  uint32_t take_run(uint32_t pages);
  uint32_t take_warm(uint32_t pages);
  void keep_warm(uint32_t index, uint32_t pages);
  void free_run(uint32_t index, uint32_t pages);
  void set_free_run(uint32_t index, uint32_t pages);
  void clear_free_run(uint32_t index);
  void reserve_table(Offset from, Offset to);

  Actor& actor_;
  Root& root_;
  Transaction t_;
};

#define SPAN(field) offsetof(SpanEntry, field)
#define HEAD(field) offsetof(Header, field)
constexpr size_t partial_list(uint32_t size_class) {
  return HEAD(class_partial) + size_class * sizeof(uint32_t);
}

// ---- lists of spans
// ----------------------------------------------------------------------------------------------

void Change::link(size_t list, uint32_t index) {
  uint32_t first = head(list);
  set_span(index, SPAN(next), first);
  set_span(index, SPAN(previous), 0);
  if (first != 0) set_span(first - 1, SPAN(previous), index + 1);
  set_head(list, index + 1);
}

void Change::unlink(size_t list, uint32_t index) {
  uint32_t next = span(index, SPAN(next)), previous = span(index, SPAN(previous));
  if (previous != 0)
    set_span(previous - 1, SPAN(next), next);
  else
    set_head(list, next);
  if (next != 0) set_span(next - 1, SPAN(previous), previous);
}

/// The tables are sparse, too: a new part of one is reserved before it is touched.
void Change::reserve_table(Offset from, Offset to) {
  Offset first = (from + kSpanBytes - 1) / kSpanBytes * kSpanBytes;
  Offset end = (to + kSpanBytes - 1) / kSpanBytes * kSpanBytes;
  if (first < end) check_system(platform::memory_reserve(root_.memory(), first, end - first), "fallocate");
}

// ---- runs of spans: first fit over free runs, else from the top; neighbours are joined
// ------------------------------

void Change::set_free_run(uint32_t index, uint32_t pages) {
  set_span(index, SPAN(state), static_cast<uint32_t>(SpanState::kFree));
  set_span(index, SPAN(pages), pages);
  uint32_t tail = index + pages - 1;
  set_span(tail, SPAN(state), static_cast<uint32_t>(SpanState::kFree));
  set_span(tail, SPAN(pages), pages);
  link(HEAD(run_free), index);
}

void Change::clear_free_run(uint32_t index) {
  uint32_t pages = span(index, SPAN(pages));
  unlink(HEAD(run_free), index);
  set_span(index, SPAN(state), static_cast<uint32_t>(SpanState::kUnused));
  set_span(index + pages - 1, SPAN(state), static_cast<uint32_t>(SpanState::kUnused));
}

uint32_t Change::take_run(uint32_t pages) {
  for (uint32_t at = head(HEAD(run_free)); at != 0; at = span(at - 1, SPAN(next))) {
    uint32_t index = at - 1, have = span(index, SPAN(pages));
    if (have < pages) continue;
    clear_free_run(index);
    if (have > pages) set_free_run(index + pages, have - pages);
    set_span(index, SPAN(pages), pages);
    return index;
  }
  uint32_t index = head(HEAD(span_high));
  if (pages > root_.max_spans() || index > root_.max_spans() - pages) throw SystemError{ENOSPC, "fallocate"};
  reserve_table(Root::span_at(index), Root::span_at(index + pages));
  set_head(HEAD(span_high), index + pages);
  set_span(index, SPAN(pages), pages);
  return index;
}

void Change::free_run(uint32_t index, uint32_t pages) {
  uint32_t high = head(HEAD(span_high));
  const uint32_t kFree = static_cast<uint32_t>(SpanState::kFree);
  set_span(index, SPAN(state), static_cast<uint32_t>(SpanState::kUnused));
  if (index + pages < high && span(index + pages, SPAN(state)) == kFree) {
    uint32_t more = span(index + pages, SPAN(pages));
    clear_free_run(index + pages);
    pages += more;
  }
  if (index > 0 && span(index - 1, SPAN(state)) == kFree) {
    uint32_t more = span(index - 1, SPAN(pages));
    clear_free_run(index - more);
    index -= more;
    pages += more;
  }
  if (index + pages == high)
    set_head(HEAD(span_high), index);
  else
    set_free_run(index, pages);
}

// ---- warm runs: first fit; the rest of a longer one stays warm. They are not joined: what is not used again
// goes back to the system when others come.

void Change::keep_warm(uint32_t index, uint32_t pages) {
  set_span(index, SPAN(state), static_cast<uint32_t>(SpanState::kWarm));
  set_span(index, SPAN(pages), pages);
  link(HEAD(run_warm), index);
  set_head(HEAD(warm_spans), head(HEAD(warm_spans)) + pages);
}

uint32_t Change::take_warm(uint32_t pages) {
  uint32_t steps = 0;
  for (uint32_t at = head(HEAD(run_warm)); at != 0 && steps < 64; at = span(at - 1, SPAN(next)), steps++) {
    uint32_t index = at - 1, have = span(index, SPAN(pages));
    if (have < pages) continue;
    unlink(HEAD(run_warm), index);
    set_head(HEAD(warm_spans), head(HEAD(warm_spans)) - have);
    if (have > pages) keep_warm(index + pages, have - pages);
    set_span(index, SPAN(pages), pages);
    return index;
  }
  return kNone;
}

/// Gives the first warm run back. False: there is none.
bool Change::cool_one(uint32_t* freed_span, uint32_t* freed_pages) {
  uint32_t at = head(HEAD(run_warm));
  if (at == 0) return false;
  *freed_span = at - 1;
  *freed_pages = span(at - 1, SPAN(pages));
  unlink(HEAD(run_warm), at - 1);
  set_head(HEAD(warm_spans), head(HEAD(warm_spans)) - *freed_pages);
  free_run(at - 1, *freed_pages);
  return true;
}

// ---- blocks
// -----------------------------------------------------------------------------------------------------------

Place Change::take_small(uint32_t size_class, bool* fresh) {
  size_t list = partial_list(size_class);
  uint32_t at = head(list);
  if (at == 0) {
    uint32_t index = take_run(1);
    platform::memory_release(root_.memory(), Root::data_at(index),
                             kSpanBytes);  // whatever a killed freer left
    check_system(platform::memory_reserve(root_.memory(), Root::data_at(index), kSpanBytes), "fallocate");
    set_span(index, SPAN(state), static_cast<uint32_t>(SpanState::kSmall));
    set_span(index, SPAN(size_class), size_class);
    set_span(index, SPAN(used), 0);
    set_span(index, SPAN(fresh), 0);
    set_span(index, SPAN(free_head), 0);
    link(list, index);
    at = index + 1;
  }
  uint32_t index = at - 1, block = span(index, SPAN(free_head)), used = span(index, SPAN(used));
  *fresh = block == 0;
  if (block == 0) {
    block = span(index, SPAN(fresh));
    if (block >= blocks_of(size_class)) corrupt("a span with free blocks has none");
    set_span(index, SPAN(fresh), block + 1);
  } else {
    block--;
    if (block >= blocks_of(size_class)) corrupt("a list of free blocks leads outside its span");
    set_span(index, SPAN(free_head),
             t_.get(small_place(index, size_class, block).field(offsetof(BlockMeta, link))));
  }
  set_span(index, SPAN(used), used + 1);
  if (used + 1 == blocks_of(size_class)) unlink(list, index);
  return small_place(index, size_class, block);
}

/// `*warm` in: may it be a run with contents? Out: is it one?
Place Change::take_large(uint32_t pages, bool* warm) {
  uint32_t index = *warm ? take_warm(pages) : kNone;
  *warm = index != kNone;
  if (!*warm) index = take_run(pages);
  set_span(index, SPAN(state), static_cast<uint32_t>(SpanState::kLarge));
  return large_place(index);
}

void Change::describe(const Place& place, uint64_t bytes, Kind kind) {
  uint32_t generation = head(HEAD(next_generation));
  set_head(HEAD(next_generation), generation == UINT32_MAX ? 1 : generation + 1);
  t_.set(place.field(offsetof(BlockMeta, generation)), generation);
  t_.set(place.field(offsetof(BlockMeta, kind)), static_cast<uint32_t>(kind) + 1);
  t_.set(place.field(offsetof(BlockMeta, holds)), 0);
  if (place.small)
    t_.set(place.field(offsetof(BlockMeta, link)), static_cast<uint32_t>(bytes));
  else
    t_.set64(MULTIPROC_SPAN_FIELD(place.span, bytes), bytes);
  set_head(HEAD(live_blocks), head(HEAD(live_blocks)) + 1);
  t_.set64(HEAD(live_bytes), t_.get64(HEAD(live_bytes)) + heap_footprint(bytes));
}

/// Where the list of a holder's holds begins.
Offset list_of(Holder holder) {
  return holder.slot < kSlots ? MULTIPROC_SLOT_FIELD(holder.slot, holds)
                              : holder.container + offsetof(Container, holds);
}

void Change::add_hold(const Place& place, Holder holder) {
  uint32_t index = head(HEAD(hold_free));
  if (index != 0) {
    set_head(HEAD(hold_free), t_.get(MULTIPROC_HOLD_FIELD(index, next_of_holder)));
  } else {
    index = head(HEAD(hold_high));
    if (index >= kMaxHolds) throw SystemError{ENOSPC, "fallocate"};
    reserve_table(Root::hold_at(index), Root::hold_at(index + 1));
    set_head(HEAD(hold_high), index + 1);
  }
  Offset holds = place.field(offsetof(BlockMeta, holds)), list = list_of(holder);
  uint32_t first = t_.get(list);
  t_.set64(MULTIPROC_HOLD_FIELD(index, block), place.data);
  t_.set(MULTIPROC_HOLD_FIELD(index, slot), holder.slot);
  t_.set64(MULTIPROC_HOLD_FIELD(index, container), holder.container);
  t_.set(MULTIPROC_HOLD_FIELD(index, next_of_block), t_.get(holds));
  t_.set(holds, index);
  t_.set(MULTIPROC_HOLD_FIELD(index, next_of_holder), first);
  t_.set(MULTIPROC_HOLD_FIELD(index, previous_of_holder), 0);
  if (first != 0) t_.set(MULTIPROC_HOLD_FIELD(first, previous_of_holder), index);
  t_.set(list, index);
  set_head(HEAD(live_holds), head(HEAD(live_holds)) + 1);
}

bool Change::remove_hold(const Place& place, Holder holder, bool* last) {
  Offset link = place.field(offsetof(BlockMeta, holds));
  uint32_t index = t_.get(link);
  for (uint32_t steps = 0;
       index != 0 && (t_.get(MULTIPROC_HOLD_FIELD(index, slot)) != holder.slot ||
                      t_.get64(MULTIPROC_HOLD_FIELD(index, container)) != holder.container);) {
    if (++steps > kMaxHolds) corrupt("a list of holds is endless");
    link = MULTIPROC_HOLD_FIELD(index, next_of_block);
    index = t_.get(link);
  }
  if (index == 0) return false;
  t_.set(link, t_.get(MULTIPROC_HOLD_FIELD(index, next_of_block)));
  uint32_t next = t_.get(MULTIPROC_HOLD_FIELD(index, next_of_holder));
  uint32_t previous = t_.get(MULTIPROC_HOLD_FIELD(index, previous_of_holder));
  t_.set(previous != 0 ? MULTIPROC_HOLD_FIELD(previous, next_of_holder) : list_of(holder), next);
  if (next != 0) t_.set(MULTIPROC_HOLD_FIELD(next, previous_of_holder), previous);
  t_.set(MULTIPROC_HOLD_FIELD(index, next_of_holder), head(HEAD(hold_free)));
  set_head(HEAD(hold_free), index);
  set_head(HEAD(live_holds), head(HEAD(live_holds)) - 1);
  *last = t_.get(place.field(offsetof(BlockMeta, holds))) == 0;
  return true;
}

void Change::give_back(const Place& place, uint64_t bytes, uint32_t* freed_span, uint32_t* freed_pages) {
  *freed_pages = 0;
  t_.set(place.field(offsetof(BlockMeta, kind)), 0);
  set_head(HEAD(live_blocks), head(HEAD(live_blocks)) - 1);
  t_.set64(HEAD(live_bytes), t_.get64(HEAD(live_bytes)) - heap_footprint(bytes));
  if (!place.small) {
    const uint32_t pages = span(place.span, SPAN(pages));
    if (pages + head(HEAD(warm_spans)) <= kMaxWarmSpans) {
      keep_warm(place.span, pages);
      return;
    }
    *freed_span = place.span;
    *freed_pages = pages;
    free_run(place.span, pages);
    return;
  }
  size_t list = partial_list(place.size_class);
  uint32_t used = span(place.span, SPAN(used));
  t_.set(place.field(offsetof(BlockMeta, link)), span(place.span, SPAN(free_head)));
  set_span(place.span, SPAN(free_head), place.index + 1);
  set_span(place.span, SPAN(used), used - 1);
  if (used == blocks_of(place.size_class)) link(list, place.span);
  // The last span of a class stays, or one block made and dropped in a loop would move it each time.
  bool alone = head(list) == place.span + 1 && span(place.span, SPAN(next)) == 0;
  if (used == 1 && !alone) {
    unlink(list, place.span);
    *freed_span = place.span;
    *freed_pages = 1;
    free_run(place.span, 1);
  }
}

/// The place that an offset names, if there is one, as the tables say now; with the root lock held and no
/// change begun.
bool locate(Root& root, Offset offset, Place* out) {
  if (offset < kDataAt || offset >= root.bytes()) corrupt("a handle points outside the shared memory");
  uint32_t index = static_cast<uint32_t>((offset - kDataAt) / kSpanBytes);
  if (index >= root.header().span_high) return false;
  SpanEntry& span = root.ref<SpanEntry>(Root::span_at(index));
  SpanState state = static_cast<SpanState>(span.state);
  if (state == SpanState::kLarge && offset == Root::data_at(index)) {
    *out = large_place(index);
    return true;
  }
  if (state != SpanState::kSmall) return false;
  if (span.size_class >= kSizeClasses) corrupt("a span has an impossible size class");
  uint64_t inside = offset - Root::data_at(index), first = first_block(span.size_class);
  if (inside < first || (inside - first) % class_bytes(span.size_class) != 0) return false;
  uint32_t block = static_cast<uint32_t>((inside - first) / class_bytes(span.size_class));
  if (block >= span.fresh) return false;
  *out = small_place(index, span.size_class, block);
  return true;
}

Place Change::find(Offset offset) {
  Place place;
  if (!locate(root_, offset, &place)) throw Refusal{"ERR_MP_GONE", "the shared object no longer exists"};
  return place;
}

/// A living block at this place; throws for a free one.
Block living(Root& root, const Place& place) {
  BlockMeta& meta = root.ref<BlockMeta>(place.meta);
  if (meta.kind == 0) throw Refusal{"ERR_MP_GONE", "the shared object no longer exists"};
  if (meta.kind > static_cast<uint32_t>(Kind::kCount)) corrupt("a block is of no known kind");
  uint64_t bytes = place.small ? meta.link : root.ref<SpanEntry>(Root::span_at(place.span)).bytes;
  if (place.small && bytes > class_bytes(place.size_class)) corrupt("a block is longer than its place");
  return {place.data, bytes, static_cast<Kind>(meta.kind - 1), meta.generation};
}

bool holds(Root& root, const Place& place, Holder holder) {
  uint32_t at = root.ref<BlockMeta>(place.meta).holds;
  for (uint32_t steps = 0; at != 0 && steps <= kMaxHolds; steps++) {
    Hold& hold = root.ref<Hold>(Root::hold_at(at));
    if (hold.slot == holder.slot && hold.container == holder.container) return true;
    at = hold.next_of_block;
  }
  return false;
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
        corrupt("a container does not hold its contents");
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
  if (!is_container(living(actor.root, change.find(container)).kind)) corrupt("a block holds no others");
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
    if (!locate(root, hold.block, &place)) corrupt("a hold names no block");
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
