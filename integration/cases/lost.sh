#!/bin/bash
# Commands, supervisor and server have lost sight of each other: the lock file does not say where the sockets are, or they
# are gone. What can find the way back does; else a command says in time what to do.
. "$(dirname "$0")/../lib.sh"

state=$HOME/.local/state/hif
patience=40 # s
soon=15     # s: on a busy machine; alone it is one or two

# within SECONDS CODE REGEX COMMAND...
within() {
	local begun=$SECONDS limit=$1
	shift
	fails_with "$@"
	[ $((SECONDS - begun)) -le "$limit" ] || fail "$((SECONDS - begun)) s for: ${*:3}"
}

step 'set up'
mkdir "$work/tree"
echo hello >"$work/tree/README"
hif project create acme/app
hif import acme/app "$work/tree" -m import

step 'the sockets are in the state directory, and nobody could write that down'
export XDG_RUNTIME_DIR=/proc/none
hif mount "--$front" acme/app "$work/app"
: >"$state/daemon.lock"
within $soon 0 'acme/app' hif mount
within $soon 0 'Another server runs' hif daemon restart
expect "$(cat "$work/app/README")" hello
within $soon 0 stopped hif daemon stop
export XDG_RUNTIME_DIR=$work/run

step 'it is written down as soon as that can be done'
hif mount "--$front" acme/app "$work/app"
expect "$(cat "$state/daemon.lock")" "$work/run/hif/control.sock"
within $soon 0 'acme/app' env -u XDG_RUNTIME_DIR "$hif" mount

step 'a server without a supervisor is found where it is, whatever the last supervisor wrote'
for wrote in '' "$state/run/control.sock" /nowhere/control.sock; do
	server=$(daemon_pid)
	kill -KILL "$(supervisor_pid)"
	printf %s "$wrote" >"$state/daemon.lock"
	echo "$wrote" >"$work/app/wrote"
	within $soon 0 'Another server runs' hif daemon restart
	[ "$(daemon_pid)" != "$server" ] || fail 'it is the same'
	expect "$(cat "$work/app/wrote")" "$wrote"
	expect "$(cat "$state/daemon.lock")" "$work/run/hif/control.sock"
done

step 'one that no command can reach any more is told, with what to do'
server=$(daemon_pid)
kill -KILL "$(supervisor_pid)"
rm "$XDG_RUNTIME_DIR"/hif/*.sock
says="daemon is there, and answers on no socket.* .kill -KILL ([0-9]* )?$server. ends it"
within $soon 7 "$says" hif daemon status
within $soon 7 "$says" hif daemon restart
within $soon 8 "process $server holds .*server.lock., and answers on no socket" hif doctor
within $patience 7 "$says" hif mount acme/app "$work/other" --session other

step 'also when it is stopped'
kill -STOP "$server"
until flock -n "$state/daemon.lock" true; do sleep 0.1; done # the last one that was started in vain
within $soon 8 "process $server holds .*server.lock., and is stopped" hif doctor
within $soon 7 "server .process $server. .* is stopped; .kill -KILL $server." hif mount acme/app "$work/other" --session other

step 'that helps'
kill -KILL "$server"
within 20 0 'acme/app' hif mount "--$front" acme/app "$work/other" --session other
expect "$(cat "$work/app/wrote" "$work/other/README")" "/nowhere/control.sock
hello"
hif doctor >/dev/null
