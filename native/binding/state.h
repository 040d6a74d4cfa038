// What the addon keeps for each Node environment (main thread or worker): its place in the root, the windows
// that its scripts see, and which of its objects keep which block alive.
#pragma once
#include <napi.h>

#include <memory>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "binding/poller.h"
#include "core/host.h"

namespace multiproc {

/// One block that objects of this environment keep alive: weak references to them, looked at by sweep().
struct Tracked {
  std::vector<napi_ref> owners;
  napi_ref buffer = nullptr;  ///< the ArrayBuffer over the block, if it has one; it is among the owners
  void* mapping = nullptr;    ///< of a large block, its own; unmapped with the last owner
  size_t mapped = 0;
};

/// A segment with a name that this environment has open.
struct Named {
  void* address;
  size_t bytes;
  napi_ref buffer;  ///< weak
};

/// A channel that this environment uses, by number.
struct OpenChannel {
  Offset offset = 0;
  uint32_t seen[3] = {0, 0, 0};  ///< the signals, as last looked at: what a wait waits for a change of
};
struct ChannelAreas {
  char* out = nullptr;  ///< records to be put
  size_t out_bytes = 0;
  char* in = nullptr;  ///< records that were taken
  size_t in_bytes = 0;
  double* info = nullptr;
  std::vector<OpenChannel> open;
};

/// As ChannelAreas: keys and values to be written, those that were read, what else there is to tell.
struct CollectionAreas {
  char* out = nullptr;
  size_t out_bytes = 0;
  char* in = nullptr;
  size_t in_bytes = 0;
  double* info = nullptr;
  std::vector<Offset> open;                      ///< by number; 0: free
  std::unordered_map<Offset, uint32_t> reading;  ///< messages that are being read, and how often
};

class State {
 public:
  explicit State(napi_env env) : env_(env) {}
  ~State();

  static State& of(napi_env env);

  /// The environment in the root; throws if this thread has not attached.
  Environment& environment();
  /// An actor whose waits end when the thread is being terminated.
  Actor actor();
  /// The address of a small block's window in this environment's own mapping.
  char* window(uint64_t index);

  /// Before anything is there that must be closed when the environment ends.
  void clean_up_at_end();
  /// Ends the polling, and destroys the poller when the loop has let go of it.
  void close_poller(Poller* poller);

  napi_env env() const { return env_; }

  std::unique_ptr<Environment> place;
  std::unordered_set<int> owned;  ///< descriptors that end with the environment, also where no script can
  std::unordered_set<platform::ProcessHandle> handles;  ///< on processes; a forked child has no use for them
  std::unordered_set<platform::SocketHandle> sockets;   ///< that are open; a forked child has none of them
  uint32_t forks = 0;                                   ///< between the first process and this one
  Owner parent = 0;                                     ///< the process that started this one
  std::vector<std::shared_ptr<Poller>> pollers;         ///< empty when the environment has ended
  Poller* doorbell = nullptr;                           ///< one of them
  std::unordered_map<uint32_t, Poller*> watches;        ///< others of them, by the numbers that scripts know
  uint32_t last_watch = 0;
  bool ending = false;  ///< the environment ends: on_cleanup closes the pollers
  std::unordered_map<Offset, Tracked> tracked;
  std::unordered_map<uint64_t, char*> windows;
  std::unordered_map<uint32_t, Named> named;  ///< by the number of the hold
  bool ends_named = false;                    ///< there is a hook that ends the holds
  ChannelAreas channels;
  CollectionAreas collections;
  size_t owners = 0;       ///< references in `tracked`
  size_t sweep_at = 4096;  ///< sweep before there are more
  uint64_t bytes = 0;      ///< allocated since the last sweep
  uint64_t sweep_bytes = uint64_t{64} << 20;
  Napi::FunctionReference make_error;
  Napi::FunctionReference
      nothing;  ///< an empty function: calling it tells whether the thread is being terminated

 private:
  napi_env env_;
  bool hooked_ = false;
};

/// In a catch block: throws what is being handled on, as a JavaScript exception.
[[noreturn]] void throw_in_script(napi_env env);

/// Runs `body`; what the core throws becomes a JavaScript exception.
template <class F>
auto guarded(napi_env env, F body) -> decltype(body()) {
  try {
    return body();
  } catch (...) {
    throw_in_script(env);
  }
}

void define(Napi::Object exports, const char* name, void (*function)(const Napi::CallbackInfo&));
void define(Napi::Object exports, const char* name, Napi::Value (*function)(const Napi::CallbackInfo&));

/// A time-out argument in ms (Infinity: for ever) in the core's form.
int64_t timeout_ns(const Napi::Value& value);
Offset offset_of(const Napi::Value& value);

/// The process's part in its root; nullptr before it attached.
Host* current_host();
/// In a forked child: its parent's place is given up, the reserved slot becomes its own.
void rejoin(State& state, uint32_t slot, uint32_t generation, bool daemon, uint32_t grace_ms);
/// Shared memory by name at the end of this process, in order.
void close_named();
/// Before a fork: holds for the child, since a lock of the system's that both inherit would end with either.
/// They are there before it is: its parent may let go of the memory before the child has run at all. Throws.
void share_named();
/// After it, in the parent: they are the child's.
void unshare_named();
/// After it, in the child: it gives up its parent's holds.
void rejoin_named();

/// `owner` keeps the block alive.
void track(State& state, Offset offset, napi_value owner);
/// Sweeps if it is time to.
void before_allocating(State& state, uint64_t bytes);
size_t sweep(State& state);
void end_all(State& state);

void init_environment(Napi::Env env, Napi::Object exports);
void init_memory(Napi::Env env, Napi::Object exports);
void init_lock(Napi::Env env, Napi::Object exports);
void init_process(Napi::Env env, Napi::Object exports);
void init_control(Napi::Env env, Napi::Object exports);
void init_fork(Napi::Env env, Napi::Object exports);
void init_channel(Napi::Env env, Napi::Object exports);
void init_collection(Napi::Env env, Napi::Object exports);
void init_socket(Napi::Env env, Napi::Object exports);
void init_descriptors(Napi::Env env, Napi::Object exports);
void init_named(Napi::Env env, Napi::Object exports);
void init_inspect(Napi::Env env, Napi::Object exports);

}  // namespace multiproc
