// Processes: liveness and exit status without the event loop. No shared memory here.
#include <optional>
#include <vector>

#include "binding/state.h"
#include "core/deadlock.h"

namespace multiproc {

namespace {

platform::ProcessHandle handle_of(const Napi::Value& value) {
  return static_cast<platform::ProcessHandle>(value.As<Napi::Number>().Int64Value());
}

Napi::Value open(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    platform::ProcessHandle handle;
    check_system(platform::process_open(info[0].As<Napi::Number>().Uint32Value(), &handle), "pidfd_open");
    State::of(info.Env()).handles.insert(handle);
    return Napi::Number::New(info.Env(), static_cast<double>(handle));
  });
}

Napi::Value wait(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    State& state = State::of(info.Env());
    Napi::Int32Array list = info[2].As<Napi::Int32Array>();
    std::vector<int> descriptors(list.Data(), list.Data() + list.ElementLength());
    const int64_t timeout = timeout_ns(info[1]);
    const uint64_t start = platform::now_ns();
    const Owner child = info[3].As<Napi::Number>().Uint32Value();  // to be watched for deadlocks; 0: not
    std::optional<Actor> actor;
    std::optional<BlockedIn> blocked;
    for (;;) {
      int64_t slice = 100 * 1000000;
      int64_t passed = static_cast<int64_t>(platform::now_ns() - start);
      if (timeout >= 0) slice = std::max<int64_t>(0, std::min(slice, timeout - passed));
      if (child != 0 && timeout < 0 && state.place) {
        if (passed < kPatienceNs) {
          slice = kPatienceNs;
        } else {
          if (!blocked) {
            actor.emplace(state.actor());
            blocked.emplace(*actor, Blocked::kProcess, child);
          }
          blocked->check();
        }
      }
      int result = platform::process_wait(handle_of(info[0]), slice, descriptors.data(), descriptors.size());
      check_system(result, "ppoll");
      if (result != 0 || (timeout >= 0 && platform::now_ns() - start >= static_cast<uint64_t>(timeout)))
        return Napi::Number::New(info.Env(), result);
      Napi::HandleScope scope(info.Env());
      state.nothing.Call({});  // throws when the thread is being terminated
    }
  });
}

Napi::Value status(const Napi::CallbackInfo& info) {
  platform::ExitStatus status;
  if (!platform::process_status(handle_of(info[0]), &status)) return info.Env().Null();
  Napi::Object result = Napi::Object::New(info.Env());
  result["exitCode"] = Napi::Number::New(info.Env(), status.exit_code);
  result["signal"] = Napi::Number::New(info.Env(), status.signal);
  return result;
}

void close(const Napi::CallbackInfo& info) {
  const platform::ProcessHandle handle = handle_of(info[0]);
  if (State::of(info.Env()).handles.erase(handle) != 0) platform::process_close(handle);
}

}  // namespace

void init_process(Napi::Env env, Napi::Object exports) {
  define(exports, "processOpen", open);
  define(exports, "processWait", wait);
  define(exports, "processStatus", status);
  define(exports, "processClose", close);
}

}  // namespace multiproc
