#!/usr/bin/env bash
# How a project's size shows: mount, ls, find, status, landing and memory with 10,000, 100,000 and
# 1,000,000 entries, through FUSE on this machine.
#
#       scale.sh BUILD-DIRECTORY [ENTRIES]
#
# Prints "what | value" lines, for docs/benchmarks.md, and fails when a bound is missed. With strace
# installed it also counts what a mount asks of the store. Everything lies in a temporary directory.
set -euo pipefail

build=${1:?usage: scale.sh BUILD-DIRECTORY [ENTRIES]}
entries=${2:-1000000}
hif=$(realpath "$build/cli/hif")
make_project=$(realpath "$build/tests/bench/make_project")
work=$(mktemp -d "${TMPDIR:-/tmp}/hif-scale.XXXXXX")
export HOME=$work/home HIF_STORE=file://$work/store LC_ALL=C
unset XDG_CONFIG_HOME XDG_DATA_HOME XDG_STATE_HOME XDG_CACHE_HOME XDG_RUNTIME_DIR
mkdir "$HOME"
missed=0

# shellcheck disable=SC2317 # called by the trap
finish() {
	cd /
	"$hif" daemon stop >/dev/null 2>&1 || true
	await_end
	rm -rf --one-file-system "$work"
}
trap finish EXIT

say() { printf '%-52s | %s\n' "$1" "$2"; }

# bound WHAT VALUE LIMIT: integers.
bound() {
	[ "$2" -le "$3" ] && return
	echo "MISSED: $1 is $2, and should be at most $3" >&2
	missed=1
}

# took COMMAND...: its time in microseconds, in $us; its output goes to $work/out.
took() {
	local start=${EPOCHREALTIME/./}
	"$@" >"$work/out"
	us=$((${EPOCHREALTIME/./} - start))
}

ms() { printf '%d.%d ms' $(($1 / 1000)) $(($1 % 1000 / 100)); }

counter() { "$hif" --json daemon status | sed -n "s/.*\"$1\": \([0-9]*\).*/\1/p"; }
# User and system time of the daemon so far, in ms (in steps of 10).
cpu_ms() { awk '{print ($14 + $15) * 10}' "/proc/$daemon/stat"; }
rss_kib() { sed -n 's/^VmRSS:[^0-9]*\([0-9]*\).*/\1/p' "/proc/$daemon/status"; }
mib() { printf '%d.%d MiB' $(($1 / 1024)) $(($1 % 1024 * 10 / 1024)); }

await_end() {
	for _ in $(seq 200); do
		[ -n "${daemon:-}" ] && [ -d "/proc/$daemon" ] || return 0
		sleep 0.05
	done
}

restart() {
	"$hif" daemon stop >/dev/null 2>&1 || true
	await_end
	# A mount of something small, so that starting the daemon is not measured.
	"$hif" mount bench/start "$work/start" --fuse >/dev/null
	daemon=$(counter pid)
}

# The time to mount, in $us, as the median of five, each with a session of its own.
measure_mount() { # PROJECT
	local times=() i
	for i in 1 2 3 4 5; do
		took "$hif" mount "$1" "$work/m$i" --session "try$i" --fuse
		times+=("$us")
	done
	for i in 1 2 3 4 5; do "$hif" unmount "$work/m$i" >/dev/null; done
	us=$(median "${times[@]}")
}

median() { printf '%s\n' "$@" | sort -n | sed -n $((($# + 1) / 2))p; }

# What one mount opens below the store.
mount_requests() { # PROJECT
	strace -qq -f -e trace=openat -o "$work/trace" -p "$daemon" 2>/dev/null &
	local tracer=$!
	sleep 0.5
	"$hif" mount "$1" "$work/traced" --session traced --fuse >/dev/null
	kill "$tracer"
	wait "$tracer" 2>/dev/null || true
	grep -c '/projects/\|"projects/' "$work/trace" || true
	"$hif" unmount "$work/traced" >/dev/null
}

store_sum() { find "$work/store" -type f -printf '%s\n' | awk '{n++; b += $1} END {print n, b}'; }

"$make_project" "$work/store" bench/start 20 >/dev/null
sizes=(10000 100000 "$entries")
for n in "${sizes[@]}"; do
	say "making $n entries" "$("$make_project" "$work/store" "bench/r$n" "$n" | sed 's/.* in //')"
done
big=bench/r$entries m=$work/m

restart
for n in "${sizes[@]}"; do
	measure_mount "bench/r$n"
	say "mount, $n entries" "$(ms "$us")"
	bound "mount of $n entries, us" "$us" 100000
	if command -v strace >/dev/null; then
		say "  files of the store opened by a mount" "$(mount_requests "bench/r$n")"
	fi
done
say "tree nodes fetched by all these mounts" "$(counter nodes)"

restart
"$hif" mount "$big" "$m" --fuse >/dev/null
say "daemon RSS after mount" "$(mib "$(rss_kib)")"
took ls "$m"
say "first ls" "$(ms "$us"), $(counter nodes) nodes"
say "daemon RSS after ls" "$(mib "$(rss_kib)")"
before=$(counter nodes)
deep=core/net/util/api/server
took stat "$m/$deep"
say "stat of $deep, cold" "$(ms "$us"), $(($(counter nodes) - before)) nodes"
before=$(counter nodes)
took find "$m/net"
say "find of one subtree" "$(ms "$us"), $(wc -l <"$work/out") entries, $(($(counter nodes) - before)) nodes"
cpu=$(cpu_ms)
took find "$m"
say "find of everything" "$(ms "$us"), $(wc -l <"$work/out") entries, $(counter nodes) nodes"
say "  CPU time of the daemon" "$(($(cpu_ms) - cpu)) ms"
[ "$(wc -l <"$work/out")" = "$entries" ] || { echo "MISSED: find saw other entries" >&2; missed=1; }
say "blobs fetched by then" "$(counter blobs)"
bound "blobs fetched by find" "$(counter blobs)" 0
say "daemon RSS after find" "$(mib "$(rss_kib)")"
bound "RSS after find, KiB" "$(rss_kib)" $((250 * 1024))

# Status costs what changed, and reads no base: right after the edits, and with nothing in memory.
# (Not head: find would fail of it.)
find "$m" -maxdepth 4 -name 'handler*' | sed -n 1,100p >"$work/edited"
while read -r file; do echo edit >>"$file"; done <"$work/edited"
before=$(counter nodes)
times=()
for _ in 1 2 3 4 5; do
	took "$hif" -C "$m" status
	times+=("$us")
done
us=$(median "${times[@]}")
say "status, 100 changes" "$(ms "$us"), $(grep -c '^M ' "$work/out") listed, $(($(counter nodes) - before)) nodes"
bound "status of 100 changes, us" "$us" 20000
bound "nodes fetched by status" $(($(counter nodes) - before)) 0
"$hif" unmount "$m" >/dev/null
restart
"$hif" mount "$big" "$m" --fuse >/dev/null
before=$(counter nodes)
took "$hif" -C "$m" status
say "status after a restart, 100 changes" "$(ms "$us"), $(grep -c '^M ' "$work/out") listed, $(($(counter nodes) - before)) nodes"
bound "nodes fetched by status after a restart" $(($(counter nodes) - before)) 0
took "$hif" -C "$m" land 'a hundred edits'
say "landing 100 files in as many directories" "$(ms "$us")"

for i in $(seq 10); do echo "$i" >"$m/core/net/new$i.c"; done
read -r objects bytes < <(store_sum)
took "$hif" -C "$m" land 'ten files'
read -r objects2 bytes2 < <(store_sum)
say "landing 10 files of one directory" "$(ms "$us"), $((objects2 - objects)) objects, $((bytes2 - bytes)) bytes"

first=$(rss_kib)
for i in $(seq 20); do
	"$hif" mount "$big" "$work/x$i" --session "s$i" --fuse >/dev/null
	ls "$work/x$i" >/dev/null
done
each=$((($(rss_kib) - first) / 20))
say "RSS for each of 20 more mounts, with an ls" "$each KiB"
bound "RSS per mount, KiB" "$each" 1024
for i in $(seq 20); do "$hif" unmount "$work/x$i" >/dev/null; done

mkdir "$m/many"
start=${EPOCHREALTIME/./}
for d in $(seq 100); do
	mkdir "$m/many/d$d"
	cd "$m/many/d$d"
	for ((i = 0; i < 1000; i++)); do echo hello >"f$i"; done
done
cd /
say "creating 100,000 files in 100 directories" "$(ms $((${EPOCHREALTIME/./} - start)))"
say "daemon RSS with 100,000 files in the overlay" "$(mib "$(rss_kib)")"
took "$hif" -C "$m" status
say "status, 100,000 files added" "$(ms "$us"), $(grep -c '^A ' "$work/out") listed"
took "$hif" unmount "$m"
say "unmount, 100,000 files in the overlay" "$(ms "$us")"
took "$hif" mount "$big" "$m" --fuse
say "mount, 100,000 files in the overlay" "$(ms "$us")"
exit $missed
