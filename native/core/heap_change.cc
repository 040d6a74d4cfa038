#include "core/heap_change.h"

#include <cerrno>

namespace multiproc {

void corrupt_heap(const char* what) { throw Refusal{"ERR_MP_CORRUPT", what}; }

namespace {

constexpr uint32_t kNone = UINT32_MAX;

Place large_place(uint32_t span) {
  return {span, false, 0, 0, MULTIPROC_SPAN_FIELD(span, meta), Root::data_at(span)};
}

/// Where the list of a holder's holds begins.
Offset list_of(Holder holder) {
  return holder.slot < kSlots ? MULTIPROC_SLOT_FIELD(holder.slot, holds)
                              : holder.container + offsetof(Container, holds);
}

#define SPAN(field) offsetof(SpanEntry, field)
#define HEAD(field) offsetof(Header, field)
constexpr size_t partial_list(uint32_t size_class) {
  return HEAD(class_partial) + size_class * sizeof(uint32_t);
}

}  // namespace

Place small_place(uint32_t span, uint32_t size_class, uint32_t index) {
  Offset start = Root::data_at(span);
  return {span,
          true,
          size_class,
          index,
          start + index * sizeof(BlockMeta),
          start + first_block(size_class) + index * class_bytes(size_class)};
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
    if (block >= blocks_of(size_class)) corrupt_heap("a span with free blocks has none");
    set_span(index, SPAN(fresh), block + 1);
  } else {
    block--;
    if (block >= blocks_of(size_class)) corrupt_heap("a list of free blocks leads outside its span");
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
    if (++steps > kMaxHolds) corrupt_heap("a list of holds is endless");
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

// ---- where they are
// ----------------------------------------------------------------------------------------------

bool locate(Root& root, Offset offset, Place* out) {
  if (offset < kDataAt || offset >= root.bytes()) corrupt_heap("a handle points outside the shared memory");
  uint32_t index = static_cast<uint32_t>((offset - kDataAt) / kSpanBytes);
  if (index >= root.header().span_high) return false;
  SpanEntry& span = root.ref<SpanEntry>(Root::span_at(index));
  SpanState state = static_cast<SpanState>(span.state);
  if (state == SpanState::kLarge && offset == Root::data_at(index)) {
    *out = large_place(index);
    return true;
  }
  if (state != SpanState::kSmall) return false;
  if (span.size_class >= kSizeClasses) corrupt_heap("a span has an impossible size class");
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

Block living(Root& root, const Place& place) {
  BlockMeta& meta = root.ref<BlockMeta>(place.meta);
  if (meta.kind == 0) throw Refusal{"ERR_MP_GONE", "the shared object no longer exists"};
  if (meta.kind > static_cast<uint32_t>(Kind::kCount)) corrupt_heap("a block is of no known kind");
  uint64_t bytes = place.small ? meta.link : root.ref<SpanEntry>(Root::span_at(place.span)).bytes;
  if (place.small && bytes > class_bytes(place.size_class)) corrupt_heap("a block is longer than its place");
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

}  // namespace multiproc
