#!/bin/bash
# What goes wrong, and what is said about it: wrong names and places, damaged and missing objects, full
# disks, daemons that are killed, raced or hidden. Nothing is lost, nothing hangs, and each message names
# the thing, the reason and what to do next.
. "$(dirname "$0")/../lib.sh"

# The objects that are damaged below are found in the store by their size: only landings are there.
mkdir -p "$HOME/.config/hif" && printf '[session]\npublish = manual\n' >"$HOME/.config/hif/config"

objects=$HOME/.local/share/hif/store/projects/acme/app
state=$HOME/.local/state/hif
at=$work/app

# A call that hangs is ended, and with that fails.
soon() {
	local command=$1
	shift
	[ "$command" != hif ] || command=$hif
	timeout -k 2 60 "$command" "$@"
}

mount_app() { soon hif mount "--$front" acme/app "$at" "$@" >/dev/null; }

step 'set up'
make_tree "$work/tree"
head -c 300000 /dev/urandom >"$work/tree/mid.bin"
mkdir "$work/tree/wide"
(cd "$work/tree/wide" && seq 1 800 | xargs touch)
hif project create acme/app
hif import acme/app "$work/tree" -m import

step 'a project, a position, a session that does not exist'
fails_with 6 'no project acme/none .*hif project create acme/none' hif mount "--$front" acme/none "$work/new"
[ ! -e "$work/new" ] || fail 'a mount that failed left its directory'
fails_with 6 'no project acme/none' hif import acme/none "$work/tree"
fails_with 6 'no project acme/none' hif log acme/none
fails_with 1 'acme/app exists already' hif project create acme/app
fails_with 6 'acme/app has no position @7 yet; its head is @1' mount_app --at @7
fails_with 2 '"7x" is no position: .* as in @12' mount_app --at 7x
fails_with 6 "acme/app has no open session 'nope', here or in the store; .hif session list -a" hif session abandon acme/app nope

step 'names'
for name in acme/../app ../app acme/app/x acme /app acme/ .acme/app "acme/a b"; do
	fails_with 2 'is not a project name: write ORG/NAME' hif mount "--$front" "$name" "$work/new"
	fails_with 2 'is not a project name: write ORG/NAME' hif project create "$name"
done
for name in .. a/b '' -x; do
	fails_with 2 'cannot name a session; use 1 to 64' mount_app "--session=$name"
done
fails_with 2 'cannot name a session' hif session abandon acme/app ../app
for path in ../x src/../../x ..; do
	fails_with 2 'is no path inside a project' hif cat "acme/app:$path"
done
[ ! -e "$work/new" ] || fail 'something was made'

step 'stores'
: >"$work/file"
fails_with 6 'no store at .*/nowhere; check the path' hif --store "$work/nowhere" project list
fails_with 6 'is no store; check the path' hif --store "$work/tree" project list
fails_with 1 'is not a directory; name the directory' hif --store "$work/file" project create a/b
fails_with 1 'there are no credentials for S3.*Set AWS_ACCESS_KEY_ID' hif --store s3://bucket project list
mkdir "$work/ro"
mount -t tmpfs -o ro none "$work/ro"
fails_with 1 'cannot write in the store directory .*: read-only file system; check' \
	hif --store "$work/ro" project create a/b
umount "$work/ro"
(cd "$work" && hif --store relative project create a/b && hif --store relative mount "--$front" a/b there) >/dev/null
hif unmount "$work/there" >/dev/null

step 'mount points'
mkdir "$work/full" && echo kept >"$work/full/file"
fails_with 1 'is not empty, .*name an empty directory' hif mount "--$front" acme/app "$work/full"
fails_with 1 'cannot be mounted on: Not a directory; name' hif mount "--$front" acme/app "$work/file"
fails_with 1 'above it does not exist; make it' hif mount "--$front" acme/app "$work/no/such"
mount_app
fails_with 1 'is inside the mount at .*; choose a directory outside' \
	hif mount "--$front" acme/app "$at/src" --session two
fails_with 1 'is inside the mount' hif mount "--$front" acme/app "$at/src/new" --session two
[ ! -e "$at/src/new" ] || fail 'made in the mount'
fails_with 1 "session 'default' .* is mounted at .* already; use it there, or" \
	hif mount "--$front" acme/app "$work/other"
fails_with 1 'is mounted at .* already; .hif unmount. it' mount_app --session two
expect_match "$(hif mount "--$front" acme/app "$at")" 'as it was already'
fails_with 1 'is no mount but inside one, at .*; name that' hif unmount "$at/src"
fails_with 6 'is not in a mounted workspace; .hif mount. shows' hif unmount "$work/full"
fails_with 6 'is not in a mounted workspace' hif -C "$work" status
fails_with 6 'is not in a mounted workspace' hif -C "$work" land x

step 'nothing to land, and conflicts'
fails_with 5 "nothing to land: '$at' holds no changes against @1" hif -C "$at" land x
expect "$(hif -C "$at" land --json x | jq -r .error.code)" ENOTHING
hif mount "--$front" acme/app "$work/other" --session other >/dev/null
echo mine >>"$at/src/f1.c"
rm "$at/src/f2.c"
echo free >"$at/src/free"
echo theirs >>"$work/other/src/f1.c"
echo theirs >>"$work/other/src/f2.c"
hif -C "$work/other" land 'was first' >/dev/null
for option in '' --dry-run; do
	fails_with 3 'Not landed: 2 path' hif -C "$at" land $option second
	said=$(hif -C "$at" land $option second || true)
	expect_match "$said" 'src/f1.c: you changed it, @2 changed it \(Test <test@example.org>: was first\)'
	expect_match "$said" 'src/f2.c: you removed it, @2 changed it'
done
fails_with 3 '"theirs": "changed"' hif -C "$at" land --json second
expect "$(hif -C "$at" land --json second | jq -r '.conflicts | length')" 2
expect "$(hif -C "$at" status)" 'M src/f1.c
D src/f2.c
A src/free'
cp "$work/other/src/f1.c" "$work/other/src/f2.c" "$at/src/"
hif -C "$at" land 'agreed' >/dev/null
expect "$(hif cat acme/app:src/free)" free
hif unmount "$work/other" >/dev/null
cp "$at"/src/f[12].c "$at/src/free" "$work/tree/src/"

step 'a mount that is in use'
echo edit >"$at/edit"
(cd "$at/src" && exec sleep 600) &
sleeper=$!
until [ "$(readlink /proc/$sleeper/cwd)" = "$at/src" ]; do sleep 0.1; done
fails_with 1 'could not be unmounted: .*lsof .*--force' hif unmount "$at"
expect "$(cat "$at/edit")" edit
hif unmount --force "$at" >/dev/null
[ ! -e "$at/edit" ] || fail 'still mounted'
kill $sleeper
wait $sleeper 2>/dev/null || true
mount_app
expect "$(cat "$at/edit")" edit

step 'a session is given up, and taken back'
fails_with 1 'is mounted; .hif unmount. it first' hif session abandon acme/app default
hif unmount "$at" >/dev/null
moved=$(hif session abandon --json acme/app default | jq -r .moved_to)
mount_app
expect "$(hif -C "$at" status)" 'no changes against @3'
hif unmount "$at" >/dev/null
hif session abandon acme/app default >/dev/null
mv "$moved" "$state/workspaces/acme/app/default"
mount_app
expect "$(hif -C "$at" status)" 'A edit'
rm "$at/edit"

daemons() { # daemons hif|hif-server: this case's supervisors, or their servers
	local pid
	for pid in $(pgrep -x "$1"); do
		tr '\0' '\n' 2>/dev/null <"/proc/$pid/environ" | grep -qx "HOME=$HOME" || continue
		! tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline" | grep -q '^hif daemon' || echo "$pid"
	done
}

all_answer() { # COUNT: so many commands at once, and one daemon
	local i jobs=()
	for i in $(seq "$1"); do
		soon hif -C "$at" status >"$work/said.$i" 2>&1 &
		jobs+=($!)
	done
	for i in $(seq "$1"); do
		wait "${jobs[i - 1]}" || fail "status $i: $(cat "$work/said.$i")"
	done
	for i in $(seq 600); do
		[ "$(daemons hif | wc -l)" != 1 ] || return 0
		sleep 0.1
	done
	fail "daemons: $(daemons hif)"
}

step 'daemons: a second one, a killed one, many at once, an ended one'
fails_with 1 'a daemon is running already; .hif daemon status.* .hif daemon stop' hif daemon run
kill_daemon
[ -S "$XDG_RUNTIME_DIR/hif/control.sock" ] || fail 'no stale socket'
all_answer 20
expect "$(cat "$at/README")" hello
kill -TERM "$(daemon_pid)"
expect "$(soon hif -C "$at" status)" 'no changes against @3'
expect "$(cat "$at/README")" hello
for _ in 1 2 3; do
	hif daemon stop >/dev/null
	mount_app
done
rm "$XDG_RUNTIME_DIR/hif/control.sock"
: >"$XDG_RUNTIME_DIR/hif/control.sock"
kill -9 $(daemons hif) $(daemons hif-server)
expect "$(soon hif -C "$at" status)" 'no changes against @3'

step 'environments'
pid=$(daemon_pid)
expect "$(env -u XDG_RUNTIME_DIR "$hif" daemon status --json | jq .pid)" "$pid"
hif daemon stop >/dev/null
export XDG_RUNTIME_DIR=/proc/none
mount_app
expect "$(hif -C "$at" status)" 'no changes against @3'
export XDG_RUNTIME_DIR=$work/run
expect "$(hif -C "$at" status)" 'no changes against @3'
hif daemon stop >/dev/null
fails_with 6 "/proc/none/hif' could not be made" env XDG_STATE_HOME=/proc/none "$hif" mount acme/app "$at"
fails_with 6 'cannot make the directory /proc/none.*; set HOME' env HOME=/proc/none "$hif" project create a/b
expect "$(env -u HOME XDG_DATA_HOME="$HOME/.local/share" XDG_CONFIG_HOME="$work" "$hif" project list)" acme/app
(mkdir "$work/gone" && cd "$work/gone" && rmdir "$work/gone" && hif project list) >/dev/null

# --- objects ---

damage() { # damage FILE HOW OFFSET
	cp -p "$1" "$work/saved"
	chmod u+w "$1"
	case $2 in
	flip) printf '%b' "\\x$(printf %02x $((0x$(xxd -s "$3" -l 1 -p "$1") ^ 4)))" |
		dd of="$1" bs=1 seek="$3" conv=notrunc status=none ;;
	cut) truncate -s "$3" "$1" ;;
	gone) rm "$1" ;;
	esac
}

restore() {
	rm -f "$1"
	cp -p "$work/saved" "$1"
}

# Everything below an object's name, in a fresh daemon: what cannot be read is an error in that place.
with_damage() { # with_damage KIND FILE OFFSET PATHS: a regex of what may fail, and of which one must
	local how pid all='diff -r --no-dereference'
	for how in flip cut gone; do
		damage "$2" $how "$3"
		mount_app
		pid=$(daemon_pid)
		soon $all "$work/tree" "$at" >"$work/out" 2>"$work/err" || true
		! grep -Eq 'differ|^Only in' "$work/out" || fail "wrong bytes or names ($1 $how): $(head "$work/out")"
		grep -Eq "$4: Input/output error" "$work/err" || fail "no error ($1 $how): $(cat "$work/err")"
		! grep -Evq "$4: Input/output error" "$work/err" || fail "more errors ($1 $how): $(cat "$work/err")"
		expect "$(soon hif -C "$at" status)" 'no changes against @3'
		[ "$1" = node ] || { echo "$how" >"$at/written" && rm "$at/written"; } || fail 'not written'
		restore "$2"
		soon $all "$work/tree" "$at" || fail "not healed ($1 $how)"
		expect "$(daemon_pid)" "$pid"
		hif unmount "$at" >/dev/null
		hif daemon stop >/dev/null
	done
}

object() { # object FOLDER HASH
	echo "$objects/$1/${2:0:2}/$2$3"
}

step 'a damaged blob, chunk list, chunk, pack, node'
blob=$(hif ls --json acme/app mid.bin | jq -r '.[0].hash')
list=$(hif ls --json acme/app big.bin | jq -r '.[0].hash')
root=$(hif log --json acme/app -n 1 | jq -r '.[0].tree')
with_damage blob "$(object blobs "$blob" '')" 1000 'mid\.bin'
grep -q "blob $blob could not be read from the store: the data are corrupt" "$state/daemon.log" ||
	fail 'nothing in the log'
with_damage 'chunk list' "$(object blobs "$list" '')" 50 'big\.bin'
chunk=$(find "$objects/blobs" -type f -size +400k ! -name "$blob" | head -n 1)
with_damage chunk "$chunk" 1000 'big\.bin'
pack=$(find "$objects/packs" -type f -size +2k | head -n 1)
with_damage pack "$pack" 20 '(README|bin/tool|src/.*|deep/.*|\.c|leaf)'
node=$(find "$objects/trees" -type f ! -name "$root.bin" -printf '%s %p\n' | sort -rn | head -n 1 | cut -d' ' -f2)
with_damage node "$node" 1000 "$at(/wide|/src|/bin|/empty)?(/.*)?"

step 'a damaged slot, head, format'
slot=$objects/landing-log/000000000003
for how in flip cut; do
	damage "$slot" $how 100
	mount_app
	expect "$(cat "$at/README")" hello
	echo "$how" >"$at/made"
	said='the record of @3 in .* cannot be read: the data are corrupt; put it back'
	fails_with 1 "$said" soon hif -C "$at" land x
	fails_with 1 "$said" hif log acme/app
	fails_with 1 "$said" hif mount "--$front" acme/app "$work/other" --session "new-$how"
	restore "$slot"
	rm "$at/made"
	hif unmount "$at" >/dev/null
done
damage "$slot" gone 0
mount_app
echo more >"$at/made"
fails_with 1 'has no @3, which was seen there' soon hif -C "$at" land x
restore "$slot"
rm "$at/made"
hif unmount "$at" >/dev/null
for how in flip cut gone; do
	damage "$objects/head" $how 20
	mount_app
	echo "$how" >"$at/made"
	hif -C "$at" land "with a head that is damaged: $how" >/dev/null
	expect "$(hif cat acme/app:made)" "$how"
	hif unmount "$at" >/dev/null
done
damage "$objects/format" flip 20
fails_with 1 'cannot use .*format .*corrupt; put it back' mount_app
restore "$objects/format"
damage "$objects/format" cut 20
fails_with 1 'cannot use .*format .*corrupt; put it back' mount_app
restore "$objects/format"

step 'a store that goes away, and comes back'
mount_app
echo local >"$at/src/local"
store=$HOME/.local/share/hif/store
mv "$store" "$store.away"
fails_with 1 'Input/output error|timed out' timeout 30 cat "$at/mid.bin"
expect "$(cat "$at/src/local")" local
fails_with 7 'unreachable|does not answer' soon hif -C "$at" land x
fails_with 6 'there is no store at' hif log acme/app
expect "$(hif -C "$at" status 2>/dev/null)" 'A src/local'
[ ! -e "$store" ] || fail 'something was written where the store was'
mv "$store.away" "$store"
cmp "$work/tree/mid.bin" "$at/mid.bin"
hif -C "$at" land 'it is back' >/dev/null
mv "$store" "$store.away"
kill -9 "$(daemon_pid)"
fails_with 6 'could not be brought back: there is no store at' soon hif -C "$at" status
mv "$store.away" "$store"
expect "$(timeout 60 cat "$at/README")" hello # by itself: who waits there asks nobody
expect_match "$(hif -C "$at" status)" 'no changes'
hif unmount "$at" >/dev/null
hif daemon stop >/dev/null

# --- disks ---

step 'a full disk under the sessions'
mkdir "$work/small"
mount -t tmpfs -o size=100m none "$work/small"
export XDG_STATE_HOME=$work/small
mount_app --session full
echo before >"$at/before"
! dd if=/dev/urandom of="$at/huge" bs=1M count=60 conv=fsync status=none 2>"$work/err" || fail 'it fits'
expect_match "$(cat "$work/err")" 'No space left on device'
expect "$(cat "$at/before" "$at/README")" 'before
hello'
expect_match "$(hif -C "$at" status)" 'A before'
rm "$at/huge"
echo after >"$at/after"
expect "$(hif -C "$at" status)" 'A after
A before'
# The kernel's NFS client tells of lost writes once more, to who syncs next: that is hif.
[ "$front" = fuse ] ||
	fails_with 1 'did not arrive: no space left on the disk; nothing was landed' hif -C "$at" land x
hif -C "$at" land 'with room again' >/dev/null
expect "$(hif cat acme/app:after)" after
hif unmount "$at" >/dev/null
hif daemon stop >/dev/null
umount "$work/small"
unset XDG_STATE_HOME

step 'a full disk under the store'
mount -t tmpfs -o size=20m none "$work/small"
export HIF_STORE=$work/small/store
hif project create acme/small >/dev/null
hif mount "--$front" acme/small "$at" >/dev/null
cd "$at"
head -c 25000000 /dev/urandom >huge
echo kept >small
sum=$(sha1sum huge)
for _ in 1 2; do
	fails_with 1 'cannot write .*: no space left on the disk; free some space' soon hif land 'too much'
	expect "$(hif status)" 'A huge
A small'
done
expect "$(sha1sum huge)" "$sum"
mount -o remount,size=60m "$work/small"
hif land 'it fits now' >/dev/null
expect "$(hif cat acme/small:huge | sha1sum)" "${sum/huge/-}"
cd /
hif unmount "$at" >/dev/null
hif daemon stop >/dev/null
umount "$work/small"
