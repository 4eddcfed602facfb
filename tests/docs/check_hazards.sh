#!/bin/bash
# check_hazards.sh - is each test there that docs/hazards.md names? The last cell of each row names files, and what to
# find in each: `FILE`: `NAME`, `NAME`; `FILE`: ...
set -u
cd "$(dirname "$0")/../.."
failures=0 rows=0 names=0

fail() {
	echo "docs/hazards.md: $*" >&2
	failures=$((failures + 1))
}

while IFS= read -r row; do
	cell=${row% |} cell=${cell##* | }
	[ "$cell" != 'shown by' ] && [ "$cell" != '---' ] && [[ $row != '|---'* ]] || continue
	rows=$((rows + 1)) file=
	while IFS= read -r token; do
		if [[ $token = */* && -e $token ]]; then
			file=$token
		elif [ -z "$file" ]; then
			fail "there is no $token, in: $row"
		else
			names=$((names + 1))
			grep -qF -- "$token" "$file" || fail "there is no '$token' in $file"
		fi
	done < <(grep -oE '`[^`]+`' <<<"$cell" | tr -d '`')
	[ -n "$file" ] || fail "no test shows this: $row"
done < <(grep '^|' docs/hazards.md)
[ $rows -ge 40 ] && [ $names -ge $rows ] || fail "only $rows rows with $names tests were read"
[ $failures = 0 ] || { echo "$failures failure(s)" >&2; exit 1; }
