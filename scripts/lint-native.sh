#!/usr/bin/env bash
# Formats (with --fix) or checks the C++ sources.
set -eu
cd "$(dirname "$0")/.."
mapfile -t files < <(find native -name '*.cc' -o -name '*.h')
if [ "${1-}" = --fix ]; then clang-format -i "${files[@]}"; else clang-format --dry-run -Werror "${files[@]}"; fi
