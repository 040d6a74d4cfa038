// Descriptors on their way: kept for as long as their message, whoever dies; and a broker that bears any
// peer.
#include "platform/descriptors.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <thread>
#include <vector>

#include "test/check.h"

using namespace multiproc;

namespace {

#ifdef __SANITIZE_THREAD__  // TSan cannot follow threads started after a fork of a process with threads
constexpr bool kProcesses = false;
#else
constexpr bool kProcesses = true;
#endif

int open_descriptors() {
  int count = 0;
  DIR* folder = opendir("/proc/self/fd");
  while (readdir(folder) != nullptr) count++;
  closedir(folder);
  return count;
}

/// A file that is nobody else's, with a position to tell it by.
int some_file(off_t position) {
  int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
  CHECK(fd >= 0 && lseek(fd, position, SEEK_SET) == position);
  return fd;
}

Block send(Member& member, int fd, Owner parent = 0) {
  Actor actor = member.actor();
  return member.host->descriptors().send(actor, member.environment->slot(), member.host->me(), parent, fd);
}
/// `drop`: the message was read, and nobody else has it.
int receive(Member& member, const Block& block, bool drop) {
  Actor actor = member.actor();
  return member.host->descriptors().receive(actor, member.environment->slot(), block.offset, block.generation,
                                            drop);
}
void drop(Member& member, const Block& block) {
  Actor actor = member.actor();
  heap_drop(actor, member.environment->slot(), block.offset);
}
/// What the call is refused with; "" if it is not.
template <class F>
std::string refusal(F call) {
  try {
    call();
    return "";
  } catch (const Refusal& refusal) {
    return refusal.code;
  } catch (const SystemError& error) {
    return strerror(error.error);
  }
}
uint64_t broker_of(Member& member) {
  return member.host->root().slot(slot_of(member.host->me())).broker.load();
}

void a_copy_of_the_same_open_file_comes_and_none_is_left() {
  Member member(Root::create());
  drop(member, send(member, 0));  // starts the broker
  eventually("the first one is closed", [&] { return !member.host->descriptors().keeps_any(); });
  const int before = open_descriptors();
  int fd = some_file(7);
  Block block = send(member, fd);
  close(fd);
  for (int i = 0; i < 3; i++) {  // a message may be delivered again
    int got = receive(member, block, false);
    CHECK(lseek(got, 0, SEEK_CUR) == 7 + i && lseek(got, 1, SEEK_CUR) == 8 + i);
    CHECK(fcntl(got, F_GETFD) == FD_CLOEXEC);
    close(got);
  }
  close(receive(member, block, true));
  eventually("all is closed", [&] { return open_descriptors() == before; });
  CHECK(refusal([&] { receive(member, block, false); }) == "ERR_MP_GONE");
  block = send(member, 0);
  drop(member, block);  // nobody read it
  eventually("the copy of a dropped message is closed", [&] { return open_descriptors() == before; });
}

void what_is_wrong_is_told() {
  Member member(Root::create());
  CHECK(refusal([&] { send(member, 1 << 20); }) == strerror(EBADF));
  CHECK(refusal([&] { send(member, -1); }) == strerror(EBADF));
  Actor actor = member.actor();
  Block other = heap_allocate(actor, member.environment->slot(), 32, Kind::kValue);
  CHECK(refusal([&] { receive(member, other, false); }) == "ERR_MP_CORRUPT");
  Block forged = heap_allocate(actor, member.environment->slot(), 32, Kind::kData);
  CHECK(refusal([&] { receive(member, forged, false); }) == "ERR_MP_GONE");
  uint64_t words[4] = {1, 2, ~uint64_t{0}, ~uint64_t{0}};
  memcpy(member.host->root().at(forged.offset, sizeof words), words, sizeof words);
  CHECK(refusal([&] { receive(member, forged, false); }) == "ERR_MP_GONE");
  close(receive(member, send(member, 0), true));
  words[2] = broker_of(member);
  memcpy(member.host->root().at(forged.offset, sizeof words), words, sizeof words);
  CHECK(refusal([&] { receive(member, forged, false); }) == "ERR_MP_GONE");
}

void a_broker_bears_any_peer() {
  Member member(Root::create());
  int fd = some_file(3);
  Block block = send(member, fd);
  const uint64_t name = broker_of(member);
  const int before = open_descriptors();
  constexpr int64_t kSoon = int64_t{10} * 1000000000;
  // Garbage of all lengths ends the connection, and nothing else.
  for (size_t length : {1, 31, 32, 33, 4096}) {
    std::vector<char> garbage(length, 'x');
    int peer = platform::local_connect(name, kSoon);
    CHECK(peer >= 0 && platform::local_send(peer, garbage.data(), length, fd) == 0);
    char answer[4];
    int nothing;
    CHECK(platform::local_receive(peer, answer, sizeof answer, &nothing) == -ECONNRESET && nothing == -1);
    close(peer);
  }
  // Nobody outside of the family can make it keep something.
  Broker::Kept forged{{1, 2, 3}, block.offset, block.generation, fd};
  CHECK(broker_keep(name, forged) < 0);
  forged.block = 1;
  CHECK(broker_keep(name, forged) < 0);
  forged.block = ~Offset{0};
  CHECK(broker_keep(name, forged) < 0);
  // Nor guess what is kept.
  int connection = -1;
  Token token{};
  CHECK(broker_fetch(name, token, kSoon, &connection) == -ENOENT && connection == -1);
  // A crowd that connects and says nothing gives way to who comes later.
  std::vector<int> silent;
  for (int i = 0; i < 500; i++) {
    silent.push_back(platform::local_connect(name, kSoon));
    CHECK(silent.back() >= 0);
  }
  close(receive(member, block, false));
  for (int peer : silent) close(peer);
  eventually("the connections are gone", [&] { return open_descriptors() == before; });
  CHECK(member.host->descriptors().keeps_any());
  close(fd);
}

/// Until there is no descriptor left.
std::vector<int> fill_descriptors() {
  rlimit low;
  CHECK(getrlimit(RLIMIT_NOFILE, &low) == 0);
  low.rlim_cur = static_cast<rlim_t>(open_descriptors() + 20);
  CHECK(setrlimit(RLIMIT_NOFILE, &low) == 0);
  std::vector<int> filling;
  for (int fd; (fd = dup(0)) >= 0;) filling.push_back(fd);
  return filling;
}

void without_room_for_a_descriptor_nothing_is_lost() {
  Member member(Root::create());
  Block block = send(member, 0);
  rlimit usual;
  CHECK(getrlimit(RLIMIT_NOFILE, &usual) == 0);
  std::vector<int> filling = fill_descriptors();
  CHECK(refusal([&] { send(member, 0); }) == strerror(EMFILE));
  CHECK(refusal([&] { receive(member, block, false); }) == strerror(EMFILE));
  for (int i = 0; i < 2; i++) {  // the broker's end of the connection and this one: none left for what comes
    close(filling.back());
    filling.pop_back();
  }
  CHECK(refusal([&] { receive(member, block, false); }) == strerror(EMFILE));
  for (int fd : filling) close(fd);
  CHECK(setrlimit(RLIMIT_NOFILE, &usual) == 0);
  close(receive(member, block, true));
}

void threads_send_and_receive_at_the_same_time() {
  Member member(Root::create());
  drop(member, send(member, 0));
  eventually("the first one is closed", [&] { return !member.host->descriptors().keeps_any(); });
  const int before = open_descriptors();
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; t++)
    threads.emplace_back([&, t] {
      auto environment = member.host->enter(1);
      Actor actor = environment->actor();
      for (int i = 0; i < 100; i++) {
        int fd = some_file(t * 1000 + i);
        Block block = member.host->descriptors().send(actor, environment->slot(), member.host->me(), 0, fd);
        close(fd);
        int got = member.host->descriptors().receive(actor, environment->slot(), block.offset,
                                                     block.generation, true);
        CHECK(lseek(got, 0, SEEK_CUR) == t * 1000 + i);
        close(got);
      }
    });
  for (auto& thread : threads) thread.join();
  eventually("nothing is left", [&] { return open_descriptors() == before; });
}

/// A member that sends, tells where, and then waits to be killed. `parent`: who is to keep a copy.
pid_t sender(Member& member, Owner parent, int* block_fd, bool full = false) {
  int pipe_fds[2];
  CHECK(pipe(pipe_fds) == 0);
  *block_fd = pipe_fds[0];
  const uint32_t slot = member.environment->slot();
  pid_t pid = in_child(member.host->root(), [&](Member& m) {
    int fd = some_file(42);
    Block block = send(m, fd, parent);
    Actor actor = m.actor();
    heap_hold_for(actor, owner_of(m.host->root(), slot), block.offset);  // the message
    if (full) fill_descriptors();
    CHECK(write(pipe_fds[1], &block, sizeof block) == sizeof block);
    pause();
  });
  close(pipe_fds[1]);
  return pid;
}

void a_message_outlives_its_sender() {
  if (!kProcesses) return;
  Member member(Root::create());
  for (bool kept : {true, false}) {
    int from;
    pid_t pid = sender(member, kept ? member.host->me() : 0, &from);
    Block block;
    CHECK(read(from, &block, sizeof block) == sizeof block);
    close(from);
    kill(pid, SIGKILL);
    CHECK(wait_for(pid) == -SIGKILL);
    if (kept) {
      int got = receive(member, block, true);
      CHECK(lseek(got, 0, SEEK_CUR) == 42);
      close(got);
    } else {
      CHECK(refusal([&] { receive(member, block, true); }) == "ERR_MP_GONE");
    }
  }
  eventually("nothing is kept", [&] { return !member.host->descriptors().keeps_any(); });
}

void a_sender_without_a_descriptor_to_spare_serves_all() {
  if (!kProcesses) return;
  Member member(Root::create());
  int from;
  pid_t pid = sender(member, 0, &from, true);
  Block block;
  CHECK(read(from, &block, sizeof block) == sizeof block);
  close(from);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; t++)
    threads.emplace_back([&] {
      for (int i = 0; i < 25; i++) close(receive(member, block, false));
    });
  for (auto& thread : threads) thread.join();
  kill(pid, SIGKILL);
  CHECK(wait_for(pid) == -SIGKILL);
}

void a_stopped_sender_is_no_obstacle_if_another_has_a_copy() {
  if (!kProcesses) return;
  Member member(Root::create());
  int from;
  pid_t pid = sender(member, member.host->me(), &from);
  Block block;
  CHECK(read(from, &block, sizeof block) == sizeof block);
  close(from);
  kill(pid, SIGSTOP);
  int got = receive(member, block, true);
  CHECK(lseek(got, 0, SEEK_CUR) == 42);
  close(got);
  kill(pid, SIGKILL);
  CHECK(wait_for(pid) == -SIGKILL);
}

void who_ends_passes_on_what_it_keeps() {
  if (!kProcesses) return;
  Member member(Root::create());
  int from;
  const Owner me = member.host->me();
  int pipe_fds[2];
  CHECK(pipe(pipe_fds) == 0);
  from = pipe_fds[0];
  const uint32_t slot = member.environment->slot();
  pid_t pid = in_child(member.host->root(), [&](Member& m) {
    Block blocks[20];
    for (Block& block : blocks) {
      block = send(m, some_file(42));
      Actor actor = m.actor();
      heap_hold_for(actor, owner_of(m.host->root(), slot), block.offset);
    }
    drop(m, send(m, 0));
    m.host->descriptors().pass_on(m.host->me(), m.host->ringer(), me);
    CHECK(write(pipe_fds[1], blocks, sizeof blocks) == sizeof blocks);
  });
  close(pipe_fds[1]);
  CHECK(wait_for(pid) == 0);
  Block blocks[20];
  CHECK(read(from, blocks, sizeof blocks) == sizeof blocks);
  close(from);
  for (const Block& block : blocks) {
    int got = receive(member, block, true);
    CHECK(lseek(got, 0, SEEK_CUR) == 42);
    close(got);
  }
  eventually("nothing is kept", [&] { return !member.host->descriptors().keeps_any(); });
}

}  // namespace

int main() {
  RUN(a_copy_of_the_same_open_file_comes_and_none_is_left);
  RUN(what_is_wrong_is_told);
  RUN(a_broker_bears_any_peer);
  RUN(without_room_for_a_descriptor_nothing_is_lost);
  RUN(threads_send_and_receive_at_the_same_time);
  RUN(a_message_outlives_its_sender);
  RUN(a_sender_without_a_descriptor_to_spare_serves_all);
  RUN(a_stopped_sender_is_no_obstacle_if_another_has_a_copy);
  RUN(who_ends_passes_on_what_it_keeps);
}
