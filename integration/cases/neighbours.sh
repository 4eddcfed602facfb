#!/bin/bash
# Others on this machine: another user, a browser, someone who guesses handles. Nothing is served to them. Root's NFS
# mounts have a network namespace of their own, in which nobody can even connect; it comes back after every kind of death.
. "$(dirname "$0")/../lib.sh"

neighbour=$(realpath "${NEIGHBOUR:?}") peer_test=$(realpath "${PEER_TEST:?}")
nobody=65534
netns=$HOME/.local/state/hif/netns

at=$work/app
port_of() { sed -n "s|^127.0.0.1:[^ ]* $at nfs .*[,=]port=\([0-9]*\),.*|\1|p" /proc/mounts; }
export_of() { sed -n "s|^127.0.0.1:\([^ ]*\) $at nfs .*|\1|p" /proc/mounts; }
# Nobody listens there, as far as one can see from here.
closed() { # closed PORT
	expect "$("$neighbour" "$1" 0 null)" refused
	expect "$("$neighbour" "$1" $nobody null)" refused
	! grep -qi ":$(printf %04X "$1") 00000000:0000 0A" /proc/net/tcp || fail "port $1 is listened on"
}

step 'set up'
make_tree "$work/tree"
hif project create acme/app
hif import acme/app "$work/tree" -m import

if [ "$front" = nfs ]; then
	step 'a network namespace of its own'
	expect_match "$(hif mount --nfs acme/app "$at")" 'in a network namespace of its own'
	expect "$(hif mount --json | jq -r '.[0].front_end')" nfs
	[ "$(stat -f -c %t "$netns")" = 6e736673 ] || fail "$netns is no namespace"
	port=$(port_of)
	closed "$port"
	expect "$(cat "$at/README")" hello
	echo new >"$at/new"
	said=$(hif doctor --json) || true
	expect_match "$(jq -r '.findings[] | select(.name == "nfs-server") | .severity + ": " + .text' <<<"$said")" \
		"^ok: the server of '$at' answers NULL, MNT and GETATTR on port $port\$"

	step 'through the deaths of server and supervisor'
	kill -9 "$(daemon_pid)"
	expect "$(timeout 60 cat "$at/new")" new
	closed "$port"
	supervisor=$(hif daemon status --json | jq -r '.supervisor.pid // .supervisor')
	server=$(daemon_pid)
	kill -9 "$supervisor" "$server"
	expect_match "$(hif -C "$at" status)" 'A new'
	expect "$(timeout 60 cat "$at/README")" hello
	closed "$port"
	hif daemon stop --suspend >/dev/null
	expect_match "$(hif -C "$at" status)" 'A new'
	expect "$(timeout 60 cat "$at/README")" hello
	expect "$(port_of)" "$port"
	closed "$port"

	step 'it goes with the last mount'
	hif mount --nfs acme/app "$work/two" --session two >/dev/null
	hif unmount "$at" >/dev/null
	[ -e "$netns" ] || fail 'gone too early'
	expect "$(cat "$work/two/README")" hello
	hif unmount "$work/two" >/dev/null
	[ ! -e "$netns" ] || fail 'it is left'

	step 'without one'
	expect_match "$(hif mount --nfs --no-netns acme/app "$at")" 'but not in a network namespace of its own, because'
	expect "$(cat "$at/new")" new
	port=$(port_of)

	step 'whose socket is it, under this kernel'
	"$peer_test" >"$work/out" 2>&1 || fail "$(cat "$work/out")"

	step 'another user is closed before anything is read'
	for what in null post get tls zeros half; do
		expect "$what: $("$neighbour" "$port" $nobody $what)" "$what: bytes 0"
	done
	for what in "mnt $(export_of)" dump export 'forged 1'; do
		expect "$what: $("$neighbour" "$port" $nobody $what)" "$what: status -1"
	done

	step 'bytes that are no calls are closed without an answer'
	("$neighbour" "$port" 0 half >"$work/half") & # closed when it has been silent for too long
	half=$!
	for what in post get tls huge zeros; do
		expect "$what: $("$neighbour" "$port" 0 $what)" "$what: bytes 0"
	done

	step 'calls that know nothing'
	expect "$("$neighbour" "$port" 0 mnt "$(export_of)")" 'status 0'
	for path in / /s- "$(export_of)x" "$(export_of | tr 0-9 1-90)" "$(export_of | head -c 20)" '' "$(head -c 900 /dev/zero | tr '\0' x)"; do
		expect "$("$neighbour" "$port" 0 mnt "$path")" 'status 13'
	done
	expect "$("$neighbour" "$port" 0 dump)" 'status 0'   # lists of nothing
	expect "$("$neighbour" "$port" 0 export)" 'status 0'
	expect "$("$neighbour" "$port" 0 forged 2000)" 'status 10001'

	step 'a flood of connections'
	for uid in 0 $nobody; do
		"$neighbour" "$port" $uid flood 300 >"$work/flood" &
		flood=$!
		until grep -qs flood "$work/flood"; do sleep 0.1; done
		expect "$(timeout 60 cat "$at/bin/tool" | head -n 1)" '#!/bin/sh'
		echo more >"$at/more.$uid"
		wait $flood
	done
	expect "$(changes "$at")" "A more.0
A more.$nobody
A new"
	wait $half
	expect "$(cat "$work/half")" 'bytes 0'
else
	step 'a server that is not root is in a sandbox, too, and mounts'
	chmod 711 "$work"
	cp "$hif" "$work/hif"
	mkdir "$work/user" && chown 1000:1000 "$work/user"
	cat >"$work/user.sh" <<-'USER'
		set -eux
		cd "$1"
		export HOME=$PWD XDG_RUNTIME_DIR=$PWD/run
		hif=$2
		mkdir run tree
		echo hello >tree/file
		"$hif" project create a/b
		"$hif" import a/b tree
		"$hif" mount --fuse a/b m
		[ "$(cat m/file)" = hello ]
		"$hif" daemon status | grep 'sandboxed: .* 0 capabilities are left'
		pid=$("$hif" daemon status --json | jq .pid)
		grep -P 'NoNewPrivs:\t1' "/proc/$pid/status"
		echo new >m/new
		kill -9 "$pid"
		[ "$(cat m/new)" = new ]
		(cd m && exec sleep 600) &
		until [ "$(readlink /proc/$!/cwd)" = "$PWD/m" ]; do sleep 0.1; done
		! "$hif" unmount m
		kill $!
		wait || true
		"$hif" unmount m
		[ ! -e m/new ]
		"$hif" mount --fuse a/b m
		"$hif" unmount --force m

		# The supervisor is killed: the server goes on, and the next command that mounts or unmounts has another one.
		"$hif" mount --fuse a/b m
		status() { "$hif" daemon status --json | jq "$1"; }
		server=$(status .pid) supervisor=$(status .supervisor_pid)
		kill -9 "$supervisor"
		echo kept >m/kept
		"$hif" mount --fuse --session two a/b two
		[ "$(status .pid)" = "$server" ]
		[ "$(status .supervisor_pid)" != "$supervisor" ]
		"$hif" unmount two

		# Both are killed: the next command brings all back.
		kill -9 "$(status .supervisor_pid)" "$(status .pid)"
		! cat m/kept
		"$hif" -C "$PWD/m" status | grep '^A kept'
		[ "$(cat m/kept)" = kept ]
		echo more >m/more
		kill -9 "$(status .pid)"
		[ "$(cat m/more)" = more ]
		"$hif" daemon restart
		[ "$(cat m/kept)" = kept ]
		"$hif" -C "$PWD/m" land 'what was kept'
		# Who ends the daemon needs a supervisor, too: the mount goes with it.
		kill -9 "$(status .supervisor_pid)"
		"$hif" daemon stop
		! grep " $PWD/" /proc/mounts
	USER
	# Its /dev/fuse may be used by anyone, as on any machine of its own.
	unshare -m bash -c 'mknod -m 666 "$1/fuse" c 10 229 && mount --bind "$1/fuse" /dev/fuse &&
		exec setpriv --reuid=1000 --regid=1000 --clear-groups bash "$1/user.sh" "$1/user" "$1/hif"' _ "$work" \
		>"$work/out" 2>&1 || fail "$(tail -n 30 "$work/out")"
	hif mount --fuse acme/app "$at" >/dev/null
fi

step 'another user in the mount'
expect "$(stat -c %a "$XDG_RUNTIME_DIR/hif" "$XDG_RUNTIME_DIR/hif/control.sock" | tr '\n' ' ')" '700 600 '
chmod 755 "$work" "$HOME"
! setpriv --reuid=$nobody --regid=$nobody --clear-groups cat "$at/README" 2>"$work/err" || fail 'it was read'
expect_match "$(cat "$work/err")" 'Permission denied'

step 'the server has given up what it does not need'
expect_match "$(hif daemon status)" 'sandboxed: [0-9]+ system calls are allowed, [0-9]+ capabilities are left'
expect "$(hif daemon status --json | jq .sandbox.filtered)" true
status_of() { awk -v field="$1:" '$1 == field { print $2 }' "/proc/$(daemon_pid)/status"; }
expect "$(status_of NoNewPrivs)" 1
expect "$(status_of Seccomp)" 2
kept='^00000000000(0|8)000e$' # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER; with sanitizers CAP_SYS_PTRACE
for set in CapEff CapPrm CapBnd; do
	expect_match "$(status_of $set)" "$kept"
done
for set in CapInh CapAmb; do
	expect "$set $((16#$(status_of $set)))" "$set 0"
done
# The spare, which takes over when this one dies, has given up the same.
spare_status() { awk -v field="$1:" '$1 == field { print $2 }' "/proc/$(hif daemon status --json | jq .supervisor.spare_pid)/status"; }
spare_is_made() { [ "$(spare_status Seccomp)" = 2 ]; }
wait_for 'there is no spare in a sandbox' spare_is_made
expect_match "$(spare_status CapEff)" "$kept"

step 'the control socket'
socket=$XDG_RUNTIME_DIR/hif/control.sock
pid=$(daemon_pid)
expect_match "$("$neighbour" "$socket" 0 ping)" '^bytes [1-9]'
for what in words huge; do
	expect "$what: $("$neighbour" "$socket" 0 $what)" "$what: bytes 0"
done
# Even where its permissions were lost, what a second user sends is closed unread.
chmod 777 "$XDG_RUNTIME_DIR" "$XDG_RUNTIME_DIR/hif" "$socket"
for what in ping words huge; do
	expect "$what: $("$neighbour" "$socket" $nobody $what)" "$what: bytes 0"
done
chmod 700 "$XDG_RUNTIME_DIR" "$XDG_RUNTIME_DIR/hif"
chmod 600 "$socket"
expect "$(daemon_pid)" "$pid"
expect "$(cat "$at/README")" hello
