#!/usr/bin/env bash
# Searches every interleaving of the lock protocol (native/model/lock.pml) by spin: three processes, one kill, one time-out.
# Prints one line for each setting; fails if a search ends otherwise than it should.
set -eu
cd "$(dirname "$0")/.."
command -v spin >/dev/null || apt-get install -y spin >/dev/null
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
failed=0

# check EXPECTED TITLE CRASH TIMED SLICES ROUNDS OTHER_ROUNDS
check() {
  local log="$folder/log"
  (
    cd "$folder"
    spin -a -DPROCESSES=3 -DROUNDS="$6" -DOTHER_ROUNDS="$7" -DMAX_SLICES=6 -DCRASH="$3" -DTIMED="$4" -DSLICES="$5" "$model"
    gcc -O2 -DSAFETY -DNOREDUCE -DCOLLAPSE -DMEMLIM=6000 -w -o pan pan.c
    ./pan -m5000000
  ) >"$log" 2>&1 || { cat "$log"; exit 1; }
  local result='nothing found'
  grep -q 'pan:1: invalid end state' "$log" && result='somebody sleeps for ever'
  grep -q 'pan:1: assertion violated' "$log" && result='an assertion fails'
  grep -qE 'max search depth too small|out of memory|reached -DMEMLIM' "$log" && result='the search was not complete'
  local states; states=$(awk '/states, stored/ {print $1; exit}' "$log")
  printf '%-62s %10s states: %s\n' "$2" "$states" "$result"
  [ "$result" = "$1" ] || { failed=1; echo "  expected: $1"; grep -E 'assertion|invalid|errors' "$log"; }
}

model="$PWD/native/model/lock.pml"
check 'nothing found' 'no kill, no time-out, no slices' 0 0 0 2 2
check 'nothing found' 'no kill, a time-out, slices for hand-overs only' 0 1 1 2 2
check 'nothing found' 'a kill, with slices' 1 0 2 2 1
check 'nothing found' 'a kill and a time-out, with slices' 1 1 2 1 1
# Where the code needs its slices: a hand-over whose starving waiter has left, and a waiter killed after its wake-up.
check 'somebody sleeps for ever' 'no kill, a time-out, no slices' 0 1 0 2 2
check 'somebody sleeps for ever' 'a kill, slices for hand-overs only' 1 0 1 2 1
exit $failed
