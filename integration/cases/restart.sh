#!/bin/bash
# The server dies with the mount in use, hangs, loses its supervisor, is replaced by another version: programs wait
# for a moment, and nothing is lost. KILL_LOAD, BAD_SERVER: programs of tests/restart.
# HIF_KILLS, HIF_UPGRADES, HIF_SEED: how often, and which run.
. "$(dirname "$0")/../lib.sh"

state_of() { hif daemon status --json | jq -r .state; } # also when it ends with a 7
becomes() { # becomes STATE
	local i
	for i in $(seq 600); do
		[ "$(state_of)" != "$1" ] || return 0
		sleep 0.2
	done
	fail "it is $(state_of), not $1"
}

step 'set up'
make_tree "$work/tree"
hif project create acme/app
hif import acme/app "$work/tree" -m import
hif mount "--$front" acme/app "$work/app"
cd "$work/app"
mkdir build
for i in $(seq 1 40); do echo "int f$i(void) { return $i; }" >build/f$i.c; done

step 'a build goes on through kill -9'
(
	cd build
	for i in $(seq 1 40); do cc -c f$i.c -o f$i.o || exit 1; done
	echo done >"$work/built"
) &
builder=$!
for round in 1 2 3; do
	sleep 0.5
	kill -9 "$(daemon_pid)"
done
wait $builder || fail 'the build failed'
expect "$(cat "$work/built")" done
expect "$(ls build/*.o | wc -l)" 40
for i in 1 20 40; do nm build/f$i.o | grep -q " f$i$" || fail "f$i.o is damaged"; done

step 'a shell that stands in a directory, and open files, through land and restart'
mkdir -p here/below && cd here/below
echo kept >open && exec 8<>open
mv ../../src/deep ../../renamed
inode=$(stat -c %i .)
(cd / && hif -C "$work/app" land 'while in use')
expect "$(cat open)" kept
expect "$(stat -c %i .)" "$inode"
pwd -P >/dev/null && ls >/dev/null
kill -9 "$(daemon_pid)"
expect "$(stat -c %i .)" "$inode"
expect "$(cat <&8)" kept
echo after >>open && expect "$(cat open)" 'kept
after'
exec 8>&-
cd "$work/app/renamed/er" && expect "$(cat leaf)" x
cd "$work/app"
expect "$(hif status)" 'M here/below/open'

step 'killed at random points of a mixed load'
mkdir load
"${KILL_LOAD:?}" --kills "${HIF_KILLS:-8}" --seed "${HIF_SEED:-1}" load || fail 'something was lost'

step 'another version takes over, under load'
other=$work/hif
sed 's/0\.1\.0/0.1.9/g' "$hif" >"$other" && chmod +x "$other" # a version that differs in its name
expect "$(hif daemon upgrade --json "$other" | jq -r '.version + " " + .from')" '0.1.9 0.1.0'
expect "$(hif daemon status --json | jq -r '.version + " " + .supervisor.version')" '0.1.9 0.1.9'
mkdir load/up
"$KILL_LOAD" --kills "${HIF_UPGRADES:-3}" --upgrade "$hif" --upgrade "$other" load/up || fail 'something was lost'
hif daemon upgrade >/dev/null
expect "$(hif daemon status --json | jq -r '.version + " " + .supervisor.version')" '0.1.0 0.1.0'

step 'one that is no good does not'
pid=$(daemon_pid)
for bad in exits refuses silent; do
	cp "${BAD_SERVER:?}" "$work/$bad"
	fails_with 1 "'$work/$bad' did not take over: .*; version 0.1.0 goes on" hif daemon upgrade "$work/$bad"
	expect "$(daemon_pid)" "$pid"
done
fails_with 1 'it is Sunday' hif daemon upgrade "$work/refuses"
for bad in dies hangs; do
	cp "$BAD_SERVER" "$work/$bad"
	fails_with 1 "'$work/$bad' did not take over: .*; version 0.1.0 goes on" hif daemon upgrade "$work/$bad"
	expect "$(cat README)" hello
done
fails_with 6 "'$work/none' is no program" hif daemon upgrade "$work/none"
fails_with 1 "'$work' is no program" hif daemon upgrade "$work"
becomes running

step 'a server that hangs is told, and replaced'
pid=$(daemon_pid)
kill -STOP "$pid"
becomes hung
fails_with 7 "process $pid. is stopped; .*.hif daemon restart." hif -C "$work/app" status
fails_with 7 'hung' hif daemon status
expect "$(hif daemon restart)" 'Another server runs'
[ ! -e "/proc/$pid" ] || fail 'it is still there'
expect "$(cat README)" hello
expect "$(hif daemon restart)" 'Another server runs'
expect "$(cat README)" hello

step 'the log is never too large, and both processes follow'
log=$(hif daemon status --json | jq -r .log)
head -c 9000000 /dev/zero | tr '\0' '\n' >>"$log"
hif daemon restart >/dev/null
[ "$(stat -c %s "$log.1")" -ge 9000000 ] || fail 'no older log'
expect_match "$(hif daemon status)" "log: $log"
expect_match "$(cat "$log")" 'daemon: version .*, process '"$(daemon_pid)"
within=$((SECONDS + 60)) # the supervisor looks every 5 s, or when it has something to say
until [ "$(readlink "/proc/$(daemon_pid)/fd/2" "/proc/$(supervisor_pid)/fd/2" | sort -u)" = "$log" ]; do
	[ $SECONDS -lt $within ] || fail 'one of them writes elsewhere'
	sleep 0.1
done
expect "$(cat README)" hello

step 'the supervisor is killed: the server serves on, and gets another'
pid=$(daemon_pid)
kill -9 "$(supervisor_pid)"
becomes orphan
expect "$(cat README)" hello
echo more >more
hif -C "$work/app" status >/dev/null
becomes running
expect "$(daemon_pid)" "$pid"
kill -9 "$pid"
expect "$(cat more)" more
[ "$(daemon_pid)" != "$pid" ] || fail 'it is the same'

step 'sockets that are removed are made anew'
rm -r "$XDG_RUNTIME_DIR/hif"
expect_match "$(hif -C "$work/app" status)" 'more'
[ -S "$XDG_RUNTIME_DIR/hif/supervisor.sock" ] || fail 'no socket'

step 'a server that crashes again and again is started more slowly'
said=
for round in 1 2 3 4 5 6; do
	becomes running
	kill -SEGV "$(daemon_pid)"
	said=$(hif daemon status 2>&1) || true
	[[ ! $said =~ 'dies again and again' ]] || break
done
expect_match "$said" 'dies again and again: .*; the next one starts in .*daemon.log'
becomes running
expect "$(cat README)" hello
cd /
hif daemon stop
expect "$(grep -c " $work/" /proc/mounts || true)" 0

step 'a server that hangs does not keep the daemon from being stopped'
hif mount "--$front" acme/app "$work/app"
kill -STOP "$(daemon_pid)"
becomes hung
expect_match "$(hif daemon stop)" 'was killed; its mounts are still there'
fails_with 7 'no daemon is running' hif daemon status
hif -C "$work/app" status >/dev/null
hif unmount "$work/app"
