#!/usr/bin/env bash
# What a cold mount of a real source tree asks of the store when it is listed, and when all is read.
#
#       cold_read.sh BUILD-DIRECTORY SOURCE-TREE
#
# Prints "what | value" lines and fails when listing fetches a blob, when reading takes more than one
# request for ten files, or when the content differs from the source. Through FUSE on this machine.
set -euo pipefail

build=${1:?usage: cold_read.sh BUILD-DIRECTORY SOURCE-TREE}
tree=$(realpath "${2:?usage: cold_read.sh BUILD-DIRECTORY SOURCE-TREE}")
hif=$(realpath "$build/cli/hif")
work=$(mktemp -d "${TMPDIR:-/tmp}/hif-cold.XXXXXX")
export HOME=$work/home HIF_STORE=file://$work/store LC_ALL=C
unset XDG_CONFIG_HOME XDG_DATA_HOME XDG_STATE_HOME XDG_CACHE_HOME XDG_RUNTIME_DIR
mkdir "$HOME"

# shellcheck disable=SC2317 # called by the trap
finish() {
	cd /
	"$hif" daemon stop >/dev/null 2>&1 || true
	await_end
	rm -rf --one-file-system "$work"
}
trap finish EXIT

say() { printf '%-52s | %s\n' "$1" "$2"; }

took() {
	local start=${EPOCHREALTIME/./}
	"$@" >"$work/out"
	us=$((${EPOCHREALTIME/./} - start))
}

ms() { printf '%d.%d ms' $(($1 / 1000)) $(($1 % 1000 / 100)); }
counter() { "$hif" --json daemon status | sed -n "s/.*\"$1\": \([0-9]*\).*/\1/p"; }

await_end() {
	for _ in $(seq 200); do
		[ -n "${daemon:-}" ] && [ -d "/proc/$daemon" ] || return 0
		sleep 0.05
	done
}

mount_cold() {
	"$hif" daemon stop >/dev/null 2>&1 || true
	await_end
	"$hif" mount bench/tree "$work/m" --fuse >/dev/null
	daemon=$(counter pid)
}

# In the order of the directory, as cp, tar and grep go.
sums() { (cd "$1" && find . -type f -print0 | xargs -0 b2sum -l 128 | sort); }

"$hif" project create bench/tree >/dev/null
took "$hif" import bench/tree "$tree" -m 'the tree' --no-ignore
files=$(find "$tree" -type f | wc -l)
say "import of $files files" "$(ms "$us")"

mount_cold
took find "$work/m"
say "find" "$(ms "$us"), $(counter nodes) nodes, $(counter blobs) blobs"
took ls -lR "$work/m"
say "ls -lR" "$(ms "$us"), $(counter blobs) blobs"
[ "$(counter blobs)" = 0 ] || { echo 'MISSED: listing fetched content' >&2; exit 1; }
took sums "$work/m"
cp "$work/out" "$work/sums"
requests=$(($(counter store_requests) - $(counter nodes)))
say "reading every file, listed before" "$(ms "$us"), $requests requests for $(counter blobs) blobs"
[ $((requests * 10)) -le "$files" ] || { echo 'MISSED: over one request for ten files' >&2; exit 1; }
mount_cold
took grep -r no-such-words-anywhere "$work/m" || true
say "grep -r, cold" "$(ms "$us"), $(($(counter store_requests) - $(counter nodes))) requests"
took sums "$work/m"
say "reading every file again" "$(ms "$us")"
took sums "$tree"
say "the same reading of the source" "$(ms "$us")"
cmp "$work/out" "$work/sums"
