#!/bin/bash
# check_docs.sh HIF BUILD-DIRECTORY [DOCUMENT...] - do README.md and docs/*.md say what is?
#
# With documents, only the commands in these are run.
#
# - each relative link leads to a file, and its #anchor to a heading;
# - each path in backticks exists, and so does each *.c and *.h that is named anywhere;
# - each `build/...` that is named was built;
# - each command in a ```sh block succeeds, run with HIF as `hif` in a home of its own. The blocks of one document
#   share a directory and each starts in it. A block behind <!-- not run: REASON --> is only read: its scripts
#   exist and parse.
# - nothing names what is not part of the project.
set -u
hif=$(realpath -e "${1:?usage: check_docs.sh HIF BUILD-DIRECTORY}") || exit 1
build=$(realpath -e "${2:?usage: check_docs.sh HIF BUILD-DIRECTORY}") || exit 1
only=("${@:3}")
cd "$(dirname "$0")/../.."
failures=0
work=$(mktemp -d "${TMPDIR:-/tmp}/hif-docs.XXXXXX")

finish() {
	cd /
	for run in "$work"/*/run; do
		[ -S "$run/hif/control.sock" ] && in_home "${run%/run}" hif daemon stop >/dev/null 2>&1
	done
	grep " $work/" /proc/mounts | cut -d' ' -f2 | sort -r | while read -r at; do umount -l "$at"; done
	rm -rf --one-file-system "$work"
}
trap finish EXIT

fail() { # fail DOCUMENT TEXT
	echo "$1: $2" >&2
	failures=$((failures + 1))
}

files=$(git -c safe.directory='*' ls-files 2>/dev/null) || files=
[ -n "$files" ] || files=$(find . -type f -not -path './build*' -printf '%P\n')
names=$(sed 's|.*/||' <<<"$files" | sort -u)
tops='src|fetch|overlay|nfs|fuse|cli|tests|integration|docs|scripts|cmake'

# The text outside of fenced blocks.
prose() { awk '/^ *```/ { inside = !inside; next } !inside' "$1"; }

# Headings as the anchors that web pages make of them.
anchors() {
	prose "$1" | sed -n 's/^#\+ //p' | tr '[:upper:]' '[:lower:]' | sed 's/[^a-z0-9 _-]//g; s/ /-/g'
}

check_links() {
	local doc=$1 link target anchor
	while read -r link; do
		[[ $link =~ ^[a-z]+: ]] && continue
		target=${link%%#*} anchor=
		[[ $link = *'#'* ]] && anchor=${link#*#}
		[ -n "$target" ] && target=$(dirname "$doc")/$target || target=$doc
		[ -e "$target" ] || { fail "$doc" "the link ($link) leads nowhere"; continue; }
		[ -z "$anchor" ] || anchors "$target" | grep -qxF -- "$anchor" ||
			fail "$doc" "the link ($link) leads to no heading"
	done < <(prose "$doc" | grep -oE '\]\([^)]+\)' | sed 's/^](//; s/)$//')
}

check_paths() {
	local doc=$1 path
	while read -r path; do
		if [[ $path = *'*'* ]]; then
			compgen -G "$path" >/dev/null || fail "$doc" "nothing matches \`$path\`"
		else
			[ -e "$path" ] || fail "$doc" "there is no \`$path\`"
		fi
	done < <(prose "$doc" | grep -oE '`[^` ]+`' | tr -d '`' | grep -E "^($tops)/" | sort -u)
	while read -r path; do
		[[ $path != */* ]] || [ -e "$path" ] || [ -e "src/$path" ] || fail "$doc" "there is no $path"
		grep -qxF -- "${path##*/}" <<<"$names" || fail "$doc" "there is no file ${path##*/}"
	done < <(grep -oE '[A-Za-z0-9_./-]*[A-Za-z0-9_]\.[ch]\b' "$doc" | grep -vE '^\.|/\.' | sort -u)
	while read -r path; do
		[ -x "$build/$path" ] || fail "$doc" "$path was not built"
	done < <(grep -oE '\bbuild(-[a-z]+)?/[a-z0-9_]+/[a-z0-9_]+(/[a-z0-9_]+)?(\.so)?' "$doc" | sed 's|^[^/]*/||' | sort -u)
}

check_words() {
	grep -nE 'DESIGN\.md|\.\./shared|/wor[k]/|TOD[O]|FIXM[E]' "$1" >&2 && fail "$1" 'names what is not part of the project'
}

# Write each ```sh block to DIR/NN.sh, or NN.not where it is marked; complain about marks without a block.
blocks() {
	awk -v dir="$2" '
		/^<!-- not run: .+ -->$/ { marked = 1; next }
		/^```sh$/ { file = sprintf("%s/%02d.%s", dir, ++count, marked ? "not" : "sh"); marked = 0; inside = 1; next }
		/^```/ && inside { inside = 0; close(file); next }
		inside { print > file; next }
		marked { print "a mark without a ```sh block right behind it"; marked = 0 }' "$1"
}

in_home() { # in_home DIRECTORY COMMAND...
	local dir=$1
	shift
	env -u XDG_CONFIG_HOME -u XDG_DATA_HOME -u XDG_STATE_HOME -u XDG_CACHE_HOME -u HIF_STORE \
		HOME="$dir/home" XDG_RUNTIME_DIR="$dir/run" HIF_AUTHOR='Test <test@example.org>' \
		AWS_EC2_METADATA_DISABLED=true PATH="$work/bin:$PATH" "$@"
}

check_blocks() {
	local doc=$1 dir=$work/$(basename "$1" .md) block script problem
	mkdir -p "$dir/blocks" "$dir/home" "$dir/run" "$dir/here"
	while read -r problem; do fail "$doc" "$problem"; done < <(blocks "$doc" "$dir/blocks")
	for block in "$dir"/blocks/*.not; do
		[ -e "$block" ] || continue
		bash -n "$block" || fail "$doc" 'a block that is not run does not parse'
		while read -r script; do
			[ -x "$script" ] && bash -n "$script" || fail "$doc" "$script is missing, or does not parse"
		done < <(grep -oE "\b($tops)/[A-Za-z0-9_/.-]+\.sh\b" "$block" | sort -u)
	done
	for block in "$dir"/blocks/*.sh; do
		[ -e "$block" ] || continue
		(cd "$dir/here" && in_home "$dir" timeout 60 bash -eu "$block" >"$block.out" 2>&1) && continue
		cat "$block.out" >&2
		fail "$doc" "this block failed:
$(cat "$block")"
	done
	in_home "$dir" timeout 60 hif daemon stop >/dev/null 2>&1
}

mkdir "$work/bin" && ln -s "$hif" "$work/bin/hif"
if [ ${#only[@]} != 0 ]; then
	for doc in "${only[@]}"; do check_blocks "$doc"; done
	[ $failures = 0 ] || { echo "$failures failure(s)" >&2; exit 1; }
	exit
fi
for doc in README.md docs/*.md; do
	check_links "$doc"
	check_paths "$doc"
	check_words "$doc"
	check_blocks "$doc"
done
# What README does not lead to, nobody finds.
for doc in docs/*.md; do
	grep -qF "($doc)" README.md || fail README.md "does not mention $doc"
done
while read -r file; do
	stem=${file%.*}
	grep -qE "$stem\.[ch]\b" docs/rooms.md || echo "note: docs/rooms.md does not mention $file"
done < <(grep -E '^(src/[a-z]+|fetch|overlay|nfs|fuse|cli)/[a-z0-9_]+\.[ch]$' <<<"$files" | grep -vE 'cmd_|impl\.h|internal\.h|commands\.h|state\.h|row1?s?\.h|lanes\.h|gear\.h|simdisk\.h')
[ $failures = 0 ] || { echo "$failures failure(s)" >&2; exit 1; }
