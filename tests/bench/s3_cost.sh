#!/usr/bin/env bash
# What the main operations ask of S3: requests, round trips and bytes, through the real program and FUSE.
#
#       integration/s3/with_s3.sh build/s3 tests/bench/s3_cost.sh BUILD-DIRECTORY [LATENCY-MS]
#
# Between hif and the server is the fault proxy, which counts, and adds 50 ms to each request (and to each new
# connection). Round trips are the longest chain of requests that began after another was answered (tests/s3/counts.h).
# Prints a table for docs/benchmarks.md, and fails when a bound is missed. TRACE=on: each request to standard error.
set -euo pipefail

build=${1:?usage: s3_cost.sh BUILD-DIRECTORY [LATENCY-MS]}
latency=${2:-50}
hif=$(realpath "$build/cli/hif")
s3fault=$(realpath "$build/tests/s3/s3fault")
: "${HIF_TEST_S3:?run this through integration/s3/with_s3.sh}"
work=$(mktemp -d "${TMPDIR:-/tmp}/hif-cost.XXXXXX")
export HOME=$work/home XDG_RUNTIME_DIR=$work/run HIF_STORE=$HIF_TEST_S3 LC_ALL=C
unset XDG_CONFIG_HOME XDG_DATA_HOME XDG_STATE_HOME XDG_CACHE_HOME
mkdir -p "$HOME" "$XDG_RUNTIME_DIR"
missed=0

# shellcheck disable=SC2317 # called by the trap
finish() {
	set +e
	cd /
	"$hif" daemon stop >/dev/null 2>&1
	grep " $work/" /proc/mounts | cut -d' ' -f2 | while read -r at; do umount -l "$at"; done
	proxy_stop
	rm -rf --one-file-system "$work"
}
trap finish EXIT

. "$(dirname "$0")/../../integration/s3/proxy.sh"
proxy_start "$s3fault" "latency $latency" "trace ${TRACE:-off}"

bound() { # bound WHAT VALUE LIMIT
	[ "$2" -le "$3" ] && return
	echo "MISSED: $1 is $2, and should be at most $3" >&2
	missed=1
}

header() {
	printf '| %-46s | %5s | %5s | %5s | %5s | %9s | %9s | %9s |\n' what GET HEAD PUT trips 'kB up' 'kB down' ms
	echo '|---|---|---|---|---|---|---|---|'
}

# cost WHAT COMMAND...: runs it; $requests, $trips and $puts are left for bounds.
cost() {
	local what=$1 start stats
	shift
	[ -z "${TRACE:-}" ] || echo "--- $what" >&2
	proxy_say reset >/dev/null
	start=${EPOCHREALTIME/./}
	"$@" >"$work/out"
	start=$(((${EPOCHREALTIME/./} - start) / 1000))
	stats=$(proxy_say stats)
	read -r get head puts trips up down < <(jq -r '"\(.get) \(.head) \(.put) \(.trips) \(.bytes_in) \(.bytes_out)"' <<<"$stats")
	requests=$((get + head + puts))
	printf '| %-46s | %5d | %5d | %5d | %5d | %9.1f | %9.1f | %9d |\n' "$what" "$get" "$head" "$puts" "$trips" \
		"${up}e-3" "${down}e-3" "$start"
}

fresh_mount() { # fresh_mount DIR: a daemon without anything in its caches
	"$hif" daemon stop >/dev/null 2>&1 || true
	rm -rf "$HOME/.cache"
	"$hif" mount --fuse bench/cost "$1" --session "s-${1##*/}" >/dev/null
}

settle() { sleep 3; } # what is read or stored ahead is no part of what comes next

# --- a project of 10,000 files, and in it a directory of 200 ---
mkdir -p "$work/tree/two-hundred"
for d in $(seq 100); do
	mkdir "$work/tree/d$d"
	for f in $(seq 98); do echo "file $d $f of the project" >"$work/tree/d$d/f$f.c"; done
done
for f in $(seq 200); do head -c 2000 /dev/urandom | base64 >"$work/tree/two-hundred/f$f"; done

header
"$hif" store probe "$HIF_STORE" >/dev/null 2>&1 || true # asked once for each store
cost 'hif project create' "$hif" project create bench/cost
cost 'hif import, 10,000 files' "$hif" import bench/cost "$work/tree" -m import
bound 'puts of an import of 10,000 files' "$puts" 300
"$hif" daemon stop >/dev/null 2>&1 || true
rm -rf "$HOME/.cache"
cost 'hif mount, with the start of the daemon' "$hif" mount --fuse bench/cost "$work/a" --session s-a
bound 'requests of a mount' "$requests" 15
settle
cost 'first ls' ls "$work/a"
bound 'trips of a first ls' "$trips" 4
settle
cost 'ls again' ls "$work/a"
bound 'requests of another ls' "$requests" 0
fresh_mount "$work/b"
settle
cost 'cold: ls -l of a directory of 200' ls -l "$work/b/two-hundred"
settle
fresh_mount "$work/d"
settle
cost 'cold: read every file of a directory of 200' bash -c "cat $work/d/two-hundred/* | wc -c"
bound 'requests of reading 200 small files' "$requests" 12

# --- landings: from the edit to "landed", what is stored ahead included ---
edit_and_land() { # edit_and_land MOUNT FILES GOAL
	local i
	mkdir -p "$1/made-$2"
	for i in $(seq "$2"); do echo "$3 $i" >"$1/made-$2/$i"; done
	"$hif" -C "$1" land "$3"
}
fresh_mount "$work/c"
settle
cost 'landing 1 file' edit_and_land "$work/c" 1 'one file'
bound 'trips of a first landing' "$trips" 14
cost 'landing 10 files' edit_and_land "$work/c" 10 'ten files'
bound 'trips of landing 10 files' "$trips" 8
cost 'landing 1,000 files' edit_and_land "$work/c" 1000 'a thousand files'
bound 'puts of landing 1,000 files' "$puts" 40
bound 'trips of landing 1,000 files' "$trips" 9

# What a race that is lost at the last moment adds: while our slot is held, another machine takes its position.
hold_and_lose() {
	local rule
	echo ours >"$work/c/ours"
	rule=$(proxy_say 'add PUT *landing-log/ 0 1 hold')
	rule=${rule#ok }
	"$hif" -C "$work/c" land ours >/dev/null &
	until [ "$(proxy_say "hits $rule")" = 1 ]; do sleep 0.02; done
	echo theirs >"$work/theirs/theirs"
	other -C "$work/theirs" land theirs >/dev/null
	proxy_say reset >/dev/null
	proxy_say "release $rule" >/dev/null
	wait $!
	proxy_say "del $rule" >/dev/null
}
other() { HOME=$work/other XDG_RUNTIME_DIR=$work/other/run AWS_ENDPOINT_URL=$direct "$hif" "$@"; }
mkdir -p "$work/other/run"
other mount --fuse bench/cost "$work/theirs" >/dev/null
settle
cost 'the rest of a landing whose race was lost' hold_and_lose
bound 'trips behind a lost race' "$trips" 10
other daemon stop >/dev/null
exit $missed
