// Waiting for a moment before one sleeps, for as long as that has lately paid.
//
//   pauses   while another CPU may bring about what is awaited; as many as were of use the last times, up to
//   1,000 yields   then whoever else wants this CPU may have it, which is a cheaper change of processes than
//   sleep and wake-up;
//            not where others keep it for long, nor after some that were for nothing
//
// Each thread has its habits. A sleep costs 5 to 30 µs and so does what is tried here at most, if nobody
// takes the CPU.
#pragma once
#include "platform/platform.h"

namespace multiproc {

class Spin {
 public:
  Spin();
  /// Pauses or yields; then look again. False: it does not come soon, sleep.
  bool again();
  /// What was awaited has come.
  void came();

 private:
  unsigned pauses_;
  unsigned yields_;
  unsigned paused_ = 0;
  unsigned yielded_ = 0;
  bool switched_ = false;  ///< a yield let another run
};

}  // namespace multiproc
