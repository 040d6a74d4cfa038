// The operating system, as the core sees it: memory, wait/wake, time, processes and their liveness.
//
// One header, three implementations (linux/, darwin/, win32/). No signature speaks of futexes, forks or
// signals: Windows has none of them. Functions that can fail return 0 or a negated errno; nothing throws.
#pragma once
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace multiproc::platform {

using Word = std::atomic<uint32_t>;

// ---- memory: one sparse, growable-by-touch object that children inherit
// -----------------------------------------

/// A handle to an object of shared memory: a descriptor, or a HANDLE on Windows.
using MemoryHandle = intptr_t;

/// A new object of `*bytes` bytes that costs nothing until touched; lowers `*bytes` to what the system
/// allows.
int memory_create(uint64_t* bytes, MemoryHandle* out);
int memory_map(MemoryHandle memory, uint64_t offset, size_t length, void** out);
void memory_unmap(void* address, size_t length);
/// Makes sure that touching these bytes cannot fail later. -ENOSPC: there is no room.
int memory_reserve(MemoryHandle memory, uint64_t offset, uint64_t length);
/// Copies bytes in, making room for them as it goes: quicker than touching new pages one by one. -ENOSPC:
/// there is none.
int memory_write(MemoryHandle memory, uint64_t offset, const void* bytes, uint64_t length);
/// Gives the pages back; they read as zeros from now on.
int memory_release(MemoryHandle memory, uint64_t offset, uint64_t length);
/// Reads another family's memory without mapping it: neither can what they do to it end us, nor do we touch a
/// page that they have not. How many bytes; fewer: there are no more.
int64_t memory_read(MemoryHandle memory, uint64_t offset, void* into, uint64_t length);
/// Is this what memory_create makes, as far as the system knows? Its length, or negative.
int64_t memory_known(MemoryHandle memory);
/// In a child: the memory that its parent gave it, by its descriptor as inherited (or its handle in the
/// parent, on Windows). Children started by others than us will not inherit it.
int memory_adopt(intptr_t given, uint32_t parent, MemoryHandle* out);
void memory_close(MemoryHandle memory);

// ---- wait and wake
// ---------------------------------------------------------------------------------------------

struct Watch {
  const Word* word;
  uint32_t expected;
  bool life = false;  ///< the word is a life word (below)
};

/// Blocks until one of up to `kMaxWatches` words no longer has its expected value and somebody has woken it,
/// or the time is over (false). Wakes spuriously; the caller looks at the words. Negative time-out: for ever.
constexpr size_t kMaxWatches = 4;
bool wait(const Watch* watches, size_t count, int64_t timeout_ns);
/// How many were woken, as far as the system tells (else `count`).
uint32_t wake(Word* word, uint32_t count);
constexpr uint32_t kWakeAll = 0x7fffffff;

/// Sleeps; nothing wakes it.
void nap(int64_t ns);
uint64_t now_ns();
void pause_cpu();
/// Lets somebody else have this CPU, if anybody wants it.
void yield_cpu();
/// CPUs that this process may run on.
unsigned usable_cpus();

// ---- processes
// -------------------------------------------------------------------------------------------------

uint32_t current_process();
/// Tells two processes with the same pid apart. 0: no such process, or it cannot be read.
uint64_t process_start_time(uint32_t pid);
/// Has this very process ended? Only a definite answer is true: errors never mean dead.
bool process_dead(uint32_t pid, uint64_t start_time);
/// Is this native thread of a living process gone (a process that called exec keeps pid and start time)?
bool thread_gone(uint32_t pid, uint32_t thread);
/// Processes with different values cannot judge each other's pids.
uint64_t pid_namespace();

using ProcessHandle = intptr_t;
struct ExitStatus {
  int exit_code;  ///< meaningful if signal is 0
  int signal;
};
int process_open(uint32_t pid, ProcessHandle* out);
void process_close(ProcessHandle process);
/// 0: time is over; 1: it has ended; 2: one of the descriptors can be read. Negative: an error.
int process_wait(ProcessHandle process, int64_t timeout_ns, const int* descriptors, size_t count);
/// A descriptor that can be read when the process has ended; to be closed by socket_close.
int process_watch(uint32_t pid, intptr_t* out);
/// How our ended child ended, left for its parent library to reap. False: it runs, or it is not ours.
bool process_status(ProcessHandle process, ExitStatus* out);
/// Ends this process at once, as if it had been killed.
[[noreturn]] void end_this_process();
int close_on_exec(int descriptor);

// ---- forking: a copy of this process that goes on from here
// --------------------------------------------------------

/// Why this system cannot do it; nullptr: it can.
const char* fork_refusal();
/// Copies this process; the caller has seen to it that no other thread is in the midst of something. Signals
/// are blocked on return, in both, until fork_done(). 0: this is the copy. Negative: an error.
int64_t fork_process();
void fork_done();
/// SIGINT does nothing to this process, or what it does by default.
void ignore_interrupts(bool ignore);
/// Gives unused memory of the C library back to the system: copies of this process are made and ended faster.
void trim_memory();
/// The native ids of this process's threads; more than `max`: only so many are written. Negative: an error.
int64_t list_threads(uint32_t* out, size_t max);
uint32_t current_thread();
/// The name of a thread of this process, for messages.
void thread_name(uint32_t thread, char* out, size_t length);
/// Ends this process at once with an exit code: no destructors, nothing written.
[[noreturn]] void exit_process(int code);

// ---- descriptors between a process and its template
// ------------------------------------------------------------------

/// Two ends of a stream between relatives. Nobody else can reach it: it has no name.
int control_pair(int out[2]);
int pipe_pair(int out[2]);
/// Makes `target` another name of `descriptor` (of an empty, bottomless one if that is negative).
int redirect(int descriptor, int target);
/// Each message on this end tells from now on who sent it.
int control_identify(int socket);
constexpr size_t kMaxPassed = 8;
struct Received {
  size_t bytes;
  uint32_t pid;  ///< of the sender; 0: unknown
  uint32_t user;
  size_t passed;
  int descriptors[kMaxPassed];  ///< now ours, not inherited by programs that we start
};
/// Does not block: -EAGAIN. How many bytes were taken; the descriptors go with the first of them.
int64_t control_send(int socket, const void* data, size_t length, const int* descriptors, size_t count);
/// Does not block: -EAGAIN. 0 bytes: the other end is gone.
int control_receive(int socket, void* data, size_t length, Received* out);
/// 1: it can be read (or its other end is gone); 0: time is over.
int control_wait(int socket, bool writable, int64_t timeout_ns);

/// Takes the exit status of our ended child; false: it has not ended, or is not ours. `keep`: it can be asked
/// for again, and its pid names no other until then.
bool process_reap(uint32_t pid, bool keep, ExitStatus* out);
/// Signals the process behind a handle, nobody else. False: it has ended.
bool process_signal(ProcessHandle process, int signal);

// ---- life words
// ------------------------------------------------------------------------------------------------

/// Set in a life word when the process ends, however it ends. Linux: by the kernel, which walks the robust
/// list of the helper. Windows: by whoever sleeps on the word, and so on the process.
constexpr uint32_t kOwnerDied = 0x40000000u;

/// A life word and its link in the list that the system walks at death. Lies in shared memory, at the head of
/// a slot.
struct Life {
  Word word;
  uint32_t unused;
  uint64_t next;  ///< address in the owner's process
};

/// Are life words marked? If not, whoever waits for a death looks every 100 ms.
bool life_is_marked();
/// Called once, first, by the thread that stands for this process. Returns its id, to be looked up by
/// thread_gone.
uint32_t life_thread();
/// From now on `life->word` is marked and woken when this process ends. Any thread; serialised by the caller.
void life_add(Life* life);
void life_remove(Life* life);

// ---- doorbells: how another process reaches an event loop
// ---------------------------------------------------------

struct Bell {
  int32_t descriptor;  ///< in the owner's process
  uint32_t pid;
  uint64_t identity[2];  ///< checked after reopening
};
/// `read_end` is to be polled by the event loop.
int bell_create(Bell* out, int* read_end, int* write_end);
/// Closes both ends, or the one that is not negative.
void bell_close(int read_end, int write_end);
/// A descriptor through which another process's bell can be rung; negative: not reachable.
int bell_open(const Bell& bell);
/// Rings. False: the bell is gone.
bool bell_ring(int write_end);
/// Takes all rings that have come.
void bell_drain(int read_end);

// ---- sockets: streams of bytes to other programs and machines; no call but socket_wait and host_addresses
// blocks
// -------------------------------------------------------------------------------------------------------------

using SocketHandle = intptr_t;

/// Where a socket is bound. `port` < 0: a path, or a name in the abstract namespace if its first byte is 0;
/// else `text` is an IP literal.
struct SocketName {
  char text[256];
  size_t length;
  int port;
};

constexpr int kSocketReadable = 1;
constexpr int kSocketWritable = 2;

int socket_listen(const SocketName& name, int backlog, SocketHandle* out);
/// Begins to connect. -EAGAIN for a path: its listener has no room just now.
int socket_connect(const SocketName& name, SocketHandle* out);
/// 1: it is connected; 0: not yet. Negative: why it failed.
int socket_connected(SocketHandle socket);
/// -EAGAIN: nobody is there.
int socket_accept(SocketHandle listener, SocketHandle* out);
/// Its own name, or that of the other end (empty for an unnamed one).
int socket_name(SocketHandle socket, bool peer, SocketName* out);
/// 0: the end. -EAGAIN: nothing just now.
int64_t socket_read(SocketHandle socket, void* into, size_t length);
/// Both parts in one call. -EAGAIN: no room just now.
int64_t socket_write(SocketHandle socket, const void* head, size_t head_length, const void* body,
                     size_t body_length);
/// Blocks until one of the sockets is ready for one of the events (1), a signal came or the time is over (0).
int socket_wait(const SocketHandle* sockets, size_t count, int events, int64_t timeout_ns);
/// Any descriptors: `ready[i]` becomes 1 if it can be read or has ended, 2 if it is none. As socket_wait.
int descriptors_wait(const int* descriptors, uint8_t* ready, size_t count, int64_t timeout_ns);
/// Another descriptor of the same open file.
int descriptor_duplicate(int descriptor, SocketHandle* out);
void socket_close(SocketHandle socket);
/// The addresses of a host, as IP literals: how many there are. Blocks while the system asks for them.
size_t host_addresses(const char* host, SocketName* out, size_t room);

}  // namespace multiproc::platform
