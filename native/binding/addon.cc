// The addon's entry: one State for each environment that loads it. The types of what it exports:
// binding.d.ts.
#include "binding/state.h"

namespace multiproc {

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
