#!/bin/bash
# check_arrows.sh BUILD FOLDER... - files call only those below them: of the objects in each folder of the
# build a list can be made in which each stands before those that it calls (tsort(1)).
set -eu -o pipefail
cd "$1"
shift
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0
for folder in "$@"; do
	# "a b": a calls something that b defines.
	find "$folder" -name '*.o' -exec nm -A --extern-only {} + | awk '
		{ sub(/:/, " ") }
		$2 == "U" { uses[$1, $3]; next }
		$3 ~ /^[TDBRC]$/ { owner[$4] = $1 }
		END { for (use in uses) { split(use, pair, SUBSEP)
			if (pair[2] in owner && owner[pair[2]] != pair[1]) print pair[1], owner[pair[2]] } }' |
		sort -u >"$work/arrows"
	[ -s "$work/arrows" ] || { echo "$folder: no calls were found"; failed=1; }
	tsort "$work/arrows" >/dev/null 2>"$work/loops" || { echo "$folder: these call each other:"; cat "$work/loops"; failed=1; }
done
exit $failed
