#!/usr/bin/env bash
# Nothing of ours may be left when everything has ended: no process, no shared memory, no temporary file.
#   scripts/leftovers.sh --list    prints what there is
#   scripts/leftovers.sh [BEFORE]  fails if there is more than BEFORE, an earlier list: what was there then, such as
#                                  the files of a run that was killed with its machine, is nobody's fault now
set -u
list() {
  ls /dev/shm /tmp 2>/dev/null | grep -i multiproc
  pgrep -af 'multiproc.*/dist/child.cjs|MULTIPROC_CHILD'
}
[ "${1-}" = --list ] && { list | sort; exit 0; }
sleep 1  # the last orphans get their moment (see lib/process/child/parent-watch.ts)
left=$(list | sort | comm -23 - <(echo "${1-}"))
[ -z "$left" ] && exit 0
echo "left behind:"; echo "$left"; exit 1
