#!/bin/bash
# daemon.sh [OPTION...] - a mount's whole life, while the n-th allocation, library call or SQLite
# call of its server fails: mount, edit, status, land, unmount.
#
# The same for its supervisor (--only supervisor), whose server is killed and restarted meanwhile.
# HIF: the program; HIF_FAULTY: the same, whose calls can fail. Through FUSE. The server never dies
# of it, commands that fail say why and go through the next time, and all that was edited has landed
# in the end.
set -u
all_kinds='malloc call sqlite short'
. "$(dirname "$0")/lib.sh"
mount=$now/mnt

put_away() {
	"$HIF" daemon stop >/dev/null 2>&1
	! grep -q " $mount " /proc/mounts || umount -l "$mount"
}

finish() {
	put_away
	rm -rf --one-file-system "$work"
}
trap finish EXIT

explain() {
	cat "$work/said" "$work/out" "$work/err" "$work/daemon" 2>/dev/null
	tail -n 30 "$HOME/.local/state/hif/daemon.log" 2>/dev/null
}

# What may fail, and has to go through after a while.
persist() { # command ...
	for _ in {1..25}; do
		"$@" >"$work/out" 2>"$work/err" </dev/null && return 0
		[ -s "$work/err" ] || fail "no sentence: $*"
		[ "$kind" != short ] || fail "nothing failed, and it says so: $*"
		cat "$work/err" >>"$work/said"
		failures=$((failures + 1))
		sleep 0.2
	done
	fail "does not go through: $*"
}

put() { # path, text
	printf '%s' "$2" >"$mount/$1"
}

# These may have taken effect although they say that they failed: what counts is the end.
move() { mv "$mount/$1" "$mount/$2" || { [ ! -e "$mount/$1" ] && [ -e "$mount/$2" ]; }; }
drop() { rm -f "$mount/$1"; }
make() { mkdir -p "$mount/$1"; }
symlink() { ln -sfn "$2" "$mount/$1"; }
synced() { dd if=/dev/zero of="$mount/$1" bs=70000 count=1 conv=fsync status=none; }

# Nor is it mounted any more when the answer was lost.
unmounted() { "$HIF" unmount "$mount" || ! grep -q " $mount " /proc/mounts; }

# Or an earlier one had done it, and its answer was lost; it may not have been a denial.
landed() {
	"$HIF" land -C "$mount" second && return 0
	grep -q 'since it landed at' "$work/err" && ! tail -n 1 "$work/said" | grep -q 'could not be landed'
}

edit() {
	persist put file1 changed
	persist make new/deep
	persist put new/deep/a aaa
	persist move new/deep/a new/b
	persist drop file2
	persist symlink new/link ../file1
	persist synced new/zeros
	persist cat "$mount/dir/file3"
	persist ls -lR "$mount"
}

# A server dies, and one is replaced: what was in the mount stays.
interrupt() {
	kill -9 "$("$HIF" daemon status --json | grep -o '"pid": *[0-9]*' | head -1 | grep -o '[0-9]*')" 2>/dev/null
	persist cat "$mount/file1"
	persist "$HIF" daemon restart
	persist cat "$mount/file1"
}

check() {
	"$HIF" fsck acme/app >"$work/out" 2>"$work/err" || fail "fsck says $?"
	for file in file1=changed new/b=aaa dir/file3=three; do
		"$HIF" cat "acme/app:${file%%=*}" >"$work/out" 2>"$work/err" || fail "$file is not there"
		[ "$(cat "$work/out")" = "${file#*=}" ] || fail "$file is not what was written"
	done
	[ "$("$HIF" cat acme/app:new/zeros | wc -c)" = 70000 ] || fail "new/zeros"
	! "$HIF" cat acme/app:file2 >/dev/null 2>&1 || fail "file2 is there"
	"$HIF" ls -R acme/app >"$work/out" || fail "ls"
	[ "$(wc -l <"$work/out")" = 8 ] || fail "other things are there"
}

template() {
	home && mkdir -p "$now/src/dir" "$mount"
	printf one >"$now/src/file1" && printf two >"$now/src/file2" && printf three >"$now/src/dir/file3"
	"$HIF" project create acme/app >/dev/null && "$HIF" import acme/app "$now/src" -m first >/dev/null || exit 1
	mv "$now" "$work/template"
}

# Until it can be asked, in the one place or the other, or has failed; else a command would start one that
# does not fail.
await() { # pid
	for _ in {1..2400}; do
		[ ! -S "$XDG_RUNTIME_DIR/hif/control.sock" ] && [ ! -S "$HOME/.local/state/hif/run/control.sock" ] &&
			kill -0 "$1" 2>/dev/null || return 0
		sleep 0.05
	done
	fail "the daemon does not start"
}

one() { # serve, run: whose calls fail
	rm -rf "$now" && cp -a "$work/template" "$now"
	rm -f "$work/report" "$work/once" "$work/said"
	HIF_FAULT_ROLE=$1 HIF_FAULT_ONCE=$work/once faulty "$HIF_FAULTY" daemon run >"$work/daemon" 2>&1 &
	await $!
	persist "$HIF" mount acme/app "$mount" --fuse
	edit
	[ "$1" = serve ] || interrupt
	persist "$HIF" status -C "$mount"
	persist "$HIF" diff -C "$mount"
	persist "$HIF" session note -C "$mount" 'a note'
	persist landed
	persist unmounted
	"$HIF" daemon stop >"$work/out" 2>"$work/err"
	wait
	take_report
	! grep -qE 'Assertion|Sanitizer|runtime error|signal' "$HOME/.local/state/hif/daemon.log" "$work/daemon" ||
		fail "the server died"
	check
}

template
loop daemon one serve
loop supervisor one run
