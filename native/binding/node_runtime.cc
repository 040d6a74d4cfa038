#include "binding/node_runtime.h"

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "platform/platform.h"

#ifndef __linux__
// Nothing is known about other systems: platform::fork_refusal() comes first, and none of this is reached.
namespace multiproc::runtime {
std::string refusal(uv_loop_s*) { return "it was tested on Linux only"; }
Park park(uv_loop_s*, int64_t, std::vector<uint32_t>*, std::string*) { return Park::kRefused; }
void unpark() {}
bool lock_finished_work(uv_loop_s*) { return false; }
void unlock_finished_work(uv_loop_s*) {}
bool output_pending(uv_loop_s*) { return false; }
void wake_soon(uv_loop_s*) {}
bool renew(uv_loop_s*) { return false; }
void forget(uv_loop_s*, void*) {}
bool alive(uv_loop_s*) { return true; }
void* prepare_start(uv_loop_s*, void*, void (*)(void*)) { return nullptr; }
void*& data_of(void* handle) { return *static_cast<void**>(handle); }
void prepare_stop(void*) {}
void prepare_close(void*) {}
}  // namespace multiproc::runtime
#else

#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <ctime>
#include <thread>

namespace multiproc::runtime {

namespace {

// ---- libuv
// -------------------------------------------------------------------------------------------------------

enum HandleType {
  kAsync = 1,
  kFsEvent = 3,
  kFsPoll = 4,
  kIdle = 6,
  kPipe = 7,
  kPoll = 8,
  kPrepare = 9,
  kTcp = 12,
  kTty = 14,
  kUdp = 15,
  kSignal = 16
};
constexpr int kWork = 7;  // uv_req_type: UV_WORK

struct Queue {
  Queue* next;
  Queue* previous;
};

/// The head of uv_handle_t, public in libuv 1.x.
struct Handle {
  void* data;
  uv_loop_s* loop;
  int type;
  void (*close_callback)(Handle*);
  Queue queue;
  void* reserved[4];
  Handle* next_closing;
  unsigned flags;
};

/// uv_signal_t, public but for its last fields.
struct Signal {
  Handle handle;
  void* callback;
  int number;
  void* tree[3];
  int color;
  unsigned caught;
  unsigned dispatched;
};

/// The head of uv_loop_t (libuv 1.x, Linux). Public are the fields up to stop_flag; the rest is verified by
/// what it holds: see loop_refusal().
struct Loop {
  void* data;
  unsigned active_handles;
  Queue handles;
  union {
    void* unused;
    unsigned count;
  } active_requests;
  void* internal;
  unsigned stop_flag;
  unsigned long flags;
  int backend_fd;
  Queue pending;
  Queue watching;
  void** watchers;
  unsigned watcher_count;
  unsigned fd_count;
  Queue finished;
  pthread_mutex_t finished_mutex;
  struct {
    Handle handle;
    void* callback;
    Queue queue;
    int is_pending;
  } finished_async;
  pthread_rwlock_t cloexec_lock;
  Handle* closing;
};

struct Uv {
  size_t (*handle_size)(int);
  size_t (*request_size)(int);
  int (*backend_fd)(const void*);
  int (*loop_fork)(void*);
  int (*loop_alive)(const void*);
  int (*queue_work)(void*, void*, void (*)(void*), void (*)(void*, int));
  void (*walk)(void*, void (*)(Handle*, void*), void*);
  int (*fileno)(const void*, int*);
  int (*is_closing)(const void*);
  int (*read_stop)(void*);
  size_t (*write_queue_size)(const void*);
  int (*fs_event_stop)(void*);
  int (*fs_poll_stop)(void*);
  void (*unref)(void*);
  void (*close)(void*, void (*)(Handle*));
  int (*prepare_init)(void*, void*);
  int (*prepare_start)(void*, void (*)(void*));
  int (*prepare_stop)(void*);
  const char* missing;
};

const Uv& uv() {
  static const Uv table = [] {
    Uv t{};
    auto find = [&](auto& f, const char* name) {
      f = reinterpret_cast<std::remove_reference_t<decltype(f)> >(dlsym(RTLD_DEFAULT, name));
      if (f == nullptr) t.missing = name;
    };
    find(t.handle_size, "uv_handle_size");
    find(t.request_size, "uv_req_size");
    find(t.backend_fd, "uv_backend_fd");
    find(t.loop_fork, "uv_loop_fork");
    find(t.loop_alive, "uv_loop_alive");
    find(t.queue_work, "uv_queue_work");
    find(t.walk, "uv_walk");
    find(t.fileno, "uv_fileno");
    find(t.is_closing, "uv_is_closing");
    find(t.read_stop, "uv_read_stop");
    find(t.write_queue_size, "uv_stream_get_write_queue_size");
    find(t.fs_event_stop, "uv_fs_event_stop");
    find(t.fs_poll_stop, "uv_fs_poll_stop");
    find(t.unref, "uv_unref");
    find(t.close, "uv_close");
    find(t.prepare_init, "uv_prepare_init");
    find(t.prepare_start, "uv_prepare_start");
    find(t.prepare_stop, "uv_prepare_stop");
    return t;
  }();
  return table;
}

Loop& fields(uv_loop_s* loop) { return *reinterpret_cast<Loop*>(loop); }

/// Reads memory that may not be there.
bool peek(const void* address, void* out, size_t length) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) return false;
  const ssize_t n = static_cast<ssize_t>(length);
  bool all = write(ends[1], address, length) == n && read(ends[0], out, length) == n;
  close(ends[0]);
  close(ends[1]);
  return all;
}

/// Is this a queue of libuv's? Nobody else may change it meanwhile.
bool sound(const Queue& queue) {
  Queue next, previous;
  return queue.next != nullptr && peek(queue.next, &next, sizeof next) && next.previous == &queue &&
         queue.previous != nullptr && peek(queue.previous, &previous, sizeof previous) &&
         previous.next == &queue;
}

std::string loop_refusal(uv_loop_s* loop) {
  if (uv().missing != nullptr) return std::string("this runtime does not export ") + uv().missing;
  if (uv().handle_size(kAsync) != sizeof(Loop::finished_async) || uv().handle_size(kSignal) != sizeof(Signal))
    return "libuv's handles have another size";
  Loop seen;
  if (!peek(loop, &seen, sizeof seen)) return "libuv's loop cannot be read";
  const Loop& real = fields(loop);
  const bool known = seen.backend_fd == uv().backend_fd(loop) && seen.finished_async.handle.loop == loop &&
                     seen.finished_async.handle.type == kAsync && seen.watcher_count < (1u << 24) &&
                     sound(real.pending);
  return known ? "" : "libuv's loop is laid out in another way";
}

// ---- V8's platform
// -------------------------------------------------------------------------------------------------

struct Platform {
  void* platform = nullptr;
  void* runner = nullptr;
  void* post = nullptr;
  bool post_with_place = false;  // Node 22 and later: priority and source location
  void* construct = nullptr;
  bool construct_with_log = false;  // Node 22 and later
  size_t (*thread_count)(const void*) = nullptr;
  std::string missing;
};

Platform find_platform() {
  Platform p;
  auto symbol = [](const char* name) { return dlsym(RTLD_DEFAULT, name); };
  auto lacks = [&p](const char* what) {
    p.missing = std::string("this build of Node has no ") + what;
    return p;
  };
  auto* holder = static_cast<char*>(symbol("_ZN4node11per_process11v8_platformE"));
  if (holder == nullptr) return lacks("node::per_process::v8_platform");
  auto* table = static_cast<void**>(symbol("_ZTVN4node12NodePlatformE"));
  if (table == nullptr) return lacks("vtable of node::NodePlatform");
  // The control block of the shared pointer that owns the pool; its name depends on the compiler's library.
  auto* control =
      static_cast<void**>(symbol("_ZTVSt23_Sp_counted_ptr_inplaceIN4node23WorkerThreadsTaskRunnerESaIS1_ELN9_"
                                 "_gnu_cxx12_Lock_policyE2EE"));
  if (control == nullptr)
    control =
        static_cast<void**>(symbol("_ZTVSt23_Sp_counted_ptr_inplaceIN4node23WorkerThreadsTaskRunnerESaIvELN9_"
                                   "_gnu_cxx12_Lock_policyE2EE"));
  if (control == nullptr) return lacks("control block of node::WorkerThreadsTaskRunner");
  p.construct = symbol("_ZN4node23WorkerThreadsTaskRunnerC1EiNS_21PlatformDebugLogLevelE");
  p.construct_with_log = p.construct != nullptr;
  if (p.construct == nullptr) p.construct = symbol("_ZN4node23WorkerThreadsTaskRunnerC1Ei");
  if (p.construct == nullptr) return lacks("constructor of node::WorkerThreadsTaskRunner that we know");
  p.thread_count = reinterpret_cast<size_t (*)(const void*)>(
      symbol("_ZNK4node23WorkerThreadsTaskRunner21NumberOfWorkerThreadsEv"));
  if (p.thread_count == nullptr) return lacks("node::WorkerThreadsTaskRunner::NumberOfWorkerThreads");
  p.post = symbol(
      "_ZN4node12NodePlatform26PostTaskOnWorkerThreadImplEN2v812TaskPriorityESt10unique_ptrINS1_"
      "4TaskESt14default_"
      "deleteIS4_EERKNS1_14SourceLocationE");
  p.post_with_place = p.post != nullptr;
  if (p.post == nullptr)
    p.post = symbol(
        "_ZN4node12NodePlatform18CallOnWorkerThreadESt10unique_ptrIN2v84TaskESt14default_deleteIS3_EE");
  if (p.post == nullptr) return lacks("way to post a task that we know");
  // The platform: the one pointer in the holder that points to something with its vtable.
  for (int i = 0; i < 24 && p.platform == nullptr; i++) {
    void *candidate, *first;
    if (!peek(holder + 8 * i, &candidate, sizeof candidate)) break;
    if (candidate != nullptr && reinterpret_cast<uintptr_t>(candidate) % 8 == 0 &&
        peek(candidate, &first, sizeof first) && first == table + 2)
      p.platform = candidate;
  }
  if (p.platform == nullptr) return lacks("node::NodePlatform where it is looked for");
  // The pool: in the platform, a shared pointer {object, control block} made in one piece.
  for (int i = 0; i < 48; i++) {
    char* pair[2];
    void* first;
    if (!peek(static_cast<char*>(p.platform) + 8 * i, pair, sizeof pair)) break;
    if (pair[0] != nullptr && pair[1] != nullptr && pair[0] - 16 == pair[1] &&
        peek(pair[1], &first, sizeof first) && first == control + 2) {
      p.runner = pair[0];
      break;
    }
  }
  if (p.runner == nullptr) return lacks("node::WorkerThreadsTaskRunner where it is looked for");
  const size_t threads = p.thread_count(p.runner);
  if (threads < 2 || threads > 1025) return lacks("worker threads in the number that is expected");
  return p;
}

Platform& v8() {
  static Platform found = find_platform();
  return found;
}

// ---- parking
// -------------------------------------------------------------------------------------------------------

/// What parked threads share with the one that parks them. Freed by the last of them.
struct Parking {
  sem_t arrived, released;
  std::atomic<int> users;
  std::atomic<uint32_t> count{0};
  std::vector<uint32_t> threads;

  explicit Parking(int n) : users(n + 1), threads(static_cast<size_t>(n)) {
    sem_init(&arrived, 0, 0);
    sem_init(&released, 0, 0);
  }
  void stay() {
    threads[count.fetch_add(1)] = platform::current_thread();
    sem_post(&arrived);
    while (sem_wait(&released) != 0) continue;
    leave();
  }
  void leave() {
    if (users.fetch_sub(1) == 1) delete this;
  }
  bool all_arrived(int n, uint64_t deadline) {
    timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    const uint64_t now = platform::now_ns();
    const uint64_t left = deadline > now ? deadline - now : 0;
    until.tv_sec += static_cast<time_t>(left / 1000000000);
    until.tv_nsec += static_cast<long>(left % 1000000000);
    if (until.tv_nsec >= 1000000000) {
      until.tv_sec++;
      until.tv_nsec -= 1000000000;
    }
    for (int i = 0; i < n; i++)
      while (sem_timedwait(&arrived, &until) != 0)
        if (errno != EINTR) return false;
    return true;
  }
};

/// A v8::Task by its ABI: destructors, then Run().
struct ParkTask {
  explicit ParkTask(Parking* p) : parking(p) {}
  virtual ~ParkTask() = default;
  virtual void Run() { parking->stay(); }
  Parking* parking;
};

struct Parked {
  Parking* parking;
  int count;
};
std::vector<Parked> parked;
int pool_size = 0;  // of libuv: fixed when its first work comes

int libuv_threads() {
  if (pool_size == 0) {
    const char* wished = getenv("UV_THREADPOOL_SIZE");
    int n = wished == nullptr ? 4 : atoi(wished);
    pool_size = n < 1 ? 1 : n > 1024 ? 1024 : n;
  }
  return pool_size;
}

}  // namespace

std::string refusal(uv_loop_s* loop) {
  std::string why = loop_refusal(loop);
  return why.empty() ? v8().missing : why;
}

Park park(uv_loop_s* loop, int64_t timeout_ns, std::vector<uint32_t>* threads, std::string* why) {
  const uint64_t deadline = platform::now_ns() + static_cast<uint64_t>(timeout_ns);
  const int n = libuv_threads();
  auto* pool = new Parking(n);
  const unsigned before = fields(loop).active_requests.count;
  for (int i = 0; i < n; i++) {
    void* request = calloc(1, uv().request_size(kWork));
    data_of(request) = pool;
    uv().queue_work(
        loop, request, [](void* r) { static_cast<Parking*>(data_of(r))->stay(); },
        [](void* r, int) { free(r); });
  }
  parked.push_back({pool, n});
  if (fields(loop).active_requests.count != before + static_cast<unsigned>(n)) {
    *why = "libuv's loop counts its requests in another place";
    return Park::kRefused;
  }
  if (!pool->all_arrived(n, deadline)) {
    *why = "libuv's thread pool is busy";
    return Park::kBusy;
  }
  // The last of its threads is the one for delayed tasks, which only waits.
  const int workers = static_cast<int>(v8().thread_count(v8().runner)) - 1;
  auto* tasks = new Parking(workers);
  struct {
    const char *function, *file;
    size_t line;
  } place = {nullptr, nullptr, 0};
  for (int i = 0; i < workers; i++) {
    void* task = new ParkTask(tasks);  // a unique_ptr, passed by value, is a pointer to it
    if (v8().post_with_place)
      reinterpret_cast<void (*)(void*, int, void**, void*)>(v8().post)(v8().platform, 0 /* best effort */,
                                                                       &task, &place);
    else
      reinterpret_cast<void (*)(void*, void**)>(v8().post)(v8().platform, &task);
  }
  parked.push_back({tasks, workers});
  if (!tasks->all_arrived(workers, deadline)) {
    *why = "V8's worker threads are busy";
    return Park::kBusy;
  }
  threads->insert(threads->end(), pool->threads.begin(), pool->threads.end());
  threads->insert(threads->end(), tasks->threads.begin(), tasks->threads.end());
  return Park::kParked;
}

void unpark() {
  for (auto& [parking, count] : parked) {
    for (int i = 0; i < count; i++) sem_post(&parking->released);
    parking->leave();
  }
  parked.clear();
}

bool lock_finished_work(uv_loop_s* loop) {
  pthread_mutex_lock(&fields(loop).finished_mutex);
  if (sound(fields(loop).finished)) return true;
  pthread_mutex_unlock(&fields(loop).finished_mutex);
  return false;
}
void unlock_finished_work(uv_loop_s* loop) { pthread_mutex_unlock(&fields(loop).finished_mutex); }

bool output_pending(uv_loop_s* loop) {
  bool pending = false;
  uv().walk(
      loop,
      [](Handle* h, void* out) {
        if (h->type != kPipe && h->type != kTcp && h->type != kTty) return;
        int fd = -1;
        if (uv().is_closing(h) || uv().fileno(h, &fd) != 0 || fd > 2) return;
        if (uv().write_queue_size(h) > 0) *static_cast<bool*>(out) = true;
      },
      &pending);
  return pending;
}

void wake_soon(uv_loop_s* loop) {
  void* request = calloc(1, uv().request_size(kWork));
  uv().queue_work(
      loop, request, [](void*) { platform::nap(5 * 1000000); }, [](void* r, int) { free(r); });
}

bool renew(uv_loop_s* loop) {
  parked.clear();  // its threads are not here
  if (uv().loop_fork(loop) != 0) return false;
  // Node has four of them whatever the machine. V8 by itself takes one less than there are CPUs, and each
  // costs a child time when it begins and when it ends.
  const int cpus = static_cast<int>(std::thread::hardware_concurrency());
  const int workers = std::min(static_cast<int>(v8().thread_count(v8().runner)) - 1, std::max(1, cpus - 1));
  if (v8().construct_with_log)
    reinterpret_cast<void (*)(void*, int, int)>(v8().construct)(v8().runner, workers, 0);
  else
    reinterpret_cast<void (*)(void*, int)>(v8().construct)(v8().runner, workers);
  return true;
}

void forget(uv_loop_s* loop, void* mine) {
  Loop& l = fields(loop);
  // Work that the pool had finished for the parent, and I/O whose end it was about to be told.
  l.finished.next = l.finished.previous = &l.finished;
  while (l.pending.next != &l.pending) {
    Queue* first = l.pending.next;
    l.pending.next = first->next;
    first->next->previous = &l.pending;
    first->next = first->previous = first;
  }
  l.active_requests.count = 0;
  // The parent's handles that were closing: `mine` was closed last, so it heads the list if that is one.
  if (l.closing == mine) l.closing->next_closing = nullptr;
  static int dead[2] = {-1, -1};
  if (dead[0] < 0 && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, dead) != 0) return;
  char nothing[4096] = {};
  while (write(dead[0], nothing, sizeof nothing) > 0) continue;  // never readable, never writable
  uv().walk(
      loop,
      [](Handle* h, void*) {
        if (uv().is_closing(h)) return;
        int fd = -1;
        switch (h->type) {
          case kTty:
            uv().read_stop(h);  // what is written to a terminal goes there at once
            break;
          case kTcp:
          case kPipe:
          case kUdp:
          case kPoll:
            if (uv().fileno(h, &fd) != 0) break;
            if (fd > 2)
              dup3(dead[0], fd, O_CLOEXEC);
            else if (h->type == kTcp || h->type == kPipe)
              uv().read_stop(h);
            break;
          case kSignal:
            // What the parent has caught and not dispatched lies in its pipe; libuv 1.46 would wait for it.
            reinterpret_cast<Signal*>(h)->caught = reinterpret_cast<Signal*>(h)->dispatched = 0;
            break;
          case kFsEvent:
            uv().fs_event_stop(h);
            break;
          case kFsPoll:
            uv().fs_poll_stop(h);
            break;
          default:
            break;
        }
        // Node's idle handle runs while immediates are pending, which is how they keep the loop alive: those
        // of the parent are dropped (child/copy.ts), the child's own count.
        if (h->type != kIdle) uv().unref(h);
      },
      nullptr);
}

bool alive(uv_loop_s* loop) { return uv().loop_alive(loop) != 0; }

void* prepare_start(uv_loop_s* loop, void* data, void (*callback)(void*)) {
  void* prepare = calloc(1, uv().handle_size(kPrepare));
  uv().prepare_init(loop, prepare);
  data_of(prepare) = data;
  uv().prepare_start(prepare, callback);
  return prepare;
}

void*& data_of(void* handle) { return *static_cast<void**>(handle); }

void prepare_stop(void* prepare) { uv().prepare_stop(prepare); }

void prepare_close(void* prepare) {
  uv().prepare_stop(prepare);
  uv().close(prepare, [](Handle* h) { free(h); });
}

}  // namespace multiproc::runtime
#endif
