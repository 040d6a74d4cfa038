// A descriptor that the event loop polls: the environment's own bell, and the pipe by which a child watches
// its parent.
//
// Through libuv where the runtime exports it (looked up at run time, so that the addon loads elsewhere, too),
// else by a thread that polls and calls a thread-safe function.
#pragma once
#include <napi.h>

#include <functional>
#include <thread>

namespace multiproc {

class Poller {
 public:
  /// Whenever the descriptor can be read, `answer` runs, then `callback`, as a callback of Node (microtasks
  /// run after it). Does not keep the loop alive.
  Poller(Napi::Env env, int descriptor, std::function<void()> answer, Napi::Function callback);
  ~Poller();
  Poller(const Poller&) = delete;
  Poller& operator=(const Poller&) = delete;

  /// Does it keep the event loop alive?
  void keep_alive(bool yes);
  /// Ends the polling; `closed` runs when the loop has let go of it. Then it may be destroyed.
  void close(std::function<void()> closed);

 private:
  void readable();
  void start_thread();

  Napi::Env env_;
  int descriptor_;
  std::function<void()> answer_;
  Napi::FunctionReference callback_;
  napi_async_context context_ = nullptr;
  void* poll_ = nullptr;  ///< uv_poll_t
  std::function<void()> closed_;
  napi_threadsafe_function thread_function_ = nullptr;
  std::thread thread_;
  int stop_[2] = {-1, -1};
};

}  // namespace multiproc
