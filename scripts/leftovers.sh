#!/usr/bin/env bash
# Nothing of ours may be left when everything has ended: no process, no shared memory, no temporary file.
set -u
sleep 1  # the last orphans get their moment (see lib/process/child/parent-watch.ts)
left=$(ls /dev/shm /tmp 2>/dev/null | grep -i multiproc; pgrep -af 'multiproc.*/dist/child.cjs|MULTIPROC_CHILD' || true)
[ -z "$left" ] && exit 0
echo "left behind:"; echo "$left"; exit 1
