#!/bin/bash
# fuzz.sh [--runs N] [--only REGEX] [--jobs N] [--minimize] - every fuzz target with libFuzzer, ASan and UBSan.
#
# Runs each from its corpus for its share of N executions (10,000,000 in all), --jobs of them (2) at
# a time, and prints a table.
# What it finds lies in build-fuzz/found/TARGET, the working corpus in build-fuzz/work/TARGET.
# --minimize: afterwards, merge what is new there into the corpora in tests/, within their bounds.
set -eu
cd "$(dirname "$0")/.."
runs=10000000 only=. jobs=2 minimize=
while [ $# -gt 0 ]; do
	case $1 in
	--runs) runs=$2 && shift 2 ;;
	--only) only=$2 && shift 2 ;;
	--jobs) jobs=$2 && shift 2 ;;
	--minimize) minimize=1 && shift ;;
	*) sed -n '2,7s/^# \{0,1\}//p' "$0" && exit 2 ;;
	esac
done
files_max=80 bytes_max=65536

# Target, corpus, and its weight, so that none takes much longer than the others: a whole server
# takes a millisecond for an input, a decoder microseconds.
targets='
nfs/fuzz_nfs_calls          nfs/corpus/calls          100
nfs/fuzz_nfs_rpc            nfs/corpus/rpc            200
fuse/fuzz_fuse_requests     fuse/corpus/requests      40
overlay/fuzz_overlay_items  overlay/corpus/items      500
overlay/fuzz_overlay_open   overlay/corpus/open       30
vfs/fuzz_vfs_values         vfs/corpus/values         500
core/fuzz_core_session      core/corpus/session       800
core/fuzz_core_slot         core/corpus/slot          600
core/fuzz_core_proposal     core/corpus/proposal      600
core/fuzz_core_format       core/corpus/format        700
core/fuzz_core_body         core/corpus/body          700
core/fuzz_core_chunk_list   core/corpus/chunk_list    700
core/fuzz_core_pack         core/corpus/pack          750
core/fuzz_core_tree_node    core/corpus/tree_node     800
core/fuzz_core_segment      core/corpus/segment       10
core/fuzz_core_rollup       core/corpus/rollup        15
core/fuzz_core_hash_index   core/corpus/hash_index    40
core/fuzz_core_open_session core/corpus/open_session  600
land/fuzz_land_journal      land/corpus/journal       150
store/fuzz_s3_xml           store/corpus/s3_xml       400
store/fuzz_s3_answer        store/corpus/s3_answer    400
store/fuzz_s3_url           store/corpus/s3_url       400
store/fuzz_aws              store/corpus/aws          400
cli/fuzz_cli_args           cli/corpus/args           155
cli/fuzz_cli_config         cli/corpus/config         150
cli/fuzz_cli_control        cli/corpus/control        100
cli/fuzz_cli_requests       cli/corpus/requests       4
cli/fuzz_cli_ignore         cli/corpus/ignore         150
cli/fuzz_cli_supervisor_wire cli/corpus/supervisor_wire 500
cli/fuzz_cli_supervisor_help cli/corpus/supervisor_help 500
cli/fuzz_cli_supervisor_state cli/corpus/supervisor_state 500
'
unnamed=$(find tests -name 'fuzz_*.c' ! -name fuzz_main.c | while read -r file; do
	corpus=$(sed 's,^tests/,,; s,fuzz_\(.*\).c$,corpus/\1,' <<<"$file")
	[[ $targets == *" $corpus"[[:space:]]* ]] || echo "$file"
done)
[ -z "$unnamed" ] || { echo "not in the table of $0: $unnamed" >&2; exit 2; }
targets=$(awk -v only="$only" 'NF && $1 ~ only' <<<"$targets")
[ -n "$targets" ] || { echo "no target matches '$only'" >&2; exit 2; }
weights=$(awk '{ sum += $3 } END { print sum }' <<<"$targets")

cmake -S . -B build-fuzz -G Ninja -DCMAKE_C_COMPILER=clang -DHIF_LIBFUZZER=ON \
	-DHIF_SANITIZE=address,undefined,fuzzer-no-link >build-fuzz.log
# shellcheck disable=SC2046 # one target a line
ninja -C build-fuzz $(awk '{ sub(".*/", "", $1); print $1 }' <<<"$targets") >build-fuzz.log ||
	{ grep -A20 -m3 FAILED build-fuzz.log; exit 1; }

# What is freed is kept poisoned for a short while only: else most of the time goes into cold memory.
export ASAN_OPTIONS=detect_leaks=1:allocator_may_return_null=1:quarantine_size_mb=4:malloc_context_size=4
export UBSAN_OPTIONS=print_stacktrace=1
printf '%-24s %12s %8s %9s %8s %s\n' target executions exec/s edges corpus findings

# One target; its row, and a word where it ended early.
fuzz() { # program, corpus, executions
	local name=${1##*/} work found log ran rate edges new
	work=build-fuzz/work/$name found=build-fuzz/found/$name log=build-fuzz/work/$name.log
	mkdir -p "$work" "$found"
	touch "$work.began"
	build-fuzz/tests/"$1" -runs="$3" -seed=1 -rss_limit_mb=2048 -timeout=30 -print_final_stats=1 \
		-artifact_prefix="$found/" "$work" tests/"$2" >"$log" 2>&1 || true
	ran=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
	rate=$(sed -n 's/^stat::average_exec_per_sec: *//p' "$log")
	edges=$(grep -o 'cov: [0-9]*' "$log" | tail -1 | cut -d' ' -f2)
	new=$(find "$found" -type f -newer "$work.began" | wc -l)
	[ "${ran:-0}" -ge "$3" ] || [ "$new" -gt 0 ] || new='1, it ended early: '$log
	printf '%-24s %12s %8s %9s %8s %s\n' "$name" "${ran:-0}" "${rate:-0}" "${edges:-0}" \
		"$(find "$work" -type f | wc -l)" "$new" | tee -a "$rows"
}

rows=build-fuzz/rows
: >$rows
while read -r program corpus weight; do
	[ "$(jobs -r | wc -l)" -lt "$jobs" ] || wait -n
	fuzz "$program" "$corpus" $((runs * weight / weights)) &
done <<<"$targets"
wait
read -r total findings < <(awk '{ total += $2; found += $6 } END { print total + 0, found + 0 }' $rows)
[ "$(wc -l <$rows)" = "$(wc -l <<<"$targets")" ] || { echo "targets without a row: see $rows" && findings=$((findings + 1)); }
printf '%d executions in all, %d findings\n' "$total" "$findings"

# The smallest inputs that reach the same code, the smallest first, as many as there is room for.
if [ -n "$minimize" ]; then
	while read -r program corpus _; do
		name=${program##*/} merged=build-fuzz/merged/${program##*/}
		rm -rf "$merged" && mkdir -p "$merged"
		build-fuzz/tests/"$program" -merge=1 "$merged" tests/"$corpus" build-fuzz/work/"$name" >/dev/null 2>&1
		count=$(find tests/"$corpus" -type f | wc -l)
		bytes=$(find tests/"$corpus" -type f -printf '%s\n' | awk '{ sum += $1 } END { print sum + 0 }')
		while read -r size file; do
			cmp -s "$file" tests/"$corpus"/"${file##*/}" && continue
			[ $((count += 1)) -le $files_max ] && [ $((bytes += size)) -le $bytes_max ] || break
			cp "$file" tests/"$corpus"/"$(basename "$file" | cut -c1-12)"
		done < <(find "$merged" -type f -printf '%s %p\n' | sort -n)
	done <<<"$targets"
fi
[ "$findings" = 0 ]
