#!/usr/bin/env bash
# Builds and runs the C++ tests of the core under ASan+UBSan and under TSan. Prints `N passed, N failed`.
set -eu
cd "$(dirname "$0")/.."
passed=0 failed=0
for sanitizer in address,undefined thread; do
  folder="build-test/${sanitizer%%,*}"
  cmake -S . -B "$folder" -DMULTIPROC_TESTS=ON -DCMAKE_BUILD_TYPE=RelWithDebInfo -DSANITIZER="$sanitizer" >/dev/null
  cmake --build "$folder" -j2 >"$folder/build.log" 2>&1 || { cat "$folder/build.log"; exit 1; }
  report=$(cd "$folder" && ctest --output-on-failure -j1) || true
  echo "$report"
  ok=$(grep -c ' Passed ' <<<"$report" || true)
  all=$(grep -cE '^ *[0-9]+/[0-9]+ Test' <<<"$report" || true)
  passed=$((passed + ok)) failed=$((failed + all - ok))
  [ "$all" -gt 0 ] || { echo "no native test ran"; exit 1; }
done
echo "native: $passed passed, $failed failed"
[ "$failed" = 0 ]
