#!/bin/bash
# build.sh [DIR] [cmake option...] - build hif in DIR (build).
set -eu
cd "$(dirname "$0")/.."
dir=${1:-build}
[ $# = 0 ] || shift
cmake -S . -B "$dir" -G Ninja "$@" >"$dir.log" 2>&1 || { cat "$dir.log"; exit 1; }
ninja -C "$dir" >"$dir.log" 2>&1 || { grep -A20 -m3 FAILED "$dir.log"; exit 1; }
rm -f "$dir.log"
