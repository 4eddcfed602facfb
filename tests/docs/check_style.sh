#!/bin/bash
# check_style.sh - how the sources look: formatted, not too long, nothing left to do in them, headers that stand alone.
set -u
cd "$(dirname "$0")/../.."
failures=0
scratch=$(mktemp -d "${TMPDIR:-/tmp}/hif-style.XXXXXX")
trap 'rm -rf "$scratch"' EXIT

fail() {
	echo "$*" >&2
	failures=$((failures + 1))
}

files=$(git -c safe.directory='*' ls-files 2>/dev/null) || files=
[ -n "$files" ] || files=$(find . -type f -not -path './build*' -printf '%P\n')
files=$(while read -r file; do [ ! -f "$file" ] || echo "$file"; done <<<"$files" | grep -v '/corpus/')
sources=$(grep -E '\.[ch]$' <<<"$files")

format=$(command -v clang-format-14 || command -v clang-format) || { echo 'clang-format is not installed' >&2; exit 1; }
version=$("$format" --version)
[[ $version =~ version\ 14\. ]] || { echo "clang-format 14 is the law, and this is $version" >&2; exit 1; }
xargs "$format" --dry-run -Werror <<<"$sources" 2>"$scratch/format" ||
	fail "not formatted; run $format -i on
$(sed -nE 's/^([^ :]+):[0-9]+.*/\1/p' "$scratch/format" | sort | uniq -c)"

# A file should fit in the head: 600 lines; a suite of tests, read one by one, 800. Tables that are
# data, not text to read, may be long.
long=$(grep -E '\.(c|h|sh|md|txt|cmake)$' <<<"$files" | grep -v 'blake3_vectors\.h' | xargs wc -l |
	awk '$2 != "total" && $1 > ($2 ~ /^tests\// ? 800 : 600) { print $2 ": " $1 " lines" }')
[ -z "$long" ] || fail "too long:
$long"

left=$(xargs grep -nE '\b(TOD[O]|FIXM[E])\b' <<<"$files")
[ -z "$left" ] || fail "left to do:
$left"

elsewhere=$(xargs grep -nE '(^|[^A-Za-z0-9_$}.])/wor[k]/|\.\./share[d]\b|DESIG[N]\.md' <<<"$files")
[ -z "$elsewhere" ] || fail "names what is not part of the project:
$elsewhere"

# A header without an include guard is a piece of its includer's text.
flags="-std=gnu11 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -fsyntax-only -Wall -Wextra -Werror -Isrc -I. -Itests
	$(pkg-config --cflags jansson fuse3 sqlite3 libzstd cmocka)"
check_header() {
	grep -q '^#ifndef HIF_' "$1" || return 0
	echo "#include \"$1\"" | "${CC:-cc}" $flags -x c - 2>"$scratch/${1//\//_}.out" || echo "$1"
}
export -f check_header
export flags scratch
alone=$(grep -E '^(src|fetch|overlay|nfs|fuse|cli)/.*\.h$' <<<"$sources" |
	xargs -P "$(nproc)" -I{} bash -c 'check_header {}')
for header in $alone; do
	cat "$scratch/${header//\//_}.out" >&2
	fail "$header does not compile alone"
done

for script in $(grep -E '\.sh$' <<<"$files"); do
	bash -n "$script" || fail "$script does not parse"
done
[ $failures = 0 ] || { echo "$failures failure(s)" >&2; exit 1; }
