#include "core/host.h"

#include <algorithm>
#include <csignal>

#include "core/cells.h"
#include "core/channel.h"
#include "core/transaction.h"

namespace multiproc {

namespace {
constexpr int64_t kRecheckNs = 100 * 1000000;
/// Below the wake-ups by life words: the kernel wakes one waiter, who may be killed before it passes that on.
constexpr int64_t kNetNs = 1000 * 1000000;
}  // namespace

#ifndef _WIN32
/// Signals are the main thread's business: a thread started in this scope gets none.
class NoSignals {
 public:
  NoSignals() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~NoSignals() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

 private:
  sigset_t before_;
};
#else
struct NoSignals {
  ~NoSignals() {}
};
#endif

Host::Host(std::unique_ptr<Root> root) : root_(std::move(root)), ringer_(*root_), descriptors_(*root_) {
  uint32_t slot = claim_slot(*root_);
  me_ = owner_of(*root_, slot);
  try {
    NoSignals none;
    helper_ = std::thread([this] { help(); });
  } catch (...) {
    root_->slot(slot).state.store(slot_state(SlotState::kFree, 0));
    throw;
  }
  while (!ready_.load()) std::this_thread::yield();
  fill_slot(slot, me_, 0);
  tell_neighbours();
}

Host::~Host() {
  stop_.store(true);
  Slot& s = root_->slot(slot_of(me_));
  wake_helper(s);
  helper_.join();
  // Not by reap_slot: an owner that is being reaped counts as dead, and we may hold the root lock by this
  // name.
  platform::life_remove(&s.life);
  s.life.word.fetch_or(platform::kOwnerDied);
  platform::wake(&s.life.word, platform::kWakeAll);
  uint32_t live = slot_state(SlotState::kLive, platform::current_process());
  s.state.compare_exchange_strong(live, slot_state(SlotState::kFree, 0));
  tell_neighbours();
}

/// A claimed slot becomes a living one.
void Host::fill_slot(uint32_t slot, Owner process, uint32_t node_thread) {
  Slot& s = root_->slot(slot);
  uint32_t pid = platform::current_process();
  s.pid = pid;
  s.start_time = platform::process_start_time(pid);
  s.thread = thread_id_;
  s.node_thread = node_thread;
  s.process.store(process);
  {
    std::lock_guard<std::mutex> guard(mutex_);
    platform::life_add(&s.life);
  }
  // Whoever reaps our parent may have taken a slot that it had reserved for us.
  uint32_t claimed = slot_state(SlotState::kClaimed, pid);
  if (!s.state.compare_exchange_strong(claimed, slot_state(SlotState::kLive, pid))) {
    std::lock_guard<std::mutex> guard(mutex_);
    platform::life_remove(&s.life);
    throw Refusal{"ERR_MP_STATE", "the process that started this one is gone"};
  }
}

// ---- environments
// -------------------------------------------------------------------------------------------------

Environment::Environment(Host& host, uint32_t slot) : host_(host), me_(owner_of(host.root(), slot)) {}

void Environment::open_bell() {
  platform::Bell bell;
  check_system(platform::bell_create(&bell, &read_end_, &write_end_), "pipe2");
  root().slot(slot()).bell = bell;
  host_.ringer().add_local(slot(), write_end_);
}

Environment::~Environment() {
  if (settled_) host_.leave(*this);
  host_.ringer().remove_local(slot());
  platform::bell_close(read_end_, write_end_);
}

Root& Environment::root() const { return host_.root(); }

Actor Environment::actor(bool (*interrupted)(void*), void* data) const {
  return {host_.root(), host_.ringer(), me_, interrupted, data};
}

std::unique_ptr<Environment> Host::enter(uint32_t node_thread) {
  return settle(claim_slot(*root_), node_thread);
}

/// An environment in a slot that this process has claimed.
std::unique_ptr<Environment> Host::settle(uint32_t slot, uint32_t node_thread) {
  std::unique_ptr<Environment> environment(new Environment(*this, slot));
  try {
    environment->open_bell();
    fill_slot(slot, me_, node_thread);
  } catch (...) {
    uint32_t claimed = slot_state(SlotState::kClaimed, platform::current_process());
    root_->slot(slot).state.compare_exchange_strong(claimed, slot_state(SlotState::kFree, 0));
    throw;
  }
  std::lock_guard<std::mutex> guard(mutex_);
  environments_.push_back(environment.get());
  environment->settled_ = true;
  return environment;
}

std::unique_ptr<Environment> Host::enter_reserved(uint32_t node_thread, uint32_t slot, uint32_t generation) {
  Slot& s = root_->slot(slot);
  uint32_t state = s.state.load();
  if (s.generation.load() != generation || state_of(state) != SlotState::kReserved ||
      !s.state.compare_exchange_strong(state, slot_state(SlotState::kClaimed, platform::current_process())))
    throw Refusal{"ERR_MP_STATE", "the process that started this one is gone"};
  return settle(slot, node_thread);
}

void Host::leave(Environment& environment) {
  {
    std::lock_guard<std::mutex> guard(mutex_);
    environments_.erase(std::remove(environments_.begin(), environments_.end(), &environment),
                        environments_.end());
    awaiting_.fetch_sub(static_cast<uint32_t>(environment.awaited_.size()));
    platform::life_remove(&root_->slot(environment.slot()).life);
  }
  try {
    Slot& s = root_->slot(environment.slot());
    if (owner_of(*root_, environment.slot()) == environment.me())
      reap_slot(environment.slot(), s.state.load());
  } catch (...) {
    // The memory cannot be mapped any more: the helpers of others do it when this process has ended.
  }
}

Owner Host::reserve_child() {
  uint32_t slot = claim_slot(*root_);
  Slot& s = root_->slot(slot);
  s.process.store(me_);
  s.state.store(slot_state(SlotState::kReserved, platform::current_process()));
  return owner_of(*root_, slot);
}

void Host::release_child(Owner child) {
  Slot& s = root_->slot(slot_of(child));
  if (s.generation.load() == generation_of(child))
    reap_slot(slot_of(child), slot_state(SlotState::kReserved, platform::current_process()));
  reap_unfinished();
}

void Host::let_go(Owner child, int64_t timeout_ns) {
  Slot& s = root_->slot(slot_of(child));
  if (s.generation.load() != generation_of(child)) return;
  s.let_go.store(1);
  wake_helper(root_->slot(slot_of(s.process.load())));  // from now on it looks for our end
  const uint64_t start = platform::now_ns();
  while (s.generation.load() == generation_of(child)) {
    const bool delivered = s.delivered.load() == 1;
    // A forked child has no delivery; but who reaps us takes what we have reserved.
    if (!delivered && state_of(s.state.load()) != SlotState::kReserved) break;
    int64_t left = timeout_ns - static_cast<int64_t>(platform::now_ns() - start);
    if (left <= 0) return;
    platform::Watch watch{&s.delivered, 1};
    if (delivered)
      platform::wait(&watch, 1, std::min<int64_t>(left, 20 * 1000000));
    else
      platform::nap(500 * 1000);
  }
  if (s.delivered.load() == 2 && s.generation.load() == generation_of(child))
    descriptors_.pass_on(me_, ringer_, s.process.load());
}

Owner Host::parent() {
  std::lock_guard<std::mutex> guard(mutex_);
  return parent_.owner;
}

void Host::follow(Owner parent, Environment& environment, bool daemon, uint32_t grace_ms) {
  Slot& p = root_->slot(slot_of(parent));
  {
    std::lock_guard<std::mutex> guard(mutex_);
    parent_ = {parent, p.pid, p.start_time, environment.slot(), daemon, grace_ms, 0, 0};
  }
  Slot& me = root_->slot(slot_of(me_));
  wake_helper(me);
}

/// How long the helper may sleep as far as the parent is concerned; negative: until its life word is marked.
int64_t Host::look_after_parent() {
  std::lock_guard<std::mutex> guard(mutex_);
  if (parent_.end_at != 0) {
    uint64_t now = platform::now_ns();
    if (now >= parent_.end_at && root_->slot(parent_.child_slot).let_go.load() == 0)
      platform::end_this_process();
    return static_cast<int64_t>(now >= parent_.end_at ? kRecheckNs : parent_.end_at - now);
  }
  if (parent_.owner == 0) return -1;
  const bool left =
      owner_of(*root_, slot_of(parent_.owner)) != parent_.owner || life_ended(*root_, parent_.owner);
  if (!left && platform::life_is_marked())
    // Who is let go shares the news of its parent's end with daemons that are being killed: they may lose it.
    return root_->slot(parent_.child_slot).let_go.load() == 0 ? -1 : kRecheckNs;
  if (!platform::process_dead(parent_.pid, parent_.start_time))
    // It is ending; or only its part in the root has ended, and the process goes on for long.
    return left && parent_.polls++ < 500 ? 2 * 1000000 : kRecheckNs;
  parent_.owner = 0;
  parent_ended_.store(true);
  if (parent_.daemon) platform::end_this_process();
  if (root_->slot(parent_.child_slot).let_go.load() == 0)
    parent_.end_at = platform::now_ns() + uint64_t{parent_.grace_ms} * 1000000;
  for (Environment* e : environments_)
    if (e->slot() == parent_.child_slot) {
      root_->slot(e->slot()).rung.store(1);
      platform::bell_ring(e->write_end_);
    }
  return parent_.end_at == 0 ? -1 : int64_t{parent_.grace_ms} * 1000000;
}

bool Host::parent_dead() {
  if (parent_ended_.load()) return true;
  std::lock_guard<std::mutex> guard(mutex_);
  return parent_.pid != 0 && platform::process_dead(parent_.pid, parent_.start_time);
}

// ---- forking
// -----------------------------------------------------------------------------------------------------------

void Host::freeze() {
  descriptors_.freeze();
  mutex_.lock();
  ringer_.freeze();
}

void Host::thaw() {
  ringer_.thaw();
  mutex_.unlock();
  descriptors_.thaw();
}

std::vector<uint32_t> Host::threads() const {
  std::vector<uint32_t> ids = {thread_id_};
  if (uint32_t broker = descriptors_.thread_id(); broker != 0) ids.push_back(broker);
  return ids;
}

std::unique_ptr<Root> Host::abandon() {
  ringer_.close_all();
  descriptors_.abandon();
  for (Environment* e : environments_) platform::bell_close(e->read_end_, e->write_end_);
  return std::move(root_);
}

// ---- waiting without blocking
// ----------------------------------------------------------------------------------------

bool Environment::start_awaiting(Offset object, Awaited what) {
  {
    std::lock_guard<std::mutex> guard(host_.mutex_);
    auto [known, fresh] = awaited_.emplace(object, what);
    known->second = what;
    if (!fresh) return false;
    if (what.what != Awaited::kCell) add_await(root().slot(slot()), object);
  }
  if (host_.awaiting_.fetch_add(1) == 0) {  // the helper has to look in every 100 ms from now on
    Slot& s = root().slot(slot_of(host_.me()));
    wake_helper(s);
  }
  return true;
}

bool Environment::stop_awaiting(Offset object) {
  std::lock_guard<std::mutex> guard(host_.mutex_);
  if (awaited_.erase(object) == 0) return false;
  host_.awaiting_.fetch_sub(1);
  return true;
}

void Environment::await(Offset object) { start_awaiting(object, {Awaited::kLock, 0}); }

void Environment::unawait(Offset object) {
  if (stop_awaiting(object)) remove_await(root().slot(slot()), object);
}

void Environment::await_cell(Offset cell) { start_awaiting(cell, {Awaited::kCell, 0}); }

void Environment::unawait_cell(Offset cell) { stop_awaiting(cell); }

bool Environment::await_side(Offset side, uint32_t seen) {
  start_awaiting(side, {Awaited::kSide, seen});
  return side_flag(root(), side, seen);
}

void Environment::unawait_side(Offset side) {
  if (stop_awaiting(side)) remove_await(root().slot(slot()), side);
}

void Environment::answer_ring() {
  platform::bell_drain(read_end_);
  root().slot(slot()).rung.store(0);
}

void Host::look_after_awaited() {
  std::lock_guard<std::mutex> guard(mutex_);
  Actor actor{*root_, ringer_, me_};
  for (Environment* e : environments_)
    for (auto& [at, what] : e->awaited_) {
      bool look;
      if (what.what == Environment::Awaited::kCell)
        look = root_->ref<SyncCell>(at).state.load() != kCellWaiting || cell_look_for_dead(*root_, at);
      else if (what.what == Environment::Awaited::kSide)
        look = !side_flag(*root_, at, what.seen);
      else
        look = lock_takeable(*root_, at) || !lock_flag_async(actor, at);
      if (look) {
        root_->slot(e->slot()).rung.store(1);
        platform::bell_ring(e->write_end_);
        break;
      }
    }
}

void Host::ring_locals() {
  std::lock_guard<std::mutex> guard(mutex_);
  for (Environment* e : environments_)
    if (root_->slot(e->slot()).rung.load() != 0) platform::bell_ring(e->write_end_);
}

// ---- the helper thread
// -------------------------------------------------------------------------------------------------

void Host::find_neighbours(Owner neighbours[2]) {
  neighbours[0] = neighbours[1] = 0;
  uint32_t high = std::min(root_->header().slot_high.load(), kSlots), mine = slot_of(me_);
  for (uint32_t i = 1, found = 0; i < high && found < 2; i++) {
    uint32_t index = (mine + i) % high;
    Slot& s = root_->slot(index);
    if (index == mine || state_of(s.state.load()) != SlotState::kLive) continue;
    Owner owner = owner_of(*root_, index);
    if (s.process.load() == owner) neighbours[found++] = owner;
  }
}

/// The two processes before us watch us from now on, or no longer.
void Host::tell_neighbours() {
  uint32_t high = std::min(root_->header().slot_high.load(), kSlots), mine = slot_of(me_);
  for (uint32_t i = 1, found = 0; i < high && found < 2; i++) {
    uint32_t index = (mine + high - i) % high;
    Slot& s = root_->slot(index);
    if (state_of(s.state.load()) != SlotState::kLive || s.process.load() != owner_of(*root_, index)) continue;
    wake_helper(s);
    found++;
  }
}

void Host::help() {
  thread_id_ = platform::life_thread();
  ready_.store(true);
  Word& bell = root_->slot(slot_of(me_)).bell_count;
  uint64_t looked = platform::now_ns();
  for (;;) {
    uint32_t seen = bell.load();
    if (stop_.load()) return;  // after reading the bell: who stops us rings it afterwards
    try {
      help_once(seen, &looked);
    } catch (...) {
      platform::nap(kRecheckNs);  // memory that cannot be mapped: this process is not to end for it
    }
  }
}

void Host::help_once(uint32_t seen, uint64_t* looked) {
  ring_locals();
  descriptors_.tend(me_, ringer_);
  Owner neighbours[2];
  find_neighbours(neighbours);
  platform::Watch watches[platform::kMaxWatches] = {{&root_->slot(slot_of(me_)).bell_count, seen}};
  size_t count = 1;
  bool ended = false;
  const Owner watched[] = {neighbours[0], neighbours[1], parent()};
  for (Owner n : watched) {
    if (n == 0) continue;
    Word& life = root_->slot(slot_of(n)).life.word;
    uint32_t word = life.load();
    if (n != watched[2] && (word & platform::kOwnerDied)) ended = true;
    watches[count++] = {&life, word, true};
  }
  int64_t sleep = look_after_parent();
  if (!ended) {
    bool looking = awaiting_.load() != 0 || !platform::life_is_marked() || descriptors_.keeps_any();
    const int64_t longest = looking ? kRecheckNs : kNetNs;
    if (sleep < 0 || sleep > longest) sleep = longest;
    platform::wait(watches, count, sleep);
    // The kernel has woken one of all who watch a life word. First of all: what we see may end this process.
    for (Owner n : watched)
      if (n != 0 && life_ended(*root_, n))
        platform::wake(&root_->slot(slot_of(n)).life.word, platform::kWakeAll);
    if (stop_.load()) return;
    // By the clock: whoever rings often must not keep us from looking.
    if (platform::now_ns() - *looked >= static_cast<uint64_t>(longest)) {
      *looked = platform::now_ns();
      look_after_awaited();
      for (Owner n : neighbours)  // a net below the life words
        if (n != 0 && owner_dead(*root_, n)) reap_process(n);
    }
  }
  for (Owner n : neighbours)
    if (n != 0 && life_ended(*root_, n) && confirm_dead(*root_, n, &stop_)) reap_process(n);
}

// ---- reaping
// -----------------------------------------------------------------------------------------------------------

void Host::reap_process(Owner process) {
  Slot& p = root_->slot(slot_of(process));
  const uint32_t dead_pid = p.pid;
  if (p.generation.load() != generation_of(process)) return;
  uint32_t high = std::min(root_->header().slot_high.load(), kSlots);
  for (uint32_t i = 0; i < high; i++) {
    if (i == slot_of(process)) continue;
    Slot& s = root_->slot(i);
    uint32_t state = s.state.load();
    SlotState what = state_of(state);
    if (what == SlotState::kFree) continue;
    // What it owned or had reserved points to its slot; what it claimed or began to reap, and did not finish,
    // carries its pid. A slot that a child is taking over just now carries the child's: it is the child's.
    bool owned = s.process.load() == process && (what == SlotState::kLive || what == SlotState::kReserved);
    bool unfinished = pid_of(state) == dead_pid && what != SlotState::kLive;
    if (owned || unfinished) reap_slot(i, state);
  }
  uint32_t state = p.state.load();
  if (p.generation.load() == generation_of(process)) reap_slot(slot_of(process), state);
  reap_unfinished();
}

/// Slots whose owners were killed before they had settled in: no life word tells of them.
void Host::reap_unfinished() {
  const uint32_t high = std::min(root_->header().slot_high.load(), kSlots);
  for (uint32_t i = 0; i < high; i++) {
    const uint32_t state = root_->slot(i).state.load();
    const SlotState what = state_of(state);
    if ((what == SlotState::kClaimed || what == SlotState::kReaping) &&
        platform::process_dead(pid_of(state), 0))
      reap_slot(i, state);
  }
}

/// Whatever the owner of a slot held, waited for or was about to wake; then the slot is free. Each step may
/// be done twice, and whoever is killed here is followed by another reaper.
void Host::reap_slot(uint32_t slot, uint32_t seen) {
  Slot& s = root_->slot(slot);
  const uint32_t reaping = slot_state(SlotState::kReaping, platform::current_process());
  if (state_of(seen) == SlotState::kFree) return;
  if (state_of(seen) == SlotState::kReaping && seen != reaping &&
      !platform::process_dead(pid_of(seen), platform::process_start_time(pid_of(seen))))
    return;
  if (!s.state.compare_exchange_strong(seen, reaping))
    return;  // somebody else has it, or it became another's
  crash_point();
  const Owner dead = owner_of(*root_, slot);
  Actor actor{*root_, ringer_, me_};
  if (Offset at = s.changing.load(); at != 0 && at % alignof(LockCell) == 0 && at < root_->bytes()) {
    platform::wake(&root_->ref<LockCell>(at).word, platform::kWakeAll);
    ringer_.ring_next(at, slot);
  }
  for (Block block; heap_first_held(actor, slot, &block);) {
    if (has_lock(block.kind)) lock_abandon(actor, block.offset, dead);
    if (block.kind == Kind::kSync) cells_tell_of_death(*root_, ringer_, block.offset);
    if (block.kind == Kind::kChannel) channel_abandon(actor, block.offset, dead);
    if (block.kind == Kind::kEnd) {
      const End& end = root_->ref<End>(block.offset);
      for (Offset channel : {end.reads, end.writes})
        if (channel != 0) channel_abandon(actor, channel, dead);
    }
    crash_point();
    if (block.kind != Kind::kMessage || !channel_redeliver(actor, slot, block))
      heap_drop(actor, slot, block.offset);
  }
  for (auto& a : s.awaits)
    if (Offset at = a.exchange(0); at != 0) ringer_.ring_next(at, slot);
  s.awaits_overflow.store(0);
  s.life.word.fetch_or(platform::kOwnerDied);
  platform::wake(&s.life.word, platform::kWakeAll);
  crash_point();
  uint32_t mine = reaping;
  s.state.compare_exchange_strong(mine, slot_state(SlotState::kFree, 0));
}

}  // namespace multiproc
