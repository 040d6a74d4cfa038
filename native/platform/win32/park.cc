#include "platform/win32/park.h"

#include <algorithm>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "platform/win32/system.h"

namespace multiproc::platform {

namespace {

constexpr int64_t kNetNs = int64_t{100} * 1000000;
constexpr uint32_t kTaking = 1u << 31;  ///< with the pid: the entry is being filled in

struct alignas(64) Entry {
  Word owner;   ///< pid; 0: nobody
  Word serial;  ///< of its owners: tells whether a copy of the event is still the right one
  uint64_t start_time;
  uint32_t event;  ///< in its owner's process
  uint32_t reserved;
  std::atomic<uint64_t> words[kMaxWatches];  ///< place + 1
};
static_assert(sizeof(Entry) == 64, "the same in all builds");

struct alignas(64) Head {
  Word high;  ///< entries from here on were never used
};
constexpr uint32_t kEntries = kLotBytes / sizeof(Entry) - 1;

}  // namespace

class Lot {
 public:
  explicit Lot(void* shared)
      : head_(*static_cast<Head*>(shared)), entries_(static_cast<Entry*>(shared) + 1) {}
  ~Lot();
  bool wait(const Watch* watches, size_t count, int64_t timeout_ns);
  uint32_t wake(uint64_t place, uint32_t count);

 private:
  /// An entry of this process, and its event.
  struct Seat {
    uint32_t index;
    HANDLE event;
  };
  /// A sleeper of another process.
  struct Sleeper {
    uint32_t serial;
    std::shared_ptr<Handle> process, event;
  };

  bool take_seat(Seat* out);
  void give_back(const Seat& seat);
  bool claim(uint32_t index, uint32_t before, HANDLE event);
  uint32_t high() const { return std::min(head_.high.load(), kEntries); }
  bool signal(uint32_t index);
  std::shared_ptr<Handle> process_of(uint32_t pid);
  void forget_process(uint32_t pid);
  void mark_dead(const Watch& watch);

  Head& head_;
  Entry* const entries_;
  const uint32_t pid_ = current_process();
  const uint64_t start_time_ = process_start_time(pid_);
  std::mutex mutex_;  ///< all below
  std::vector<Seat> seats_, free_;
  std::map<uint32_t, Sleeper> sleepers_;                   ///< by entry
  std::map<uint32_t, std::shared_ptr<Handle>> processes_;  ///< whose life words were watched, by pid
};

Lot* lot_open(void* shared) { return new Lot(shared); }
void lot_close(Lot* lot) { delete lot; }

Lot::~Lot() {
  for (const Seat& seat : seats_) {
    entries_[seat.index].owner.store(0);
    CloseHandle(seat.event);
  }
}

// ---- entries
// --------------------------------------------------------------------------------------------------

bool Lot::claim(uint32_t index, uint32_t before, HANDLE event) {
  Entry& entry = entries_[index];
  if (!entry.owner.compare_exchange_strong(before, pid_ | kTaking)) return false;
  for (auto& word : entry.words) word.store(0);
  entry.start_time = start_time_;
  entry.event = static_cast<uint32_t>(number_of(event));
  entry.serial.fetch_add(1);
  entry.owner.store(pid_);
  return true;
}

bool Lot::take_seat(Seat* out) {
  std::lock_guard<std::mutex> guard(mutex_);
  if (!free_.empty()) {
    *out = free_.back();
    free_.pop_back();
    return true;
  }
  HANDLE event = CreateEventW(nullptr, FALSE, FALSE, nullptr);
  if (event == nullptr) return false;
  auto taken = [&](uint32_t index) {
    *out = {index, event};
    seats_.push_back(*out);
    return true;
  };
  std::map<uint32_t, bool> dead;  // each process is asked for once
  for (uint32_t i = 0; i < high(); i++) {
    const uint32_t owner = entries_[i].owner.load(), pid = owner & ~kTaking;
    if (pid != 0 && pid != pid_ && dead.find(pid) == dead.end())
      dead[pid] = process_dead(pid, (owner & kTaking) != 0 ? 0 : entries_[i].start_time);
    if ((pid == 0 || (pid != pid_ && dead[pid])) && claim(i, owner, event)) return taken(i);
  }
  for (;;) {
    uint32_t next = head_.high.load();
    if (next >= kEntries) break;
    if (head_.high.compare_exchange_strong(next, next + 1) && claim(next, 0, event)) return taken(next);
  }
  CloseHandle(event);
  return false;
}

void Lot::give_back(const Seat& seat) {
  std::lock_guard<std::mutex> guard(mutex_);
  free_.push_back(seat);
}

// ---- waking
// ---------------------------------------------------------------------------------------------------

/// Sets the event of an entry. False: its process has ended.
bool Lot::signal(uint32_t index) {
  Entry& entry = entries_[index];
  std::lock_guard<std::mutex> guard(mutex_);
  const uint32_t owner = entry.owner.load(), serial = entry.serial.load();
  if (owner == pid_) {
    auto own =
        std::find_if(seats_.begin(), seats_.end(), [&](const Seat& seat) { return seat.index == index; });
    if (own != seats_.end()) SetEvent(own->event);
    return true;
  }
  if (owner == 0 || (owner & kTaking) != 0) return false;
  auto known = sleepers_.find(index);
  if (known == sleepers_.end() || known->second.serial != serial) {
    const uint64_t start = entry.start_time;
    auto process = std::make_shared<Handle>(OpenProcess(kRelative, FALSE, owner));
    // Without the right to: it will find out by itself, within 100 ms.
    if (process->get() == nullptr) return GetLastError() != ERROR_INVALID_PARAMETER;
    if (start_time_of(process->get()) != start) return false;
    HANDLE copy = nullptr;
    DuplicateHandle(process->get(), handle_of(static_cast<int>(entry.event)), GetCurrentProcess(), &copy,
                    EVENT_MODIFY_STATE, FALSE, 0);
    if (entry.serial.load() != serial) {
      if (copy != nullptr) CloseHandle(copy);
      return true;  // it has left meanwhile, so it is awake
    }
    known = sleepers_.insert_or_assign(index, Sleeper{serial, process, std::make_shared<Handle>(copy)}).first;
  }
  Sleeper& sleeper = known->second;
  if (WaitForSingleObject(sleeper.process->get(), 0) == WAIT_OBJECT_0) {
    // While we have its handle nobody else can get its pid.
    uint32_t dead = owner;
    entry.owner.compare_exchange_strong(dead, 0);
    sleepers_.erase(known);
    return false;
  }
  if (sleeper.event->get() != nullptr) SetEvent(sleeper.event->get());
  return true;
}

uint32_t Lot::wake(uint64_t place, uint32_t count) {
  uint32_t woken = 0;
  for (uint32_t i = 0, end = high(); i < end && woken < count; i++)
    for (auto& word : entries_[i].words) {
      uint64_t wanted = place + 1;
      if (word.load() != wanted || !word.compare_exchange_strong(wanted, 0)) continue;
      if (signal(i)) woken++;
      break;
    }
  return woken;
}

// ---- sleeping
// -------------------------------------------------------------------------------------------------

std::shared_ptr<Handle> Lot::process_of(uint32_t pid) {
  std::lock_guard<std::mutex> guard(mutex_);
  auto& process = processes_[pid];
  if (process == nullptr) process = std::make_shared<Handle>(OpenProcess(SYNCHRONIZE, FALSE, pid));
  return process;
}

void Lot::forget_process(uint32_t pid) {
  std::lock_guard<std::mutex> guard(mutex_);
  processes_.erase(pid);
}

/// Windows has not done it: who sees the end of a process does.
void Lot::mark_dead(const Watch& watch) {
  Word* word = const_cast<Word*>(watch.word);
  uint32_t expected = watch.expected;
  word->compare_exchange_strong(expected, expected | kOwnerDied);
  platform::wake(word, kWakeAll);
  forget_process(watch.expected);
}

bool Lot::wait(const Watch* watches, size_t count, int64_t timeout_ns) {
  count = std::min(count, kMaxWatches);
  HANDLE handles[1 + kMaxWatches];
  const Watch* lives[1 + kMaxWatches] = {};
  std::shared_ptr<Handle> kept[kMaxWatches];
  DWORD waited = 1;
  for (size_t i = 0; i < count; i++) {
    if (!watches[i].life || watches[i].expected == 0 || (watches[i].expected & kOwnerDied) != 0 ||
        watches[i].expected == pid_)
      continue;
    kept[i] = process_of(watches[i].expected);
    if (kept[i]->get() == nullptr) {
      forget_process(watches[i].expected);
      continue;  // dead, or not to be watched: the core asks by and by
    }
    lives[waited] = &watches[i];
    handles[waited++] = kept[i]->get();
  }
  Seat seat;
  if (!take_seat(&seat)) {
    nap(std::min<int64_t>(timeout_ns < 0 ? 1000000 : timeout_ns, 1000000));
    return timeout_ns < 0 || timeout_ns > 1000000;
  }
  handles[0] = seat.event;
  Entry& entry = entries_[seat.index];
  for (size_t i = 0; i < count; i++) {
    uint64_t place;
    if (lot_of(watches[i].word, &place) == this) entry.words[i].store(place + 1);
  }
  auto changed = [&] {
    return std::any_of(watches, watches + count, [](const Watch& w) { return w.word->load() != w.expected; });
  };
  auto left_out = [&] {
    for (size_t i = 0; i < count; i++)
      if (entry.words[i].load() == 0) return true;
    return false;
  };
  bool woken = changed();
  const uint64_t start = now_ns();
  while (!woken) {
    const int64_t left = timeout_ns < 0 ? kNetNs : timeout_ns - static_cast<int64_t>(now_ns() - start);
    if (left <= 0) break;
    const DWORD result = WaitForMultipleObjects(waited, handles, FALSE, milliseconds(std::min(left, kNetNs)));
    if (result > WAIT_OBJECT_0 && result < WAIT_OBJECT_0 + waited) mark_dead(*lives[result - WAIT_OBJECT_0]);
    woken = result != WAIT_TIMEOUT || changed() || left_out();
  }
  // Whoever took a word out meanwhile has woken us, whatever the clock says.
  for (size_t i = 0; i < count; i++)
    if (entry.words[i].exchange(0) == 0) woken = true;
  give_back(seat);
  return woken;
}

bool wait(const Watch* watches, size_t count, int64_t timeout_ns) {
  uint64_t place;
  Lot* lot = count == 0 ? nullptr : lot_of(watches[0].word, &place);
  if (lot != nullptr) return lot->wait(watches, count, timeout_ns);
  nap(1000000);
  return timeout_ns < 0 || timeout_ns > 1000000;
}

uint32_t wake(Word* word, uint32_t count) {
  uint64_t place;
  Lot* lot = lot_of(word, &place);
  return lot == nullptr ? count : lot->wake(place, count);
}

}  // namespace multiproc::platform
