// Functions that scripts call often are plain Node-API ones with numbers only.
#pragma once
#include "binding/state.h"

namespace multiproc {

/// Runs the body of a plain Node-API function; exceptions become JavaScript's.
template <class F>
napi_value plain(napi_env env, F body) {
  try {
    return guarded(env, body);
  } catch (const Napi::Error& e) {
    e.ThrowAsJavaScriptException();
    return nullptr;
  }
}

template <size_t N>
struct Arguments {
  napi_value values[N];
  Arguments(napi_env env, napi_callback_info info) : env_(env) {
    size_t count = N;
    napi_get_cb_info(env, info, &count, values, nullptr, nullptr);
  }
  double number(size_t i) const {
    double value = 0;
    if (napi_get_value_double(env_, values[i], &value) != napi_ok)
      throw Refusal{"ERR_MP_CORRUPT", "not a number"};
    return value;
  }
  uint32_t integer(size_t i) const {
    uint32_t value = 0;
    if (napi_get_value_uint32(env_, values[i], &value) != napi_ok)
      throw Refusal{"ERR_MP_CORRUPT", "not a number"};
    return value;
  }
  Offset offset(size_t i) const { return offset_of(Napi::Value(env_, values[i])); }
  int64_t timeout(size_t i) const { return timeout_ns(Napi::Value(env_, values[i])); }

 private:
  napi_env env_;
};

}  // namespace multiproc
