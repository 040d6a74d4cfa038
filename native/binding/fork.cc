// Forking this process from its event loop.
//
//   forkSoon ─▶ uv_prepare, at the end of this turn: no JavaScript below
//                 park all worker threads ── busy: let go, next turn ── too long: the callback gets a reason
//                 the child gets holds of what the parent has: blocks (its slot), named memory (descriptors)
//                 fork ──▶ parent: threads go on, callback(pid)
//                      └─▶ child:  the loop forgets the parent's I/O, callback(0) ─▶ rejoin(): an owner of
//                      its own
#include <algorithm>
#include <cstring>

#include "binding/node_runtime.h"
#include "binding/state.h"

namespace multiproc {

namespace {

constexpr int64_t kParkNs = 30 * 1000000;
constexpr int64_t kTransientNs = 100 * 1000000;  ///< a thread that nobody knows may be gone by then
constexpr uint32_t kMaxForks = 64;               ///< generations, whatever the scripts say

uint32_t generation = 0;  ///< how many forks lie between the first process and this one

uv_loop_s* loop_of(napi_env env) {
  uv_loop_s* loop = nullptr;
  return napi_get_uv_event_loop(env, &loop) == napi_ok ? loop : nullptr;
}

std::string refusal_of(napi_env env) {
  if (const char* why = platform::fork_refusal()) return why;
  uv_loop_s* loop = loop_of(env);
  return loop == nullptr ? "this runtime has no event loop of libuv" : runtime::refusal(loop);
}

struct Fork {
  napi_env env;
  napi_ref callback;
  napi_async_context context;
  void* prepare;
  uint32_t owner;  ///< pid: a child inherits what its parent still had in mind
  uint32_t slot, slot_generation;
  uint64_t begun;
  uint64_t deadline;
  int64_t others;  ///< threads of node that are neither parked nor ours
};

/// Threads that are neither parked nor known: a fork would cut them off wherever they are.
std::string strangers(const Fork& fork, std::vector<uint32_t> known) {
  uint32_t threads[2048];
  int64_t count = platform::list_threads(threads, 2048);
  if (count < 0 || count > 2048) return "its threads cannot be listed";
  known.push_back(platform::current_process());  // the main thread has the process's id
  for (uint32_t thread : current_host()->threads()) known.push_back(thread);
  std::string names;
  int64_t unknown = 0;
  for (int64_t i = 0; i < count; i++) {
    if (std::find(known.begin(), known.end(), threads[i]) != known.end()) continue;
    char name[32];
    platform::thread_name(threads[i], name, sizeof name);
    if (strncmp(name, "iou-", 4) == 0) continue;  // of the kernel's own: it runs nothing of this process
    unknown++;
    names += (names.empty() ? "" : ", ") + std::string(name);
  }
  if (unknown <= fork.others) return "";
  return "it has " + std::to_string(unknown - fork.others) +
         " threads that are not known to be safe (worker_threads, or an addon's): among " + names;
}

/// 0: the child; positive: its pid; -1: `why`; -2: try again on a later turn.
int64_t try_fork(Fork& fork, std::string* why) {
  State& state = State::of(fork.env);
  uv_loop_s* loop = loop_of(fork.env);
  if (generation >= kMaxForks) {
    *why = "64 generations of forks: this looks as if it had no end";
    return -1;
  }
  if (runtime::output_pending(loop)) {
    *why = "standard output is full, and what waits to be written would be written twice";
    runtime::wake_soon(loop);
    return -2;
  }
  std::vector<uint32_t> known;
  runtime::Park parked = runtime::park(loop, kParkNs, &known, why);
  int64_t pid = parked == runtime::Park::kBusy ? -2 : -1;
  if (parked == runtime::Park::kParked && !(*why = strangers(fork, known)).empty() &&
      platform::now_ns() - fork.begun < static_cast<uint64_t>(kTransientNs)) {
    pid = -2;  // it may just be beginning, or ending
    runtime::wake_soon(loop);
  }
  if (parked == runtime::Park::kParked && why->empty()) {
    Actor actor = state.actor();
    actor.interrupted = nullptr;
    for (auto& [offset, tracked] : state.tracked)
      heap_hold_for(actor, owner_id(fork.slot, fork.slot_generation), offset);
    share_named();
    if (!runtime::lock_finished_work(loop)) {
      *why = "libuv's loop is laid out in another way";
      unshare_named();
      runtime::unpark();
      return -1;
    }
    current_host()->freeze();
    pid = platform::fork_process();
    if (pid != 0) {
      current_host()->thaw();
      unshare_named();
    }
    runtime::unlock_finished_work(loop);
    if (pid == 0) {
      generation++;
      if (!runtime::renew(loop)) platform::exit_process(70);
    }
    if (pid == 0) return 0;  // signals: admitSignals()
    platform::fork_done();
    if (pid < 0) {
      *why = std::string("the system refused: ") + strerror(static_cast<int>(-pid));
      pid = -1;
    }
  }
  runtime::unpark();
  return pid;
}

void on_prepare(void* prepare) {
  Fork* fork = static_cast<Fork*>(runtime::data_of(prepare));
  if (platform::current_process() != fork->owner) {
    runtime::prepare_stop(prepare);
    return;
  }
  Napi::Env env(fork->env);
  Napi::HandleScope scope(env);
  int64_t pid;
  std::string why;
  try {
    pid = try_fork(*fork, &why);
  } catch (const Refusal& refusal) {
    runtime::unpark();
    pid = -1;
    why = refusal.message;
  } catch (const SystemError& error) {
    runtime::unpark();
    pid = -1;
    why = std::string(error.call) + ": " + strerror(error.error);
  }
  if (pid == -2 && platform::now_ns() < fork->deadline) return;
  runtime::prepare_close(prepare);
  if (pid == 0) runtime::forget(loop_of(fork->env), prepare);
  napi_value callback, result,
      arguments[2] = {Napi::Number::New(env, static_cast<double>(pid)), Napi::String::New(env, why)};
  napi_get_reference_value(env, fork->callback, &callback);
  napi_delete_reference(env, fork->callback);
  napi_make_callback(env, fork->context, env.Global(), callback, 2, arguments, &result);
  if (env.IsExceptionPending()) napi_fatal_exception(env, env.GetAndClearPendingException().Value());
  napi_async_destroy(env, fork->context);
  delete fork;
}

Napi::Value fork_refused(const Napi::CallbackInfo& info) {
  std::string why = refusal_of(info.Env());
  if (why.empty()) return info.Env().Null();
  return Napi::String::New(info.Env(), why);
}

void fork_soon(const Napi::CallbackInfo& info) {
  guarded(info.Env(), [&] {
    State& state = State::of(info.Env());
    state.environment();
    std::string why = platform::current_thread() != platform::current_process()
                          ? "only the main thread can fork"
                          : refusal_of(info.Env());
    if (!why.empty()) throw Refusal{"ERR_MP_UNSUPPORTED", why};
    auto* fork = new Fork{};
    fork->env = info.Env();
    fork->owner = platform::current_process();
    fork->slot = info[0].As<Napi::Number>();
    fork->slot_generation = info[1].As<Napi::Number>();
    fork->begun = platform::now_ns();
    fork->deadline = fork->begun + static_cast<uint64_t>(std::max<int64_t>(0, timeout_ns(info[2])));
    fork->others = info[3].As<Napi::Number>().Int64Value();
    napi_create_reference(info.Env(), info[4], 1, &fork->callback);
    napi_async_init(info.Env(), nullptr, Napi::String::New(info.Env(), "multiproc:fork"), &fork->context);
    fork->prepare = runtime::prepare_start(loop_of(info.Env()), fork, on_prepare);
  });
}

Napi::Value loop_alive(const Napi::CallbackInfo& info) {
  return Napi::Boolean::New(info.Env(), runtime::alive(loop_of(info.Env())));
}

void admit_signals(const Napi::CallbackInfo&) { platform::fork_done(); }

void ignore_interrupts(const Napi::CallbackInfo& info) {
  platform::ignore_interrupts(info[0].As<Napi::Boolean>());
}

void trim_memory(const Napi::CallbackInfo&) { platform::trim_memory(); }

Napi::Value current_pid(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), platform::current_process());
}

void exit_now(const Napi::CallbackInfo& info) {
  close_named();
  platform::exit_process(info[0].As<Napi::Number>().Int32Value());
}

Napi::Value reap(const Napi::CallbackInfo& info) {
  platform::ExitStatus status;
  if (!platform::process_reap(info[0].As<Napi::Number>().Uint32Value(), info[1].As<Napi::Boolean>(), &status))
    return info.Env().Null();
  Napi::Object result = Napi::Object::New(info.Env());
  result["exitCode"] = Napi::Number::New(info.Env(), status.exit_code);
  result["signal"] = Napi::Number::New(info.Env(), status.signal);
  return result;
}

Napi::Value signal_process(const Napi::CallbackInfo& info) {
  return Napi::Boolean::New(
      info.Env(),
      platform::process_signal(static_cast<platform::ProcessHandle>(info[0].As<Napi::Number>().Int64Value()),
                               info[1].As<Napi::Number>().Int32Value()));
}

}  // namespace

void init_fork(Napi::Env env, Napi::Object exports) {
  define(exports, "forkRefused", fork_refused);
  define(exports, "forkSoon", fork_soon);
  define(exports, "loopAlive", loop_alive);
  define(exports, "admitSignals", admit_signals);
  define(exports, "ignoreInterrupts", ignore_interrupts);
  define(exports, "trimMemory", trim_memory);
  define(exports, "currentPid", current_pid);
  define(exports, "exitNow", exit_now);
  define(exports, "processReap", reap);
  define(exports, "processSignal", signal_process);
}

}  // namespace multiproc
