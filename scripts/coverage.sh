#!/bin/bash
# coverage.sh [ctest option...] - lines and branches that the tests reach, by room.
#
# Builds in build-coverage without optimisation, runs the tests (all, or those that ctest's options choose) and
# prints a table; build-coverage/coverage.json has every file. What a process that was killed had run is not counted;
# what ran in guests is.
set -eu
cd "$(dirname "$0")/.."
scripts/install.sh test
dir=build-coverage
rooms='src/base src/core src/aws src/store src/land src/check src/vfs fetch overlay nfs fuse cli'

echo 'building ...'
scripts/build.sh $dir -DHIF_TESTS=ON -DHIF_WERROR=OFF -DCMAKE_BUILD_TYPE=Debug \
	-DCMAKE_C_FLAGS='--coverage -fprofile-update=atomic -fprofile-abs-path'
find $dir -name '*.gcda' -delete
guests=$(mktemp -d "${TMPDIR:-/tmp}/hif-coverage.XXXXXX")
trap 'rm -rf "$guests"' EXIT
chmod 755 "$guests"
export GCOV_GUESTS=$guests
failed=
ctest --test-dir $dir --output-on-failure --no-tests=error -j "$(($(nproc) + 2))" "$@" >$dir/coverage.log 2>&1 || failed=yes
tail -n 20 $dir/coverage.log | sed -n '/tests passed/p; /The following tests FAILED/,/^$/p'

for guest in "$guests"/*; do
	[ -d "$guest$PWD/$dir" ] || continue
	if gcov-tool merge "$dir" "$guest$PWD/$dir" -o "$guests/merged" >>$dir/coverage.log 2>&1; then
		cp -r "$guests/merged/." $dir/
	else
		failed=yes
	fi
	rm -rf "$guests/merged" "$guest"
done

# The builds of the landing machine with mistakes in it are not the product.
gcovr --root . --object-directory $dir --exclude-directories '.*mutation.*' -j "$(nproc)" \
	$(for room in $rooms; do echo "--filter $room/"; done) --json-summary $dir/coverage.json >$dir/gcovr.log 2>&1 ||
	{ tail -n 5 $dir/gcovr.log >&2; exit 1; }
jq -r --arg rooms "$rooms" '
	def percent(part; whole): if whole == 0 then "-" else (1000 * part / whole | round / 10 | tostring) end;
	def row(name): [name, (length | tostring), (map(.line_total) | add // 0 | tostring),
		percent(map(.line_covered) | add // 0; map(.line_total) | add // 0),
		percent(map(.branch_covered) | add // 0; map(.branch_total) | add // 0)];
	.files as $files
	| ["room", "files", "lines", "lines %", "branches %"],
	  ($rooms / " " | .[] as $room | $files | map(select(.filename | startswith($room + "/"))) |
	   select(length > 0) | row($room)),
	  ($files | row("all"))
	| @tsv' $dir/coverage.json | column -t -s $'\t' -R 2,3,4,5
[ -z "$failed" ] || { echo "tests failed: $dir/coverage.log" >&2; exit 1; }
