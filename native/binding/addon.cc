// The addon's entry: one State for each environment that loads it. The types of what it exports:
// binding.d.ts.
#include <cerrno>
#include <new>
#include <system_error>

#include "binding/state.h"

namespace multiproc {

// Out of line, as all below: each is in a hundred functions, and what is written there is there a hundred
// times.
void throw_in_script(napi_env env) {
  auto made = [env](napi_value code, const std::string& text) {
    return Napi::Error(env, State::of(env).make_error.Call({code, Napi::String::New(env, text)}));
  };
  try {
    throw;
  } catch (const SystemError& e) {
    throw made(Napi::Number::New(env, -e.error), e.call);
  } catch (const Refusal& r) {
    throw made(Napi::String::New(env, r.code), r.message);
  } catch (const std::system_error& e) {  // std::thread
    throw made(Napi::Number::New(env, -e.code().value()), "pthread_create");
  } catch (const std::bad_alloc&) {
    throw made(Napi::Number::New(env, -ENOMEM), "malloc");
  }
}

void define(Napi::Object exports, const char* name, void (*function)(const Napi::CallbackInfo&)) {
  exports[name] = Napi::Function::New(exports.Env(), function);
}

void define(Napi::Object exports, const char* name, Napi::Value (*function)(const Napi::CallbackInfo&)) {
  exports[name] = Napi::Function::New(exports.Env(), function);
}

static Napi::Object init(Napi::Env env, Napi::Object exports) {
  env.SetInstanceData(new State(env));
  init_environment(env, exports);
  init_memory(env, exports);
  init_lock(env, exports);
  init_process(env, exports);
  init_control(env, exports);
  init_fork(env, exports);
  init_channel(env, exports);
  init_collection(env, exports);
  init_socket(env, exports);
  init_descriptors(env, exports);
  init_named(env, exports);
  init_inspect(env, exports);
  return exports;
}

NODE_API_MODULE(multiproc, init)

}  // namespace multiproc
