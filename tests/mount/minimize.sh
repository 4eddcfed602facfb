#!/bin/bash
# minimize.sh FILE COMMAND... - which of a run's operations are needed for a finding? FILE has operations as random_ops
# --list prints them, up to the one where it was found; COMMAND gets the name of a file with some of them as its last
# argument, does them on a fresh directory, and fails where there is a finding. What is left goes to FILE.min.
#
#	build/tests/mount/random_ops --seed 7 --operations 1234 --list 0 >ops
#	tests/mount/minimize.sh ops integration/cases/random_replay.sh fuse
set -eu
file=${1:?usage: minimize.sh FILE COMMAND...}
shift
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp "$file" "$work/now"

finds() { ! "$@" "$work/try" >"$work/out" 2>&1; }

cp "$work/now" "$work/try"
finds "$@" || { echo 'minimize.sh: all of them together find nothing' >&2; exit 1; }
cp "$work/out" "$work/kept"
part=$(($(wc -l <"$work/now") / 2))
while [ "$part" -ge 1 ]; do
	at=1
	while [ "$at" -le "$(wc -l <"$work/now")" ]; do
		sed "$at,$((at + part - 1))d" "$work/now" >"$work/try"
		if finds "$@"; then
			cp "$work/try" "$work/now"
			cp "$work/out" "$work/kept"
			echo "$(wc -l <"$work/now") operations left" >&2
		else
			at=$((at + part))
		fi
	done
	part=$((part / 2))
done
cp "$work/now" "$file.min"
cat "$work/kept" "$file.min"
