#!/bin/bash
# commands.sh [OPTION...] - commands as processes, with their n-th allocation or library call
# failing, until they pass.
#
# HIF: the program; HIF_FAULTY: the same, whose calls can fail. Whatever fails, the exit status is a
# documented one, there is a sentence, the store is whole, and the same command goes through
# afterwards.
set -u
all_kinds='malloc call short'
. "$(dirname "$0")/lib.sh"

finish() { # also where setting up has ended half way
	put_away
	! grep -q " $now/mnt " /proc/mounts || umount -l "$now/mnt"
	rm -rf --one-file-system "$work"
}
trap finish EXIT

# Some of what is done afterwards starts a daemon.
put_away() { "$HIF" daemon stop >/dev/null 2>&1; }

explain() { cat "$work/out" "$work/err" 2>/dev/null; }

# --- what is there before ---

fresh() { rm -rf "$now" && home; }

tree() {
	mkdir -p "$now/src/dir/deep"
	for i in 1 2 3; do echo "content $i" >"$now/src/file$i"; done
	printf '*.o\n' >"$now/src/.gitignore"
	ln -s ../file1 "$now/src/dir/link"
	head -c 5000000 /dev/zero | tr '\0' 'z' >"$now/src/dir/deep/large"
}

run() { "$HIF" "$@" >"$work/out" 2>"$work/err" || { echo "setting up: hif $*"; cat "$work/err"; exit 1; }; }

with_project() { fresh && tree && run project create acme/app; }
with_landing() { with_project && run import acme/app "$now/src" -m first; }
with_two() {
	with_landing
	echo changed >"$now/src/file2" && echo new >"$now/src/dir/new" && rm "$now/src/file3"
	run import acme/app "$now/src" -m second
}
# A session that was worked in, and put down, on another machine; the store is left of it.
with_session() {
	with_landing
	run mount --fuse acme/app "$now/mnt" --session work
	echo changed >"$now/mnt/file2" && mkdir "$now/mnt/made" && echo new >"$now/mnt/made/new" && rm "$now/mnt/file3"
	mv "$now/mnt/dir/deep" "$now/mnt/moved"
	run session note -C "$now/mnt" 'why is it so?'
	run session decide -C "$now/mnt" 'the old format stays'
	run unmount "$now/mnt" && run daemon stop
	rm -r "$HOME/.local/state/hif"
}
with_edits() { with_landing && echo changed >"$now/src/file2" && echo new >"$now/src/dir/new"; }

# --- what must hold afterwards ---

whole() { "$HIF" fsck acme/app >"$work/out" 2>"$work/err" || fail "fsck says $?"; }
# Again, without a failure: it goes through, or it went through before what failed.
again() {
	[ "$status" != 0 ] || return 0
	"$HIF" "$@" >"$work/out" 2>"$work/err"
	code=$?
	[ $code = 0 ] || [ $code = 5 ] || grep -qE 'exists already|is on this machine already|has a session' "$work/err" || fail "again: $code"
}
created() { "$HIF" log acme/app >"$work/out" 2>"$work/err" || fail "the project is not there"; }
imported() {
	whole
	"$HIF" cat acme/app:"$1" >"$work/out" 2>"$work/err" || fail "$1 can not be read"
	cmp -s "$work/out" "$now/src/$1" || fail "$1 is not what was imported"
	"$HIF" cat acme/app:dir/deep/large 2>"$work/err" | cmp -s - "$now/src/dir/deep/large" || fail "large"
}
claimed() {
	whole
	[ -z "$(ls "$HOME/.local/state/hif/claims")" ] || fail "a claim is left behind"
	"$HIF" session list --json acme/app >"$work/out" 2>"$work/err" || fail "it cannot be listed"
	[ "$(jq -r '.[] | .session + " " + .state' "$work/out")" = 'work open' ] || fail "what is here is not the session"
	"$HIF" session show acme/app work --json >"$work/out" 2>"$work/err" || fail "it cannot be shown"
	[ "$(jq -r '.messages[].text, .decisions[].text' "$work/out")" = $'why is it so?\nthe old format stays' ] || fail "notes"
	"$HIF" session export acme/app work "$now/saved" >"$work/out" 2>"$work/err" || fail "it cannot be saved"
	[ "$(cat "$now/saved/files/$1" "$now/saved/files/made/new")" = $'changed\nnew' ] || fail "edits are not there"
	grep -q file3 "$now/saved/report.txt" || fail "what was removed is not told"
	"$HIF" daemon stop >"$work/out" 2>"$work/err" || fail "the daemon does not end"
}
nothing() { :; }

# --- the loop ---

one() { # before, after, command ...
	local before=$1 after=$2
	shift 2
	rm -rf "$now" "$work/report"
	cp -a "$work/template-$before" "$now"
	faulty "$HIF_FAULTY" "$@" >"$work/out" 2>"$work/err" </dev/null
	status=$?
	take_report
	[ "$kind" != short ] || [ "$status" = 0 ] || fail "nothing failed, and it says so"
	case $status in
	0) ;;
	1 | 4 | 6 | 7 | 8 | 9)
		failures=$((failures + 1))
		[ -s "$work/err" ] || [ -s "$work/out" ] || fail "status $status, and no sentence"
		;;
	*) fail "status $status" ;;
	esac
	! grep -qE 'Assertion|Sanitizer|runtime error' "$work/err" || fail "it broke"
	again "$@"
	"$after" file2
}

scenario() { # name, before, after, command ...
	local name=$1
	shift
	[[ $name =~ $only ]] || return 0
	if [ ! -d "$work/template-$1" ]; then
		"$1" && mv "$now" "$work/template-$1"
	fi
	loop "$name" one "$@"
}

scenario create fresh created project create acme/app
scenario import with_project imported import acme/app "$now/src" -m first
scenario import-again with_edits imported import acme/app "$now/src" -m second
scenario log with_two nothing log acme/app
scenario log-path with_two nothing log acme/app --path file2
scenario ls with_two nothing ls -R acme/app
scenario cat with_two nothing cat acme/app:dir/deep/large
scenario fsck with_two whole fsck acme/app
scenario maintain with_two whole maintain acme/app
scenario sessions with_two nothing session list
scenario projects with_two nothing project list
scenario probe with_two whole store probe
scenario claim with_session claimed session claim acme/app work
