#!/bin/bash
# tsan.sh [ctest option...] - build with ThreadSanitizer, and run what has threads: every room's tests, simulations, and
# the program itself through FUSE. Any report fails, whichever process made it: they are in build-tsan/reports.
#
# Left out: the landing simulation, which is one thread that changes stacks; fuzzers and fault loops, which count what
# the sanitizer allocates; limits.sh, since the sanitizer itself does not start with so little.
set -eu
cd "$(dirname "$0")/.."
[ $# != 0 ] || set -- -LE 's3|plain' -R '^(test_|cli_|sim_vfs|sim_overlay|sim_damage|sim_duplicates|land_many|power_loss|integration_(workflow|agents|random|restart|fuse_restart|mounts|posix|sessions|uploads|hung|disks|tools)_fuse)'
scripts/build.sh build-tsan -DCMAKE_C_COMPILER=clang -DCMAKE_BUILD_TYPE=Debug -DHIF_SANITIZE=thread
reports=$PWD/build-tsan/reports failed=0
rm -rf "$reports"
mkdir "$reports"
# Cases kill servers with SIGSEGV, too, which is no finding.
TSAN_OPTIONS="log_path=$reports/report second_deadlock_stack=1 handle_segv=0" \
	ctest --test-dir build-tsan --output-on-failure --no-tests=error -j "$(nproc)" "$@" || failed=1
for report in "$reports"/*; do
	[ -e "$report" ] || break
	failed=1
	cat "$report"
done
exit $failed
