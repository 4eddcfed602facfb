#!/bin/bash
# A server that hangs, or is gone with its supervisor, holds no command: they end in time, say what is
# wrong, and `hif unmount --force` takes the mount away, also from inside of it.
# hung.sh nfs|fuse [ROUNDS]: the goal is 100 of 100 within 2 s; a few are enough to see it break.
# A machine that does much else beside it is slower, and a guest much slower still.
rounds=${2:-2} limit=4000
[ "$1" = fuse ] || limit=10000
. "$(dirname "$0")/../lib.sh"

ms() { echo $(($(date +%s%N) / 1000000)); }

# The limits are for a machine that has little else to do. ms: what a hundred starts of the program take just now.
slack() {
	local start i
	start=$(ms)
	for i in 1 2 3 4 5 6 7 8 9 10; do "$hif" --version >/dev/null; done
	echo $((10 * ($(ms) - start)))
}

# within MS CODE REGEX COMMAND...
within() {
	local most=$1 code=$2 regex=$3 start status=0 output took
	shift 3
	start=$(ms)
	output=$(timeout -s KILL 60 "$@" 2>&1) || status=$?
	took=$(($(ms) - start))
	[ "$status" = "$code" ] || fail "'$*' gave $status instead of $code: $output"
	expect_match "$output" "$regex"
	[ $took -le "$most" ] || [ $took -le $((most + $(slack))) ] || fail "'$*' took $took ms"
	[ $took -le "$slowest" ] || slowest=$took
}

server= supervisor= holder= crowd= nas=
at_end() { # nothing stays stopped
	for pid in $server $supervisor; do
		[ "$(cat "/proc/$pid/comm" 2>/dev/null)" != hif ] || kill -KILL "$pid"
	done
	[ -z "$holder$crowd$nas" ] || kill $holder $crowd $nas 2>/dev/null || true
}

trap 'status=$?; set +e; at_end; (exit $status); finish' EXIT

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
		rm -f "$work/forced" "$work/answered" "$work/refused"
		(
			cd /
			! cat "$work/app/never-asked" >/dev/null 2>&1
			: >"$work/answered"
		) &
		later="$front"
		! compgen -G '/sys/fs/nfs/0:*/shutdown' >/dev/null || later=fuse # as there, since Linux 6.5
		(
			until [ -e "$work/forced" ]; do sleep 0.1; done
			[ "$later" != fuse ] || ! cat never-asked-either >/dev/null 2>&1 # in the mount that is gone
			: >"$work/refused"
		) &
		sleep 0.1
		within $limit 0 Detached "$hif" unmount --force . # from inside
		: >"$work/forced"
		wait_for 'who waited for the server waits still' test -e "$work/answered"
		wait_for 'who stands in the mount waits for the server' test -e "$work/refused"
		cd / # where we stood nobody answers any more
		kill -KILL "$server"
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

# So many wait that no more are let in.
crowd_at() { # SOCKET...
	: >"$work/crowd"
	perl -MIO::Socket::UNIX -e 'for $path (@ARGV) { for (1..9999) {
		push @all, IO::Socket::UNIX->new(Peer => $path, Timeout => 0.01,
			Type => $path =~ /supervisor/ ? SOCK_SEQPACKET : SOCK_STREAM) || last } }
		print scalar(@all), "\n"; close STDOUT; sleep 600' "$@" >"$work/crowd" &
	crowd=$!
	until [ -s "$work/crowd" ]; do sleep 0.1; done
}

# Each command that a user may call then ends in time and says so, with what is known all the same.
# $1: what it says.
commands_end() {
	local says=$1 status
	within $limit 7 "$says" "$hif" status
	within $limit 7 "$says" "$hif" diff
	within $limit 7 "$says" "$hif" -C / mount
	within $limit 7 "$says" "$hif" daemon status
	within $limit 7 "$says" "$hif" session status
	within $limit 7 "$says" "$hif" session show
	within $limit 7 "$says" "$hif" session show default
	within $limit 0 'mounted at' "$hif" session list
	within $limit 0 '^file' "$hif" ls
	within $limit 0 '^text' "$hif" cat acme/app:file
	within $limit 0 import "$hif" log acme/app
	within $((limit + 2000)) 8 "$says" "$hif" doctor
	status=$("$hif" status --json) && fail 'it should not answer'
	expect "$(jq -r '.error.code, .known.session, .known.mount_point' <<<"$status")" \
		"$(printf '%s\n' EUNREACHABLE default "$work/app")"
	expect_match "$("$hif" status 2>&1)" "session 'default' of acme/app, base @1, at '$work/app'"
	expect_match "$("$hif" mount 2>/dev/null)" "acme/app at $work/app, session default, base @1, not served"
}
# And those that change something: they wait longer for one that may only be busy.
changes_end() { # SAYS PATIENCE
	within $2 7 "$1" "$hif" land 'too early'
	within $2 7 "$1" "$hif" mount acme/app "$work/app"
	within $2 7 "$1" "$hif" mount acme/app "$work/link"
	within $2 7 "$1" "$hif" mount acme/app "$work/other" --session other
	within $2 7 "$1" "$hif" unmount .
	within $2 7 "$1" "$hif" session note 'a thought'
	within $2 7 "$1" "$hif" session start 'a goal'
	within $2 7 "$1" "$hif" session export "$work/export"
}

step 'a server that is stopped: other commands, from inside its mount'
slowest=0
hif mount "--$front" acme/app "$work/app" >/dev/null
ln -s app "$work/link" # where it leads is known without a look into the mount
cd "$work/app"
stopped
within $limit 1 "link/inside' is inside the mount|'$work/app/inside' is inside the mount at '$work/app'" \
	"$hif" mount acme/app "$work/link/inside"
commands_end "server .process $server. is stopped"
changes_end "server .process $server. is stopped; .kill -CONT $server" $limit
echo "  slowest: $slowest ms"

step 'and its supervisor, too'
slowest=0
kill -STOP "$supervisor"
commands_end "process $supervisor. (is|are) stopped"
changes_end "kill -CONT $server $supervisor. lets them go on" $limit
within $limit 7 'supervisor .* is stopped' "$hif" daemon restart
within $limit 7 'supervisor .* is stopped' "$hif" daemon upgrade
within $limit 7 'are stopped' "$hif" daemon stop
crowd_at "$XDG_RUNTIME_DIR"/hif/*.sock
says="process $supervisor. (is|are) stopped"
within $limit 7 "$says" "$hif" status
within $limit 7 "$says" "$hif" daemon status
within $limit 7 "$says" "$hif" land 'too early'
within $((limit + 2000)) 8 "$says" "$hif" doctor
kill $crowd
echo "  slowest: $slowest ms"
step 'and their sockets are gone'
slowest=0
mv "$XDG_RUNTIME_DIR/hif" "$work/hidden"
within $limit 7 "supervisor .process $supervisor. is stopped, and its sockets are gone" "$hif" status
within $limit 8 "process $supervisor holds .* and is stopped" "$hif" doctor
within $limit 0 Detached "$hif" unmount --force .
cd /
! grep -q " $work/app " /proc/mounts || fail 'still mounted'
kill -CONT "$server" "$supervisor"
echo "  slowest: $slowest ms"
answers() { hif daemon status >/dev/null 2>&1; }
wait_for 'they make no other sockets' answers
hif mount "--$front" acme/app "$work/app" >/dev/null
expect "$(hif -C "$work/app" status | grep kept)" 'A kept'

step 'a supervisor that is stopped: its server is all that matters'
slowest=0
cd "$work/app"
supervisor=$(supervisor_pid)
kill -STOP "$supervisor"
within $limit 0 'A kept' "$hif" status
within $limit 0 "supervisor .process $supervisor. is stopped" "$hif" daemon status
within $limit 8 "supervisor .process $supervisor. is stopped" "$hif" doctor
within $limit 7 "supervisor .process $supervisor. is stopped" "$hif" daemon restart
cd /
within $limit 0 'Detached|Unmounted' "$hif" unmount --force "$work/app"
kill -CONT "$supervisor"
hif mount "--$front" acme/app "$work/app" >/dev/null
echo "  slowest: $slowest ms"

step 'a server that hangs, and is not stopped'
slowest=0
cd "$work/app"
server=$(daemon_pid)
coproc "${HOLD_STILL:?set HOLD_STILL to tests/restart/hold_still}" "$server"
holder=$COPROC_PID
read -r -u "${COPROC[0]}" held && expect "$held" held
says="server .process $server. hangs"
within $limit 7 "$says" "$hif" status
within $limit 7 "$says" "$hif" mount
within $limit 7 "$says" "$hif" daemon status
within $limit 0 '^file' "$hif" ls # the project is known from the session's own records
within $((limit + 2000)) 8 "$says" "$hif" doctor
within $((limit + 6000)) 7 "server .process $server. hangs" "$hif" land 'too early'
within $((limit + 6000)) 7 "server .process $server. hangs" "$hif" mount acme/app "$work/app"
kill "$holder"
wait "$holder" || true
expect "$(hif status | grep kept)" 'A kept'
echo "  slowest: $slowest ms"

step 'one that hangs, and has so many that wait for it that no more are let in'
slowest=0
server=$(daemon_pid)
coproc "$HOLD_STILL" "$server"
holder=$COPROC_PID
read -r -u "${COPROC[0]}" held && expect "$held" held
crowd_at "$XDG_RUNTIME_DIR/hif/control.sock"
within $limit 0 Detached "$hif" unmount --force .
cd /
! grep -q " $work/app " /proc/mounts || fail 'still mounted'
kill $crowd "$holder"
wait "$holder" || true
hif mount "--$front" acme/app "$work/app" >/dev/null
cd "$work/app"
expect "$(hif status | grep kept)" 'A kept'
echo "  slowest: $slowest ms"

step 'a server that is stopped, and has no supervisor'
slowest=0
supervisor=$(supervisor_pid)
kill -KILL "$supervisor"
while is_running "$supervisor"; do sleep 0.01; done # as long as it only dies, nobody would start another
kill -STOP "$server"
within $limit 7 "server .process $server. is stopped" "$hif" status
within $limit 7 "server .process $server. is stopped" "$hif" daemon status
within $limit 7 "server .process $server. is stopped" "$hif" mount
within $limit 8 "server .process $server. is stopped" "$hif" doctor
# A supervisor that has come in vain leaves the server its socket.
[ "$front" = nfs ] || until grep -q 'lost its supervisor is stopped; .kill -CONT' "$HOME/.local/state/hif/daemon.log"; do sleep 0.1; done
kill -CONT "$server"
expect "$(hif status | grep kept)" 'A kept'
cd /
hif unmount "$work/app" >/dev/null
echo "  slowest: $slowest ms"

# A FUSE file system of which not even the first word is answered.
if [ "$front" = fuse ]; then
	step "a directory on somebody else's file system, which hangs"
	slowest=0
	mkdir "$work/nas"
	ln -s nas/below "$work/to-nas"
	(exec 8<>/dev/fuse && mount -i -t fuse -o fd=8,rootmode=40000,user_id=0,group_id=0 nas "$work/nas" && exec sleep 600) &
	nas=$!
	until grep -q " $work/nas fuse " /proc/mounts; do sleep 0.1; done
	says="mounted at '$work/nas' .fuse. hangs.*name a directory elsewhere"
	within $limit 7 "'$work/nas/app' does not answer: .*$says" "$hif" mount acme/app "$work/nas/app"
	within $limit 7 "'$work/nas/below' does not answer: .*$says" "$hif" mount acme/app "$work/to-nas/app"
	within $limit 7 "'$work/nas' does not answer: .*$says" "$hif" mount acme/app "$work/nas"
	within $limit 6 'not in a mounted workspace' "$hif" -C "$work/nas/app" status
	[ $slowest -ge 2000 ] || fail 'one that may only be slow is given two seconds'
	kill $nas && nas=
	umount "$work/nas"
	echo "  slowest: $slowest ms"

	step 'one that only takes its time, which is no server, is waited for, and that is said'
	said=$(strace -f -qq -o /dev/null -P "$work/late" -e inject=mkdir:delay_enter=3s \
		"$hif" mount "--$front" acme/app "$work/late" 2>&1)
	expect_match "$said" "'$work/late' does not answer yet; it is waited for, and Ctrl-C ends that.*acme/app"
	hif unmount "$work/late" >/dev/null
fi

step 'a state directory that can not be written'
slowest=0
hif daemon stop >/dev/null
mkdir "$work/small"
mount -t tmpfs -o size=1m none "$work/small"
mount -o remount,ro "$work/small"
XDG_STATE_HOME=$work/small within $limit 1 "'$work/small/hif' could not be made: .*[Rr]ead-only" "$hif" mount acme/app "$work/app"
XDG_STATE_HOME=$work/small within $limit 0 'nothing is mounted' "$hif" mount
XDG_STATE_HOME=$work/small within $limit 7 'no daemon is running' "$hif" daemon status
mount -o remount,rw "$work/small"
head -c 2000000 /dev/zero 2>/dev/null >"$work/small/full" || true
XDG_STATE_HOME=$work/small within $limit 1 'space' "$hif" mount acme/app "$work/app"
XDG_STATE_HOME=$work/small within $((limit + 2000)) 8 'MiB' "$hif" doctor
XDG_STATE_HOME=$work/small hif daemon stop >/dev/null 2>&1 || true
umount "$work/small"
echo "  slowest: $slowest ms"

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
expect_match "$(found server error)" "process $server. is stopped"
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
