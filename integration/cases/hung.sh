#!/bin/bash
# A server that hangs, or is gone with its supervisor, holds no command: they end in time, say what is
# wrong, and `hif unmount --force` takes the mount away, also from inside of it.
# hung.sh nfs|fuse [ROUNDS]: the goal is 100 of 100 within 2 s; a few are enough to see it break.
# A machine that does much else beside it is slower, and a guest much slower still.
rounds=${2:-2} limit=4000
[ "$1" = fuse ] || limit=10000
set -- "$1"
. "$(dirname "$0")/../lib.sh"

ms() { echo $(($(date +%s%N) / 1000000)); }

# within MS CODE REGEX COMMAND...
within() {
	local most=$1 code=$2 regex=$3 start status=0 output took
	shift 3
	start=$(ms)
	output=$(timeout -s KILL 60 "$@" 2>&1) || status=$?
	took=$(($(ms) - start))
	[ "$status" = "$code" ] || fail "'$*' gave $status instead of $code: $output"
	expect_match "$output" "$regex"
	[ $took -le "$most" ] || fail "'$*' took $took ms"
	[ $took -le "$slowest" ] || slowest=$took
}

stopped() { # stop the server, so that nobody starts another
	server=$(daemon_pid) supervisor=$(hif daemon status --json | jq .supervisor_pid)
	kill -STOP "$server"
}

step 'set up'
mkdir "$work/tree" && echo text >"$work/tree/file"
hif project create acme/app
hif import acme/app "$work/tree" -m import

step "unmount --force with a server that is stopped, or dead with its supervisor: $rounds times"
slowest=0
for round in $(seq 1 "$rounds"); do
	hif mount "--$front" acme/app "$work/app" >/dev/null
	cd "$work/app" && cat file >/dev/null && echo $round >kept
	if [ $((round % 2)) = 1 ]; then
		stopped
		(cd / && exec cat "$work/app/file" "$work/app/never-asked" >/dev/null 2>&1) &
		reader=$!
		sleep 0.1
		within $limit 0 Detached "$hif" unmount --force . # from inside
		cd / # where we stood nobody answers any more
		kill -KILL "$server"
		wait $reader || true
		kill_daemon
	else
		kill_daemon
		within $limit 0 Detached "$hif" unmount --force "$work/app"
	fi
	cd /
	! grep -q " $work/app " /proc/mounts || fail 'still mounted'
	hif mount "--$front" acme/app "$work/app" >/dev/null
	expect "$(cat "$work/app/kept")" $round
	hif unmount "$work/app" >/dev/null
done
echo "  slowest: $slowest ms"

step 'other commands, from inside a mount whose server is stopped'
slowest=0
hif mount "--$front" acme/app "$work/app" >/dev/null
cd "$work/app"
stopped
within $((limit + 6000)) 7 'hangs' "$hif" status
within $((limit + 6000)) 7 'hung|hangs|does not answer|not answered' "$hif" daemon status
within $((limit + 6000)) 7 'hangs|in time' "$hif" mount acme/app "$work/app"
kill -STOP "$supervisor"
within $((limit + 14000)) 7 'hangs|does not answer' "$hif" status
within $((limit + 14000)) 7 'in time' "$hif" daemon status
echo "  slowest: $slowest ms"
kill -CONT "$server" "$supervisor"
expect "$(hif status | grep kept)" 'A kept'
cd /
hif unmount "$work/app"

step 'doctor: all is well'
found() { # found NAME SEVERITY: what doctor says of it
	jq -r ".findings[] | select(.name == \"$1\" and .severity == \"$2\") | .text" <<<"$said"
}
diagnose() { # diagnose CODE [--fix]
	local status=0
	said=$("$hif" doctor --json ${2:-}) || status=$?
	expect "$status" "$1"
}
hif mount "--$front" acme/app "$work/app" >/dev/null
diagnose 0
expect_match "$(found mount ok)" "$work/app' answers"
expect_match "$(found server ok)" 'the daemon runs'
expect_match "$(found store ok)" 'answers'
# In a network of its own it can not be asked from here, and that is said.
[ "$front" = fuse ] || expect_match "$(found nfs-server ok)$(found nfs-server note)" 'answers NULL, MNT|could not be asked'

step 'doctor: a server that is stopped, from inside its mount'
cd "$work/app"
stopped
diagnose 8
expect_match "$(found server error)" "process $server. hangs"
expect_match "$(found mount error)" "$work/app' does not answer"
kill -CONT "$server"
cd /

step 'doctor: a mount without any daemon is taken away, and its session is whole'
kill_daemon
diagnose 8
expect_match "$(found mount error)" "$work/app' (has lost its server|waits for a daemon)"
diagnose 0 --fix
expect "$(jq '[.findings[] | select(.fixed)] | length' <<<"$said")" 2 # the mount, and the socket
! grep -q " $work/app " /proc/mounts || fail 'still mounted'
hif mount "--$front" acme/app "$work/app" >/dev/null
expect "$(hif -C "$work/app" status | grep kept)" 'A kept'

step 'doctor: a mark whose place is gone, and a store that is away'
kill_daemon
umount -l "$work/app"
rmdir "$work/app"
diagnose 9
expect_match "$(found mark warning)" 'counts as mounted at'
diagnose 0 --fix
diagnose 0
mv "$HOME/.local/share/hif/store" "$HOME/away"
diagnose 8
expect_match "$(found store error)" 'store'
