#include "core/inspect.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>

namespace multiproc {

namespace {

constexpr uint32_t kAnyKind = static_cast<uint32_t>(Kind::kCount);

[[noreturn]] void no_root(const char* what) { throw Refusal{"ERR_MP_CORRUPT", what}; }

/// A piece of the root as it was a moment ago, in private memory: numbers are taken out of it by their place.
class Piece {
 public:
  Piece(const char* bytes, size_t length) : bytes_(bytes), length_(length) {}
  template <class T>
  T get(size_t at) const {
    T value{};
    if (at <= length_ && sizeof(T) <= length_ - at) memcpy(&value, bytes_ + at, sizeof(T));
    return value;
  }
  Piece part(size_t at, size_t length) const {
    at = std::min(at, length_);
    return Piece(bytes_ + at, std::min(length, length_ - at));
  }
  std::string text(size_t at, size_t most) const {
    Piece p = part(at, most);
    return std::string(p.bytes_, strnlen(p.bytes_, p.length_));
  }
  size_t length() const { return length_; }

 private:
  const char* bytes_;
  size_t length_;
};

#define GET(piece, type, field, kind) (piece).get<kind>(offsetof(type, field))

class Inspector {
 public:
  Inspector(platform::MemoryHandle memory, const InspectLimits& limits)
      : memory_(memory), limits_(limits), end_(platform::now_ns() + static_cast<uint64_t>(limits.time_ns)) {}

  SeenRoot look() {
    header();
    slots();
    spans();
    return std::move(seen_);
  }

 private:
  Piece read(Offset offset, size_t length, std::vector<char>& into) {
    into.assign(length, 0);
    if (offset > bytes_ || length > bytes_ - offset) return Piece(into.data(), 0);
    const int64_t n = platform::memory_read(memory_, offset, into.data(), length);
    return Piece(into.data(), n < 0 ? 0 : static_cast<size_t>(n));
  }
  bool over() {
    if (platform::now_ns() < end_) return false;
    seen_.truncated = true;
    return true;
  }

  void header();
  void slots();
  void spans();
  void small_span(uint32_t index, uint32_t size_class, uint32_t fresh);
  void large_run(uint32_t index, const Piece& entry);
  void block(Offset offset, uint64_t bytes, const Piece& meta, const Piece& data, bool large);
  void holders(SeenBlock& block, uint32_t first);
  void sync(SeenBlock& block, const Piece& data);
  void channel(SeenBlock& block, const Piece& data);
  SeenLock lock(const Piece& cell);

  platform::MemoryHandle memory_;
  const InspectLimits& limits_;
  uint64_t end_;
  uint64_t bytes_ = 0;
  uint32_t span_high_ = 0, slot_high_ = 0, hold_high_ = 0;
  SeenRoot seen_{};
  std::vector<char> table_, span_, more_;
};

void Inspector::header() {
  const int64_t length = platform::memory_known(memory_);
  if (length < static_cast<int64_t>(kDataAt)) no_root("this is no shared memory of multiproc");
  bytes_ = static_cast<uint64_t>(length);
  Piece h = read(0, sizeof(Header), span_);
  if (GET(h, Header, magic, uint64_t) != kMagic) no_root("this is no shared memory of multiproc");
  const uint32_t version = GET(h, Header, version, uint32_t);
  if (version != kLayoutVersion)
    throw Refusal{"ERR_MP_UNSUPPORTED", "it was made by another version of multiproc (layout " +
                                            std::to_string(version) + ", this is " +
                                            std::to_string(kLayoutVersion) + ")"};
  bytes_ = std::min(bytes_, GET(h, Header, bytes, uint64_t));
  const char* digits = "0123456789abcdef";
  for (size_t i = 0; i < sizeof Header::id; i++) {
    const uint8_t byte = h.get<uint8_t>(offsetof(Header, id) + i);
    seen_.id += {digits[byte >> 4], digits[byte & 15]};
  }
  seen_.same_pid_namespace = GET(h, Header, pid_namespace, uint64_t) == platform::pid_namespace();
  seen_.blocks = GET(h, Header, live_blocks, uint32_t);
  seen_.bytes = GET(h, Header, live_bytes, uint64_t);
  seen_.warm_bytes = GET(h, Header, warm_spans, uint32_t) * kSpanBytes;
  slot_high_ = std::min(GET(h, Header, slot_high, uint32_t), kSlots);
  span_high_ = GET(h, Header, span_high, uint32_t);
  hold_high_ = std::min(GET(h, Header, hold_high, uint32_t), kMaxHolds);
  const uint64_t fit = bytes_ < kDataAt ? 0 : (bytes_ - kDataAt) / kSpanBytes;
  span_high_ = static_cast<uint32_t>(std::min<uint64_t>(span_high_, fit));
}

void Inspector::slots() {
  Piece all = read(kSlotsAt, slot_high_ * sizeof(Slot), table_);
  for (uint32_t i = 0; i < slot_high_; i++) {
    Piece s = all.part(i * sizeof(Slot), sizeof(Slot));
    const uint32_t state = GET(s, Slot, state, uint32_t);
    const uint32_t generation = GET(s, Slot, generation, uint32_t);
    if (state_of(state) == SlotState::kFree || state_of(state) > SlotState::kReaping) continue;
    SeenSlot slot{};
    slot.index = i;
    slot.owner = owner_id(i, generation % kGenerations);
    slot.process = GET(s, Slot, process, uint32_t);
    slot.state = state_of(state);
    slot.pid = GET(s, Slot, pid, uint32_t);
    slot.start_time = GET(s, Slot, start_time, uint64_t);
    slot.dead = slot.state == SlotState::kLive && seen_.same_pid_namespace && slot.pid != 0 &&
                platform::process_dead(slot.pid, slot.start_time);
    slot.node_thread = GET(s, Slot, node_thread, uint32_t);
    slot.started_by = GET(s, Slot, started_by, uint32_t);
    slot.start_method = GET(s, Slot, start_method, uint32_t);
    slot.name = s.text(offsetof(Slot, name), sizeof Slot::name);
    const uint32_t blocked = GET(s, Slot, blocked, uint32_t);
    slot.blocked =
        blocked <= static_cast<uint32_t>(Blocked::kTold) ? static_cast<Blocked>(blocked) : Blocked::kNot;
    slot.blocked_in = GET(s, Slot, blocked_in, uint64_t);
    slot.blocked_number = GET(s, Slot, blocked_number, uint32_t);
    for (size_t a = 0; a < kMaxAwaits; a++)
      if (const Offset at = s.get<Offset>(offsetof(Slot, awaits) + a * sizeof(Offset)); at != 0)
        slot.awaits.push_back(at);
    slot.more_awaits = GET(s, Slot, awaits_overflow, uint32_t);
    seen_.slots.push_back(std::move(slot));
  }
}

void Inspector::spans() {
  constexpr uint32_t kStep = 1024;
  uint32_t visited = 0;
  std::vector<char> entries;
  for (uint32_t from = 0; from < span_high_;) {
    const uint32_t n = std::min(kStep, span_high_ - from);
    Piece all = read(kSpansAt + uint64_t{from} * sizeof(SpanEntry), n * sizeof(SpanEntry), entries);
    uint32_t i = 0;
    while (i < n) {
      if (++visited > limits_.spans || seen_.found.size() >= limits_.blocks || over()) {
        seen_.truncated = true;
        return;
      }
      Piece entry = all.part(i * sizeof(SpanEntry), sizeof(SpanEntry));
      const uint32_t state = GET(entry, SpanEntry, state, uint32_t);
      const uint32_t pages = GET(entry, SpanEntry, pages, uint32_t);
      uint32_t step = 1;
      if (state == static_cast<uint32_t>(SpanState::kSmall)) {
        const uint32_t size_class = GET(entry, SpanEntry, size_class, uint32_t);
        if (size_class < kSizeClasses && GET(entry, SpanEntry, used, uint32_t) != 0)
          small_span(from + i, size_class, GET(entry, SpanEntry, fresh, uint32_t));
      } else if (state == static_cast<uint32_t>(SpanState::kLarge)) {
        large_run(from + i, entry);
        step = pages;
      } else if (state == static_cast<uint32_t>(SpanState::kFree) ||
                 state == static_cast<uint32_t>(SpanState::kWarm)) {
        step = pages;
      }
      // A run in the midst of a change may have any length; too long a step would only miss something.
      step = std::clamp<uint32_t>(step, 1, span_high_ - from - i);
      i += step;
    }
    from += i;
  }
}

void Inspector::small_span(uint32_t index, uint32_t size_class, uint32_t fresh) {
  const Offset start = kDataAt + uint64_t{index} * kSpanBytes;
  Piece all = read(start, kSpanBytes, span_);
  const uint64_t size = class_bytes(size_class);
  fresh = std::min(fresh, blocks_of(size_class));
  for (uint32_t i = 0; i < fresh && seen_.found.size() < limits_.blocks; i++) {
    Piece meta = all.part(i * sizeof(BlockMeta), sizeof(BlockMeta));
    const uint64_t inside = first_block(size_class) + i * size;
    block(start + inside, std::min<uint64_t>(GET(meta, BlockMeta, link, uint32_t), size), meta,
          all.part(inside, size), false);
  }
}

void Inspector::large_run(uint32_t index, const Piece& entry) {
  const Offset start = kDataAt + uint64_t{index} * kSpanBytes;
  Piece head = read(start, sizeof(Channel), more_);
  block(start, GET(entry, SpanEntry, bytes, uint64_t),
        entry.part(offsetof(SpanEntry, meta), sizeof(BlockMeta)), head, true);
}

void Inspector::block(Offset offset, uint64_t bytes, const Piece& meta, const Piece& data, bool large) {
  const uint32_t stored = GET(meta, BlockMeta, kind, uint32_t);
  if (stored == 0 || stored > kAnyKind) return;
  const Kind kind = static_cast<Kind>(stored - 1);
  seen_.counts[stored - 1]++;
  seen_.sizes[stored - 1] += bytes;
  const bool keeps = kind == Kind::kChannel || kind == Kind::kEnd || kind == Kind::kCollection;
  if (!large && !has_lock(kind) && !keeps) return;
  SeenBlock b{};
  b.offset = offset;
  b.bytes = bytes;
  b.kind = kind;
  b.generation = GET(meta, BlockMeta, generation, uint32_t);
  holders(b, GET(meta, BlockMeta, holds, uint32_t));
  b.locked = has_lock(kind);
  if (b.locked) b.lock = lock(data);
  if (kind == Kind::kSync) sync(b, data);
  if (kind == Kind::kChannel) channel(b, data);
  if ((kind == Kind::kLock || kind == Kind::kRLock) && bytes >= kNamedLockBytes)
    b.label = data.text(sizeof(LockCell), kLabelBytes);
  seen_.found.push_back(std::move(b));
}

void Inspector::holders(SeenBlock& b, uint32_t first) {
  std::vector<char> into;
  for (uint32_t at = first, n = 0; at != 0 && at < hold_high_; n++) {
    if (n >= limits_.holders || over()) {
      seen_.truncated = true;
      return;
    }
    Piece hold = read(kHoldsAt + uint64_t{at} * sizeof(Hold), sizeof(Hold), into);
    if (GET(hold, Hold, block, uint64_t) != b.offset) return;  // the list was changed meanwhile
    const uint32_t slot = GET(hold, Hold, slot, uint32_t);
    if (slot < kSlots)
      b.holders.push_back(slot);
    else
      b.containers.push_back(GET(hold, Hold, container, uint64_t));
    at = GET(hold, Hold, next_of_block, uint32_t);
  }
}

SeenLock Inspector::lock(const Piece& cell) {
  const uint32_t word = GET(cell, LockCell, word, uint32_t), owner = word & ~kFlags;
  return {owner >= kSlots ? owner : 0, (word & kWaiters) != 0, (word & kAsyncWaiters) != 0,
          owner == kAbandoned, GET(cell, LockCell, depth, uint32_t)};
}

void Inspector::sync(SeenBlock& b, const Piece& data) {
  // Words of lib/sync/monitor.ts.
  constexpr size_t kValue = 24, kX = 26, kY = 27, kLimit = 30;
  b.type = GET(data, LockCell, type, uint32_t);
  for (size_t i = 0; i < 4; i++)
    b.state[i] = data.get<int32_t>(std::array<size_t, 4>{kValue, kX, kY, kLimit}[i] * 4);
  b.label = data.text(kSyncCellsEnd, kLabelBytes);
  for (size_t at = kSyncHead; at + sizeof(SyncCell) <= kSyncCellsEnd; at += sizeof(SyncCell)) {
    Piece cell = data.part(at, sizeof(SyncCell));
    const Owner owner = GET(cell, SyncCell, owner, uint32_t);
    const uint32_t want = GET(cell, SyncCell, want, uint32_t), held = GET(cell, SyncCell, held, uint32_t);
    if (owner < kSlots || (want == 0 && held == 0)) continue;
    b.cells.push_back(
        {b.offset + at, owner, want, held, (GET(cell, SyncCell, tag, uint32_t) & kCellAsync) != 0});
  }
}

/// The cursor of a side that is in force.
struct Stand {
  uint32_t signal;
  uint32_t count;
  uint64_t bytes;
};
Stand stand_of(const Piece& channel, size_t side) {
  const uint32_t signal = channel.get<uint32_t>(side + offsetof(Side, signal));
  const size_t cursor = side + offsetof(Side, cursor) + ((signal >> 1) & 1) * sizeof(Cursor);
  return {signal, channel.get<uint32_t>(cursor + offsetof(Cursor, count)),
          channel.get<uint64_t>(cursor + offsetof(Cursor, bytes))};
}

void Inspector::channel(SeenBlock& b, const Piece& data) {
  // It is read while others write: what two looks agree about is true.
  constexpr size_t kPut = offsetof(Channel, put), kTaken = offsetof(Channel, taken);
  std::vector<char> first(sizeof(Channel)), again;
  Piece c = data;
  for (int i = 0; i < 5; i++) {
    Piece next = read(b.offset, sizeof(Channel), i % 2 == 0 ? again : first);
    const bool same = stand_of(c, kPut).signal == stand_of(next, kPut).signal &&
                      stand_of(c, kTaken).signal == stand_of(next, kTaken).signal;
    c = next;
    if (same) break;
  }
  const Stand w = stand_of(c, kPut), r = stand_of(c, kTaken);
  const uint32_t ended = GET(c, Channel, ended, uint32_t), back = GET(c, Channel, redelivered, uint32_t);
  const bool now = (ended & kShutDownNow) != 0;
  const uint32_t done = c.get<uint32_t>(offsetof(Channel, done) + offsetof(Side, signal)) & ~1u;
  const uint32_t tasks = now ? r.count - back : w.count;
  b.is_channel = true;
  b.label = c.text(offsetof(Channel, label), kLabelBytes);
  b.channel = {GET(c, Channel, type, uint32_t),
               now ? 0 : w.count - r.count + back,
               now ? 0 : w.bytes - r.bytes,
               w.count,
               r.count,
               ((tasks << 1) - done) >> 1,
               GET(c, Channel, max_messages, uint32_t),
               GET(c, Channel, max_bytes, uint64_t),
               ended,
               b.offset + kPut,
               b.offset + kTaken,
               b.offset + offsetof(Channel, done)};
}

}  // namespace

SeenRoot inspect_root(platform::MemoryHandle memory, const InspectLimits& limits) {
  return Inspector(memory, limits).look();
}

}  // namespace multiproc
