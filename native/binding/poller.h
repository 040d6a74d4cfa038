// A descriptor that the event loop polls: the environment's own bell, the pipe by which a child watches its
// parent, a socket.
//
// posix/: through libuv where the runtime exports it (looked up at run time, so that the addon loads
// elsewhere, too), else by a thread that polls and calls a thread-safe function. win32/: by the system's pool
// of threads.
#pragma once
#include <napi.h>

#include <atomic>
#include <functional>
#include <thread>

namespace multiproc {

class Poller {
 public:
  static constexpr int kReadable = 1;
  static constexpr int kWritable = 2;

  /// Whenever the descriptor is ready, `answer` runs, then `callback` with what it is ready for, as a
  /// callback of Node (microtasks run after it). Polls nothing yet, and does not keep the loop alive.
  Poller(Napi::Env env, int descriptor, std::function<void()> answer, Napi::Function callback);
  ~Poller();
  Poller(const Poller&) = delete;
  Poller& operator=(const Poller&) = delete;

  /// What to poll for, until told otherwise. 0: nothing; the callback may then be collected.
  void watch(int events);
  /// Does it keep the event loop alive while it polls for something?
  void keep_alive(bool yes);
  /// Ends the polling at once; `closed` runs when the loop has let go of it. Then it may be destroyed. The
  /// descriptor may be closed before.
  void close(std::function<void()> closed);

 private:
  void ready(int events);
  void apply();
  void hold_callback(bool yes);
#ifdef _WIN32
  void came();
  void stop_waiting();
  void function_ended();
#else
  void start_thread();
  void run_thread();
  void tell_thread();
  void stop_thread();
  void thread_ended();
#endif

  Napi::Env env_;
  int descriptor_;
  std::function<void()> answer_;
  Napi::FunctionReference callback_;
  bool held_ = true;  ///< the callback
  napi_async_context context_ = nullptr;
  int wanted_ = 0;
  int active_ = 0;  ///< what the loop polls for
  bool alive_ = false;
  bool calling_ = false;
  bool closing_ = false;
  std::function<void()> closed_;
#ifdef _WIN32
  napi_threadsafe_function function_ = nullptr;
  void* waits_[2] = {};  ///< registered: until it can be read, written
#else
  void* poll_ = nullptr;  ///< uv_poll_t
  // The thread polls once for what it is told, and is told anew after the callback.
  napi_threadsafe_function thread_function_ = nullptr;
  std::thread thread_;
  std::atomic<int> thread_events_{0};
  std::atomic<int> thread_ready_{0};
  std::atomic<bool> thread_stop_{false};
  int tell_[2] = {-1, -1};
#endif
};

}  // namespace multiproc
