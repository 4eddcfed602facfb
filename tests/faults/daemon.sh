#!/bin/bash
# daemon.sh [--kind malloc|call|sqlite] [--from N] [--to N] [--every N] - a mount's whole life, while
# the n-th allocation, library call or SQLite call of its server fails: mount, edit, status, land,
# unmount.
#
# HIF: the program; HIF_FAULTY: the same, whose calls can fail. Through FUSE. The server never dies
# of it, commands that fail say why and go through the next time, and all that was edited has landed
# in the end.
set -u
: "${HIF:?the hif program}" "${HIF_FAULTY:?the same, with calls that fail}"
kinds='malloc call sqlite' from=1 to=1000000 every=1
while [ $# -gt 0 ]; do
	case $1 in
	--kind) kinds=$2 && shift 2 ;;
	--from) from=$2 && shift 2 ;;
	--to) to=$2 && shift 2 ;;
	--every) every=$2 && shift 2 ;;
	*) sed -n '2,4s/^# //p' "$0" && exit 2 ;;
	esac
done
work=$(mktemp -d "${TMPDIR:-/tmp}/hif-faults-XXXXXX")
now=$work/now mount=$work/now/mnt
export HOME=$now/home XDG_RUNTIME_DIR=$now/run AWS_EC2_METADATA_DISABLED=true
unset XDG_CONFIG_HOME XDG_DATA_HOME XDG_STATE_HOME XDG_CACHE_HOME HIF_STORE HIF_AUTHOR

finish() {
	"$HIF" daemon stop >/dev/null 2>&1
	! grep -q " $mount " /proc/mounts || umount -l "$mount"
	rm -rf --one-file-system "$work"
}
trap finish EXIT

fail() {
	echo "daemon: $kind $n (${what:-?}): $*"
	echo "again: $0 --kind $kind --from $n --to $n"
	cat "$work/out" "$work/err" "$work/daemon" 2>/dev/null
	tail -n 30 "$HOME/.local/state/hif/daemon.log" 2>/dev/null
	exit 1
}

# What may fail, and has to go through after a while.
errors=0
persist() { # command ...
	for _ in 1 2 3 4 5 6 7 8; do
		"$@" >"$work/out" 2>"$work/err" </dev/null && return 0
		[ -s "$work/err" ] || fail "no sentence: $*"
		errors=$((errors + 1))
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
	mkdir -p "$HOME/.config/hif" "$XDG_RUNTIME_DIR" "$now/src/dir" "$mount"
	printf '[user]\nauthor = A Tester <a@example.org>\n[daemon]\nthreads = 1\n' >"$HOME/.config/hif/config"
	printf one >"$now/src/file1" && printf two >"$now/src/file2" && printf three >"$now/src/dir/file3"
	"$HIF" project create acme/app >/dev/null && "$HIF" import acme/app "$now/src" -m first >/dev/null || exit 1
	mv "$now" "$work/template"
}

# Until it can be asked, or has failed; else a command would start one that does not fail.
await() { # pid
	for _ in {1..400}; do
		[ ! -S "$XDG_RUNTIME_DIR/hif/control.sock" ] && kill -0 "$1" 2>/dev/null || return 0
		sleep 0.05
	done
	fail "the daemon does not start"
}

points=0
one() {
	rm -rf "$now" && cp -a "$work/template" "$now"
	rm -f "$work/report" "$work/once"
	HIF_FAULT=$kind:$n HIF_FAULT_ROLE=serve HIF_FAULT_ONCE=$work/once HIF_FAULT_REPORT=$work/report \
		"$HIF_FAULTY" daemon run >"$work/daemon" 2>&1 &
	await $!
	persist "$HIF" mount acme/app "$mount" --fuse
	edit
	persist "$HIF" status -C "$mount"
	persist "$HIF" diff -C "$mount"
	persist "$HIF" session note -C "$mount" 'a note'
	persist "$HIF" land -C "$mount" second
	persist "$HIF" unmount "$mount"
	"$HIF" daemon stop >"$work/out" 2>"$work/err"
	wait
	what='no report'
	[ -s "$work/report" ] && read -r _ points what <"$work/report"
	[ "$what" != 'no report' ] || fail 'it ended without a word of how many points there were'
	! grep -qE 'Assertion|Sanitizer|runtime error|signal' "$HOME/.local/state/hif/daemon.log" "$work/daemon" ||
		fail "the server died"
	check
}

template
for kind in $kinds; do
	runs=0 errors=0
	for ((n = from; n <= to; n += every)); do
		one
		[ "$what" != - ] || break
		runs=$((runs + 1))
	done
	echo "daemon: $kind: $points points, $runs failed one by one, $errors errors, nothing wrong"
done
