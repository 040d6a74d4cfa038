// Open files on their way to another process.
//
//   sender    copy of the descriptor + a token + a small block, which the message holds     send()
//               own broker      keeps the copy
//               parent's broker keeps one, too: a message outlives the process that sent it
//   receiver  reads token and brokers in the block, asks one, then the other                receive()
//             drops the block, and ends the connection to tell the broker
//   keepers   close their copies when the block is gone: the message was read, or dropped   tend(), in the
//   helper
//
// A process that ends in order and lets children go on hands them what it still keeps (pass_on).
//
// A broker is started by the helper thread of its process when somebody asks for one in Slot::broker:
//   0 → kAsked → its name                0 → kAsked → 2 + errno → 0
#pragma once
#include <memory>
#include <mutex>

#include "core/broker.h"
#include "core/heap.h"

namespace multiproc {

class Descriptors {
 public:
  explicit Descriptors(Root& root) : root_(root) {}

  /// A block that stands for a copy of the descriptor, held by `slot`. `process`: our own; `parent`: who is
  /// to keep a copy as well, 0: nobody. Throws SystemError: EBADF, EMFILE, ENOSPC.
  Block send(Actor& actor, uint32_t slot, Owner process, Owner parent, int descriptor);
  /// A descriptor of our own of what the block stands for. Ends the hold of `slot` on the block if `drop`,
  /// also when it throws: ERR_MP_GONE: nobody has it any more; ERR_MP_CORRUPT; SystemError.
  int receive(Actor& actor, uint32_t slot, Offset block, uint32_t generation, bool drop);
  /// We end: another process is to keep what we keep.
  void pass_on(Owner me, Ringer& ringer, Owner heir);

  /// By the helper thread, whenever it is rung and every 100 ms while there are any.
  void tend(Owner me, Ringer& ringer);
  bool keeps_any() const;

  /// Around a fork, as the host's.
  void freeze();
  void thaw();
  void abandon();
  /// The broker's thread; 0: there is none.
  uint32_t thread_id() const;

 private:
  uint64_t ask_for_broker(Owner process, int64_t timeout_ns);
  bool is_expected(const Broker::Kept& kept);
  void start_broker(Owner me);

  Root& root_;
  std::atomic<Broker*> broker_{nullptr};  ///< of `owned_`; set by the helper
  std::unique_ptr<Broker> owned_;
  std::mutex starting_;  ///< held while a broker is there in part
  std::atomic<bool> look_{false};
  std::atomic<uint64_t> deaf_until_{0};  ///< the parent's helper did not answer
  uint64_t looked_ = 0;
};

}  // namespace multiproc
