#include "core/slots.h"

#include <algorithm>
#include <cstring>

namespace multiproc {

uint32_t claim_slot(Root& root) {
  Header& h = root.header();
  uint32_t start = h.slot_cursor.fetch_add(1);
  for (uint32_t i = 0; i < kSlots; i++) {
    uint32_t index = (start + i) % kSlots;
    Slot& s = root.slot(index);
    uint32_t free = 0;
    if (!s.state.compare_exchange_strong(free, slot_state(SlotState::kClaimed, platform::current_process())))
      continue;
    h.slot_cursor.store(index + 1);
    for (uint32_t high = h.slot_high.load(); high <= index;)
      if (h.slot_high.compare_exchange_weak(high, index + 1)) break;
    uint32_t generation = (s.generation.load() + 1) % kGenerations;
    s.generation.store(generation == 0 ? 1 : generation);
    s.process.store(0);
    s.delivery.store(0);
    s.delivered.store(0);
    s.let_go.store(0);
    s.broker.store(0);
    s.blocked.store(0);
    memset(s.name, 0, sizeof s.name);
    s.started_by = 0;
    s.start_method = 0;
    s.changing.store(0);
    s.rung.store(0);
    s.awaits_overflow.store(0);
    for (auto& a : s.awaits) a.store(0);
    s.bell = {-1, 0, {0, 0}};
    s.life.word.store(0);
    s.life.next = 0;
    return index;
  }
  throw Refusal{"ERR_MP_STATE", "too many processes and worker threads share memory: 4,096 slots are taken"};
}

void wake_helper(Slot& process) {
  process.bell_count.fetch_add(1);
  platform::wake(&process.bell_count, platform::kWakeAll);
}

Owner owner_of(Root& root, uint32_t slot) { return owner_id(slot, root.slot(slot).generation.load()); }

bool owner_dead(Root& root, Owner owner) {
  Slot& s = root.slot(slot_of(owner));
  if (s.generation.load() != generation_of(owner)) return true;
  uint32_t state = s.state.load();
  switch (state_of(state)) {
    case SlotState::kFree:
    case SlotState::kReaping:
      return true;
    case SlotState::kClaimed:
    case SlotState::kReserved:
      return false;
    case SlotState::kLive:
      break;
  }
  uint32_t pid = s.pid;
  uint64_t start = s.start_time;
  bool dead = platform::process_dead(pid, start);
  // What was read belongs to this owner only if the slot is still its own.
  return dead || s.generation.load() != generation_of(owner);
}

bool owner_reaped(Root& root, Owner owner) {
  Slot& s = root.slot(slot_of(owner));
  SlotState state = state_of(s.state.load());
  return s.generation.load() != generation_of(owner) || state == SlotState::kFree ||
         state == SlotState::kReaping;
}

bool life_ended(Root& root, Owner owner) {
  return (root.slot(slot_of(owner)).life.word.load() & platform::kOwnerDied) != 0;
}

bool confirm_dead(Root& root, Owner owner, const std::atomic<bool>* stop) {
  // The mark comes while the process is still ending: the kernel needs some 0.1 to 10 ms more (longer for
  // much memory), and until then another thread of it may still run.
  const uint64_t start = platform::now_ns();
  constexpr uint64_t kLong = 2000 * uint64_t{1000000};
  for (int i = 0; platform::now_ns() - start < kLong + kLong / 4; i++) {
    if (owner_dead(root, owner)) return true;
    // A process that called exec lives on without the thread that stood for it. One that ends loses that
    // thread, too, and may take long over the rest on a busy machine: only time tells the two apart.
    Slot& s = root.slot(slot_of(owner));
    if (platform::now_ns() - start > kLong && platform::thread_gone(s.pid, s.thread) &&
        s.generation.load() == generation_of(owner))
      return true;
    if (stop != nullptr && stop->load()) return false;
    platform::nap(i < 20 ? 100 * 1000 : 1000 * 1000);
  }
  return false;
}

// ---- awaited objects
// -----------------------------------------------------------------------------------------------

bool awaits(const Slot& slot, Offset object) {
  if (slot.awaits_overflow.load() != 0) return true;
  return std::any_of(std::begin(slot.awaits), std::end(slot.awaits),
                     [&](auto& a) { return a.load() == object; });
}

void add_await(Slot& slot, Offset object) {
  for (auto& a : slot.awaits)
    if (a.load() == 0) {
      a.store(object);
      return;
    }
  slot.awaits_overflow.fetch_add(1);
}

void remove_await(Slot& slot, Offset object) {
  for (auto& a : slot.awaits)
    if (a.load() == object) {
      a.store(0);
      return;
    }
  if (slot.awaits_overflow.load() != 0) slot.awaits_overflow.fetch_sub(1);
}

// ---- rings
// -----------------------------------------------------------------------------------------------------------

Ringer::~Ringer() { close_all(); }

void Ringer::close_all() {
  for (auto& [slot, opened] : opened_)
    if (opened.descriptor >= 0) platform::bell_close(opened.descriptor, -1);
  opened_.clear();
}

void Ringer::add_local(uint32_t slot, int write_end) {
  std::lock_guard<std::mutex> guard(mutex_);
  local_[slot] = write_end;
}

void Ringer::remove_local(uint32_t slot) {
  std::lock_guard<std::mutex> guard(mutex_);
  local_.erase(slot);
}

/// Descriptors of bells whose owners are gone.
void Ringer::forget_dead() {
  for (auto it = opened_.begin(); it != opened_.end();) {
    if (!owner_reaped(root_, it->second.owner)) {
      ++it;
      continue;
    }
    if (it->second.descriptor >= 0) platform::bell_close(it->second.descriptor, -1);
    it = opened_.erase(it);
  }
}

bool Ringer::ring_directly(uint32_t slot) {
  std::lock_guard<std::mutex> guard(mutex_);
  if (auto local = local_.find(slot); local != local_.end()) return platform::bell_ring(local->second);
  Owner owner = owner_of(root_, slot);
  auto known = opened_.find(slot);
  if (known != opened_.end() && known->second.owner != owner) {
    if (known->second.descriptor >= 0) platform::bell_close(known->second.descriptor, -1);
    opened_.erase(known);
    known = opened_.end();
  }
  if (known == opened_.end()) {
    forget_dead();
    platform::Bell bell = root_.slot(slot).bell;
    known = opened_.emplace(slot, Opened{owner, bell.descriptor < 0 ? -1 : platform::bell_open(bell)}).first;
  }
  return known->second.descriptor >= 0 && platform::bell_ring(known->second.descriptor);
}

void Ringer::ring(uint32_t slot) {
  Slot& s = root_.slot(slot);
  if (s.rung.exchange(1) != 0) return;  // it has a ring that it did not answer yet
  if (ring_directly(slot)) return;
  Slot& process = root_.slot(slot_of(s.process.load()));
  wake_helper(process);
}

void Ringer::ring_all(Offset object) {
  const uint32_t high = std::min(root_.header().slot_high.load(), kSlots);
  for (uint32_t i = 0; i < high; i++)
    if (Slot& s = root_.slot(i); state_of(s.state.load()) == SlotState::kLive && awaits(s, object)) ring(i);
}

bool Ringer::ring_next(Offset object, uint32_t except) {
  Header& h = root_.header();
  uint32_t high = h.slot_high.load();
  if (high > kSlots || high == 0) return false;
  uint32_t start = h.ring_cursor.load() % high;
  bool rung = false;
  for (uint32_t i = 1; i <= high; i++) {
    uint32_t index = (start + i) % high;
    Slot& s = root_.slot(index);
    if (index == except || state_of(s.state.load()) != SlotState::kLive || !awaits(s, object)) continue;
    h.ring_cursor.store(index);
    ring(index);
    rung = true;
    if (s.awaits_overflow.load() == 0) return true;  // else it may wait for something else: one more
  }
  return rung;
}

}  // namespace multiproc
