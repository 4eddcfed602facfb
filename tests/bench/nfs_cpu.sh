#!/usr/bin/env bash
# Processor time of the NFS server per operation, as a load generator sees it.
#
#       nfs_cpu.sh BUILD-DIRECTORY NFSBENCH [WORKLOAD...]
#
# NFSBENCH is a program that takes `-p PORT -m PORT -e EXPORT -P --pid PID -c CONNECTIONS -d DEPTH -t SECONDS
# WORKLOAD...`, makes its tree with -P, and reports per workload; it is not part of this project. The
# server is tests/nfs/serve_tree.c: an empty memory store, and an overlay in a temporary directory.
set -euo pipefail

build=${1:?usage: nfs_cpu.sh BUILD-DIRECTORY NFSBENCH [WORKLOAD...]}
bench=${2:?usage: nfs_cpu.sh BUILD-DIRECTORY NFSBENCH [WORKLOAD...]}
shift 2
[ $# -gt 0 ] || set -- null getattr lookup readdirplus read-small read-seq write-seq create mix-build
work=$(mktemp -d "${TMPDIR:-/tmp}/hif-nfs-cpu.XXXXXX")
server=

# shellcheck disable=SC2317 # called by the trap
finish() {
	[ -z "$server" ] || kill "$server" 2>/dev/null || true
	wait 2>/dev/null || true
	rm -rf --one-file-system "$work"
}
trap finish EXIT

mkdir "$work/overlay"
"$build/tests/nfs/nfs_serve_tree" -o "$work/overlay" >"$work/said" &
server=$!
for _ in $(seq 100); do
	grep -q '^port ' "$work/said" && break
	sleep 0.1
done
port=$(sed -n 's/^port \([0-9]*\) .*/\1/p' "$work/said")
for depth in 1 32; do
	echo "depth $depth"
	"$bench" -p "$port" -m "$port" -e /x -P --pid "$server" -c 1 -d "$depth" -t "${SECONDS_EACH:-0.35}" "$@"
done
