// Looking into a root from outside: what is there is seen, nothing is changed, and no contents can harm who
// looks.
#include "core/inspect.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cstring>
#include <random>

#include "core/channel.h"
#include "test/check.h"

using namespace multiproc;

namespace {

std::string code_of(platform::MemoryHandle memory) {
  try {
    inspect_root(memory);
  } catch (const Refusal& r) {
    return r.code;
  }
  return "";
}

const SeenBlock* find(const SeenRoot& seen, Offset offset) {
  for (const SeenBlock& b : seen.found)
    if (b.offset == offset) return &b;
  return nullptr;
}

void what_is_there_is_seen() {
  Member member(Root::create());
  Actor actor = member.actor();
  Root& root = actor.root;
  const uint32_t slot = member.environment->slot();
  Block lock = heap_allocate(actor, slot, kNamedLockBytes, Kind::kLock);
  strcpy(static_cast<char*>(root.at(lock.offset + sizeof(LockCell), 8)), "ledger");
  CHECK(lock_acquire(actor, lock.offset, 0, Watched::kNo) == Acquired::kYes);
  Block large = heap_allocate(actor, slot, 1 << 20, Kind::kArray);
  Block queue = channel_create(actor, {7, 0});
  Record record[2] = {{4, 0}, {0, 0}};
  size_t done;
  uint32_t seen_signal;
  CHECK(channel_put(actor, queue.offset, reinterpret_cast<char*>(record), record_bytes(4), &done,
                    &seen_signal) == Outcome::kDone);
  strncpy(root.slot(slot).name, "alice", 32);

  SeenRoot seen = inspect_root(root.memory());
  CHECK(seen.id == root.id() && seen.same_pid_namespace && !seen.truncated);
  CHECK(seen.blocks == root.header().live_blocks && seen.bytes == root.header().live_bytes);
  CHECK(seen.slots.size() == 2);  // the process and its environment
  const SeenSlot& me = seen.slots[1];
  CHECK(me.owner == actor.me && me.name == "alice" && me.pid == static_cast<uint32_t>(getpid()) && !me.dead);
  CHECK(me.process == seen.slots[0].owner && seen.slots[0].process == seen.slots[0].owner);
  const SeenBlock* l = find(seen, lock.offset);
  CHECK(l != nullptr && l->label == "ledger" && l->locked && l->lock.owner == actor.me);
  CHECK(l->holders == std::vector<uint32_t>{slot});
  const SeenBlock* a = find(seen, large.offset);
  CHECK(a != nullptr && a->bytes == 1 << 20 && a->kind == Kind::kArray);
  const SeenBlock* q = find(seen, queue.offset);
  CHECK(q != nullptr && q->is_channel && q->channel.messages == 1 && q->channel.max_messages == 7);
  CHECK(q->channel.put == 1 && q->channel.taken == 0 && q->channel.bytes == record_bytes(4));
}

#ifndef __SANITIZE_THREAD__  // TSan cannot follow threads started after a fork of a process with threads
void the_dead_and_the_blocked_are_seen() {
  Member member(Root::create());
  Actor actor = member.actor();
  Root& root = actor.root;
  Block queue = channel_create(actor, {0, 0});
  Block handed = queue;
  pid_t child = in_child(root, [&](Member& m) {
    Actor a = m.actor();
    heap_hold(a, m.environment->slot(), handed.offset, handed.generation);
    Side& side = a.root.ref<Side>(side_of(handed.offset, Waits::kMessage));
    channel_wait(a, handed.offset, Waits::kMessage, side.signal.load(), -1);
  });
  eventually("the child is seen to wait for a message", [&] {
    for (const SeenSlot& s : inspect_root(root.memory()).slots)
      if (s.pid == static_cast<uint32_t>(child) && s.blocked == Blocked::kTold &&
          s.blocked_in == side_of(queue.offset, Waits::kMessage))
        return true;
    return false;
  });
  kill(child, SIGKILL);
  CHECK(wait_for(child) == -SIGKILL);
  eventually("what it left is put in order", [&] {
    for (const SeenSlot& s : inspect_root(root.memory()).slots)
      if (s.pid == static_cast<uint32_t>(child)) return false;
    return true;
  });
}
#endif

void other_things_are_refused() {
  int ends[2];
  CHECK(pipe(ends) == 0);
  CHECK(code_of(ends[0]) == "ERR_MP_CORRUPT");
  int plain = memfd_create("multiproc", 0);  // may shrink under who maps it
  CHECK(ftruncate(plain, int64_t{16} << 30) == 0);
  CHECK(code_of(plain) == "ERR_MP_CORRUPT");
  CHECK(code_of(-1) == "ERR_MP_CORRUPT");
  for (int fd : {ends[0], ends[1], plain}) close(fd);

  platform::MemoryHandle empty;
  uint64_t bytes = kRootBytes;
  CHECK(platform::memory_create(&bytes, &empty) == 0);
  CHECK(code_of(empty) == "ERR_MP_CORRUPT");
  Header h{};
  h.magic = kMagic;
  h.version = kLayoutVersion + 1;
  CHECK(platform::memory_write(empty, 0, &h, sizeof h) == 0);
  CHECK(code_of(empty) == "ERR_MP_UNSUPPORTED");
  platform::memory_close(empty);
}

/// All that is in use is overwritten at random: sizes, lists, cursors, names.
void no_contents_do_harm() {
  Member member(Root::create());
  Actor actor = member.actor();
  Root& root = actor.root;
  const uint32_t slot = member.environment->slot();
  for (int i = 0; i < 50; i++) {
    heap_allocate(actor, slot, 64, Kind::kLock);
    heap_allocate(actor, slot, kSyncBytes, Kind::kSync);
    channel_create(actor, {0, 0});
    heap_allocate(actor, slot, 100000, Kind::kArray);
  }
  struct Part {
    Offset at;
    size_t length;
  };
  const Part parts[] = {{offsetof(Header, bytes), sizeof(Header) - offsetof(Header, bytes)},
                        {kSlotsAt, 16 * sizeof(Slot)},
                        {kHoldsAt, 300 * sizeof(Hold)},
                        {kSpansAt, 200 * sizeof(SpanEntry)},
                        {kDataAt, 20 * kSpanBytes}};
  // A copy: the processes of a real one would be harmed.
  platform::MemoryHandle copy;
  uint64_t bytes = kRootBytes;
  CHECK(platform::memory_create(&bytes, &copy) == 0);
  std::vector<std::vector<char>> sound;
  for (const Part& p : parts) {
    sound.emplace_back(p.length);
    CHECK(platform::memory_read(root.memory(), p.at, sound.back().data(), p.length) ==
          static_cast<int64_t>(p.length));
  }
  std::vector<char> head(offsetof(Header, bytes));
  CHECK(platform::memory_read(root.memory(), 0, head.data(), head.size()) ==
        static_cast<int64_t>(head.size()));
  CHECK(platform::memory_write(copy, 0, head.data(), head.size()) == 0);
  std::mt19937_64 random(20261121);
  InspectLimits limits;
  limits.time_ns = 20 * 1000000;
  for (int round = 0; round < 300; round++) {
    for (size_t i = 0; i < std::size(parts); i++) {
      std::vector<char> bad = sound[i];
      const int changes = round % 3 == 0 ? 2 : round % 3 == 1 ? 50 : 2000;
      for (int c = 0; c < changes; c++) {
        const uint64_t values[] = {random(), 0, ~uint64_t{0}, kDataAt, random() % 300, uint64_t{1} << 31};
        const uint64_t value = values[random() % std::size(values)];
        const size_t width = random() % 2 ? 4 : 8, at = random() % (bad.size() / 8) * 8;
        memcpy(bad.data() + at, &value, width);
      }
      CHECK(platform::memory_write(copy, parts[i].at, bad.data(), bad.size()) == 0);
    }
    SeenRoot seen = inspect_root(copy, limits);
    CHECK(seen.slots.size() <= kSlots && seen.found.size() <= limits.blocks);
    for (const SeenBlock& b : seen.found)
      CHECK(b.holders.size() + b.containers.size() <= limits.holders && b.label.size() <= kLabelBytes);
  }
  // A list of holds that bites its own tail, and a table of as many spans as there can be.
  for (size_t i = 0; i < std::size(parts); i++)
    CHECK(platform::memory_write(copy, parts[i].at, sound[i].data(), sound[i].size()) == 0);
  for (uint32_t i = 1; i < 250; i++) {
    const uint32_t self = i;
    CHECK(platform::memory_write(copy, kHoldsAt + i * sizeof(Hold) + offsetof(Hold, next_of_block), &self,
                                 4) == 0);
  }
  const uint32_t most = ~0u;
  CHECK(platform::memory_write(copy, offsetof(Header, span_high), &most, 4) == 0);
  const uint64_t start = platform::now_ns();
  CHECK(inspect_root(copy, limits).truncated);
  CHECK(platform::now_ns() - start < uint64_t{10} * 1000000000);
  platform::memory_close(copy);
}

/// Looking touches no page that its owners have not touched.
void nothing_is_taken() {
  Member member(Root::create());
  Actor actor = member.actor();
  heap_allocate(actor, member.environment->slot(), 64, Kind::kLock);
  struct stat before, after;
  CHECK(fstat(static_cast<int>(actor.root.memory()), &before) == 0);
  for (int i = 0; i < 10; i++) inspect_root(actor.root.memory());
  CHECK(fstat(static_cast<int>(actor.root.memory()), &after) == 0);
  CHECK(before.st_blocks == after.st_blocks);
}

}  // namespace

int main() {
  RUN(what_is_there_is_seen);
#ifndef __SANITIZE_THREAD__
  RUN(the_dead_and_the_blocked_are_seen);
#endif
  RUN(other_things_are_refused);
  RUN(no_contents_do_harm);
  RUN(nothing_is_taken);
}
