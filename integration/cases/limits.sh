#!/bin/bash
# Too little for what is asked: descriptors, threads, a place to write, and more commands at once than there are
# processors by far.
. "$(dirname "$0")/../lib.sh"

lands=100 # at once, in one session

set_limits() { # set_limits OPTION VALUE: for the daemon, which the next command starts
	hif daemon stop >/dev/null 2>&1 || true
	(
		ulimit "$1" "$2"
		"$hif" mount "--$front" acme/app "$work/at" --session few 2>&1
	) || true
}

step 'set up'
make_tree "$work/tree"
hif project create acme/app
hif import acme/app "$work/tree" -m import
hif mount "--$front" acme/app "$work/at"

step 'a hundred landings of one session at once: one lands, the others are told that nothing is left'
head -c 30000000 /dev/urandom >"$work/at/big"
# So that many have asked before it looks; not long enough to count as hung.
"${HOLD_STILL:?set HOLD_STILL to tests/restart/hold_still}" "$(daemon_pid)" >"$work/held" &
holder=$!
wait_for 'the server is not held' grep -qs held "$work/held"
(sleep 2; kill $holder) &
for i in $(seq $lands); do
	(
		status=0
		hif -C "$work/at" land "landing $i" >/dev/null 2>&1 || status=$?
		echo "$status" >"$work/status.$i"
	) &
done
wait
expect "$(cat "$work"/status.* | sort | uniq -c | tr -s ' ' | tr '\n' ';')" " 1 0; $((lands - 1)) 5;"

step 'a session is abandoned, or mounted, never both'
hif unmount "$work/at"
for i in $(seq 6); do
	hif mount "--$front" acme/app "$work/raced" --session raced >/dev/null 2>&1 &
	mounting=$!
	sleep 0.0$((i % 3))
	hif session abandon acme/app raced >/dev/null 2>&1 || true
	if wait $mounting; then
		test -d "$HOME/.local/state/hif/workspaces/acme/app/raced" || fail "what is mounted was moved away"
		hif unmount "$work/raced" >/dev/null
	fi
done

step 'a lock that someone has for a moment, or who is dying, is waited for'
hif mount "--$front" acme/app "$work/raced" --session waits >/dev/null
hif unmount "$work/raced" >/dev/null
dir=$HOME/.local/state/hif/workspaces/acme/app/waits
while_locked() { # while_locked COMMAND...
	rm -f "$work/locked"
	flock "$dir/lock" sh -c 'echo >"$1"; sleep 1' _ "$work/locked" &
	until [ -e "$work/locked" ]; do sleep 0.01; done
	"$@" || fail "it is not waited for: $*"
	wait $!
}
while_locked hif session show waits >/dev/null
while_locked hif session export acme/app waits "$work/saved" >/dev/null
while_locked hif mount "--$front" acme/app "$work/raced" --session waits >/dev/null
hif unmount "$work/raced" >/dev/null
while_locked hif session abandon acme/app waits >/dev/null
[ ! -e "$dir" ] || fail 'it is there still'

step 'what is said where standard error is closed lands in no file'
hif mount "--$front" acme/app "$work/raced" --session quiet >/dev/null
echo edit >"$work/raced/edit"
hif -C "$work/raced" session publish >/dev/null
hif unmount "$work/raced" >/dev/null
mv "$HOME/.local/share/hif/store" "$work/away"
touch "$HOME/.local/share/hif/store"
moved=$(hif session abandon --json acme/app quiet 2>&- | jq -r .moved_to)
rm "$HOME/.local/share/hif/store"
mv "$work/away" "$HOME/.local/share/hif/store"
expect "$(head -c 8 "$moved/lock")" HIFOLOK1

step 'a store on a read-only file system can be read and mounted'
mkdir "$work/ro"
mount --bind "$HOME/.local/share/hif/store" "$work/ro"
mount -o remount,ro,bind "$work/ro"
store=$work/ro
expect "$(hif --store "$store" cat acme/app:README)" hello
hif --store "$store" fsck acme/app >/dev/null
hif --store "$store" mount "--$front" acme/app "$work/raced" --session reads >/dev/null
cmp "$work/raced/README" "$work/tree/README"
echo edit >"$work/raced/edit"
fails_with 1 'read-only file system; check' hif -C "$work/raced" land edit
expect "$(changes "$work/raced")" 'A edit'
hif unmount "$work/raced" >/dev/null 2>&1
umount "$store"

step 'descriptors run out: an error for who needs one, and an answer to every command'
expect_match "$(set_limits -n 80)" '^Mounted acme/app'
expect "$(sed -n 's/^Max open files *\([0-9]*\) .*/\1/p' "/proc/$(daemon_pid)/limits" | sed 's/^[0-9]\{4,\}$/80/')" 80
for i in $(seq 80); do
	{ head -c 100000 /dev/zero >"$work/at/large-$i"; } 2>/dev/null || true
done
for i in $(seq 12); do hif mount "--$front" acme/app "$work/more/$i" --session "more-$i" >/dev/null 2>&1 || break; done
timeout 60 "$hif" -C "$work/at" status >/dev/null || fail 'status does not answer'
timeout 60 "$hif" -C "$work/at" land 'large ones' >/dev/null 2>&1 || [ $? = 1 ] || fail 'landing does not end'
timeout 60 "$hif" daemon stop >/dev/null
if grep -q " $work/at " /proc/mounts; then # for want of a descriptor, and that was told
	hif -C "$work/at" status >/dev/null
	hif unmount "$work/at"
fi

step 'not one descriptor is left: the one in reserve lets each command in'
hif mount "--$front" acme/app "$work/at" --session none-left >/dev/null
server=$(daemon_pid)
number=3 # the lowest that is free
while [ -L "/proc/$server/fd/$number" ]; do
	[ "$(readlink "/proc/$server/fd/$number")" != /dev/null ] || reserve=$number
	number=$((number + 1))
done
[ -n "${reserve:-}" ] || fail "no descriptor below $number is in reserve"
prlimit --pid "$server" --nofile="$number:"
for i in 1 2 3; do
	expect "$(timeout 60 "$hif" daemon status --json | jq .pid)" "$server"
	timeout 60 "$hif" -C "$work/at" status >"$work/said" 2>&1 || [ $? = 1 ] || fail "status does not answer: $(cat "$work/said")"
done
fails_with 1 'too many files are open: raise .ulimit -n' timeout 60 "$hif" mount "--$front" acme/app "$work/more" --session one-more
expect_match "$(timeout 60 "$hif" daemon stop 2>&1)" "'$work/at' is still mounted.*The daemon has stopped"
[ ! -e "/proc/$server" ] || fail 'it is there still'
hif -C "$work/at" status >/dev/null # another one serves it again
expect "$(cat "$work/at/README")" hello
hif unmount "$work/at"

step 'no thread can be started: commands say so, and the daemon can be ended'
said=
for memory in 60000 55000 50000 45000 40000 35000 30000; do # how much is too little differs
	said=$(set_limits -v $memory)
	[[ $said != *'can start no thread'* ]] || break
done
if [[ $said == *'can start no thread'* ]]; then
	fails_with 7 'can start no thread' hif mount acme/app "$work/at"
	timeout 60 "$hif" daemon stop >/dev/null
	fails_with 7 'no daemon is running' hif daemon status
elif grep -q __asan "$hif"; then
	echo '  (a sanitizer needs more address space than that)'
else
	fail "no limit has had that effect: $said"
fi
"$hif" daemon stop >/dev/null 2>&1 || true
# What a daemon had no memory for comes back with the next.
"$hif" unmount "$work/at" >/dev/null 2>&1 || true
hif mount "--$front" acme/app "$work/at" >/dev/null
cmp "$work/at/README" "$work/tree/README"
