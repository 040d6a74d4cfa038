// What the core throws: a system error (errno and call) or a refusal with a code of the package.
#pragma once
#include <string>

namespace multiproc {

struct SystemError {
  int error;  ///< positive errno
  const char* call;
};

struct Refusal {
  const char* code;  ///< "ERR_MP_…"
  std::string message;
};

inline void check_system(int result, const char* call) {
  if (result < 0) throw SystemError{-result, call};
}

}  // namespace multiproc
