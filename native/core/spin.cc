#include "core/spin.h"

#include <algorithm>

namespace multiproc {

namespace {

constexpr unsigned kMinPauses = 20;
constexpr unsigned kMaxPauses = 1000;
/// So often it is tried whether more pauses are of use than lately.
constexpr unsigned kProbeEvery = 64;
constexpr unsigned kYields = 20;
/// A yield that takes longer was one to somebody who computes.
constexpr uint64_t kLongYieldNs = 100 * 1000;
/// One that takes longer than this was one to somebody.
constexpr uint64_t kSwitchNs = 1200;
constexpr unsigned kYieldPatience = 4;  ///< so many waits in a row may yield for nothing
constexpr unsigned kYieldRest = 64;     ///< then so many do not try

struct Habits {
  unsigned pauses = 100;
  unsigned waits = 0;
  unsigned yields_in_vain = 0;
  unsigned rest = 0;  ///< waits that do not yield
};
thread_local Habits habits;

void fewer_pauses() { habits.pauses = std::max(kMinPauses, habits.pauses - habits.pauses / 8); }

bool several_cpus() {
  static const bool several = platform::usable_cpus() > 1;
  return several;
}

}  // namespace

Spin::Spin() {
  pauses_ = !several_cpus() ? 0 : ++habits.waits % kProbeEvery == 0 ? kMaxPauses : habits.pauses;
  yields_ = kYields;
  if (habits.rest > 0) {
    habits.rest--;
    yields_ = 0;
  }
}

bool Spin::again() {
  if (paused_ < pauses_) {
    paused_++;
    platform::pause_cpu();
    return true;
  }
  if (yielded_ < yields_) {
    yielded_++;
    const uint64_t start = platform::now_ns();
    platform::yield_cpu();
    const uint64_t took = platform::now_ns() - start;
    if (took > kSwitchNs) switched_ = true;
    if (took > kLongYieldNs) {
      habits.rest = kYieldRest;
      yields_ = 0;
    }
    return true;
  }
  if (yielded_ != 0 && habits.rest == 0 && ++habits.yields_in_vain >= kYieldPatience) {
    habits.yields_in_vain = 0;
    habits.rest = kYieldRest;
  }
  fewer_pauses();
  return false;
}

void Spin::came() {
  if (yielded_ != 0) habits.yields_in_vain = 0;
  if (switched_)
    fewer_pauses();  // whom we waited for was on this CPU
  else if (pauses_ != 0)
    habits.pauses = std::clamp(yielded_ != 0 ? 2 * habits.pauses : (7 * habits.pauses + 3 * paused_) / 8,
                               kMinPauses, kMaxPauses);
}

}  // namespace multiproc
