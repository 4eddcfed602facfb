#!/bin/bash
# Mounts that come and go by other hands than ours: at the same time, by umount(8), with a daemon that
# is killed. None is said to be there that is not, and what it was mounted with stays.
. "$(dirname "$0")/../lib.sh"

at=$work/app

step 'set up'
mkdir "$work/tree"
echo one >"$work/tree/one"
hif project create acme/app
hif import acme/app "$work/tree" -m import

step 'commands find a workspace open or not at all'
hif mount "--$front" acme/app "$at"
pid=$(daemon_pid)
for i in 1 2 3 4 5 6; do
	hif unmount "$at"
	for j in 1 2 3; do { hif -C "$at" status || hif mount; } >/dev/null 2>&1 & done
	hif mount "--$front" acme/app "$at" >/dev/null
	wait $(jobs -p)
done
expect "$(daemon_pid)" "$pid"
expect "$(cat "$at/one")" one

step 'a workspace is found through symbolic links, and in directories whose names are no text'
ln -s app "$work/link"
ln -s "$work/link/" "$work/link2"
odd=$(printf 'n\377')
mkdir "$at/$odd"
echo odd >"$at/$odd/file"
expect "$(cd "$at/$odd" && changes)" 'A n\xff/file'
expect "$(changes "$work/link2/$odd")" "$(changes "$at")"
# git reads what diff says of such names.
lines=new$'\n'line
mkdir "$at/$lines" && echo 1 >"$at/$lines/a \"b\""
git init -q "$work/applied"
(cd "$at" && hif diff) | git -C "$work/applied" apply
diff -r "$at/$odd" "$work/applied/$odd" && diff -r "$at/$lines" "$work/applied/$lines"
rm -r "$at/$lines"
echo edit >"$at/other"
expect "$(cd "$at" && hif diff --json "$odd" | jq .files) $(cd "$at" && hif diff --json | jq .files)" '1 2'
rm -r "$at/$odd" "$at/other"
fails_with 1 'is no UTF-8' hif mount "--$front" acme/app "$work/$odd" --session odd
test ! -e "$work/$odd"
(cd "$at" && fails_with 2 'which mount' hif unmount --force '')
fails_with 2 'name is empty' hif mount acme/app ''
fails_with 2 'is asked with --path' hif log acme/app:one

step 'a mount that moved with a directory above it is not called unmounted'
mkdir "$work/above"
hif mount "--$front" acme/app "$work/above/at" --session moves >/dev/null
mv "$work/above" "$work/below"
fails_with 1 "is inside the mount at '$work/below/at'" hif session export moves "$work/below/at/out"
fails_with 1 "is at '$work/below/at' now, because a directory was renamed" hif unmount "$work/above/at"
expect "$(cat "$work/below/at/one")" one
step 'it is found where it is, and works there'
expect_match "$(hif mount)" "acme/app at $work/below/at, session moves"
echo moved >"$work/below/at/moved"
expect_match "$(cd "$work/below/at" && hif status 2>&1)" "was at '$work/above/at'.*A moved"
expect "$(cd "$work/below/at" && changes 2>&1)" 'A moved'
(cd "$work/below/at" && hif land 'from elsewhere' >/dev/null)
expect_match "$(cd / && hif -C "$work/below/at" ls)" moved
# Also by the next server, and by one that was not there when it moved.
kill -9 "$(daemon_pid)"
expect "$(cat "$work/below/at/moved")" moved
mv "$work/below" "$work/above"
kill -9 "$(daemon_pid)"
expect "$(cat "$work/above/at/moved")" moved
expect_match "$(changes "$work/above/at" 2>&1)" 'no changes'
mv "$work/above" "$work/below"
fails_with 1 "is at '$work/below/at'" hif unmount "$work/above/at"
# And where nobody serves it.
supervisor=$(supervisor_pid) server=$(daemon_pid)
kill -STOP "$supervisor" "$server"
fails_with 7 "session 'moves' of acme/app, base @[0-9]*, at '$work/below/at'" hif -C "$work/below/at" status
kill -CONT "$supervisor" "$server"
fails_with 1 "is mounted at '$work/below/at' already" hif mount "--$front" acme/app "$work/above2" --session moves
hif unmount "$work/below/at" >/dev/null
hif mount "--$front" acme/app "$work/below/at" --session moves >/dev/null
hif unmount "$work/below/at" >/dev/null
hif unmount "$work/link2" >/dev/null
hif mount "--$front" acme/app "$at" >/dev/null

step 'what someone else has unmounted is not said to be mounted'
expect "$(hif mount --json | jq '.[0].mounted')" true
umount "$at"
unmounted() { [ "$(hif mount --json | jq '.[0].mounted')" = false ]; }
wait_for 'it is said to be mounted' unmounted
expect_match "$(hif mount)" 'but not mounted there now'
hif mount "--$front" acme/app "$at" >/dev/null

step 'a program that has a file open when its mount is taken away gets errors, and syncing the machine goes on'
(
	exec 7>"$at/held"
	echo first >&7
	: >"$work/ready"
	until [ -e "$work/forced" ]; do sleep 0.1; done
	echo second >&7 || true
	exec 7>&-
	: >"$work/over"
) 2>/dev/null &
until [ -e "$work/ready" ]; do sleep 0.1; done
hif unmount --force "$at" >/dev/null
until [ "$(hif mount --json | jq length)" = 0 ]; do sleep 0.1; done
pid=$(daemon_pid)
kill -9 "$pid" # the next server knows of it, too
until [ "$(daemon_pid)" != "$pid" ]; do sleep 0.1; done
: >"$work/forced"
# The kernel connects again after some seconds only, and then after more.
wait_for 'the program hangs' test -e "$work/over"
sync
hif mount "--$front" acme/app "$at" >/dev/null
rm "$at/held"

step 'what an error quotes may be cut within a character'
long=$(printf 'ä%.0s' $(seq 600))
for pad in '' x; do
	fails_with 6 'is not in a mounted workspace|äää' hif -C "/$pad$long" status
done

step 'what umount(8) took away is mounted again when it is asked for'
echo edit >"$at/two"
umount "$at"
hif mount "--$front" acme/app "$at" >/dev/null
expect "$(cat "$at/two")" edit
umount "$at"
hif mount "--$front" acme/app "$work/elsewhere" >/dev/null
expect "$(cat "$work/elsewhere/two")" edit
expect "$(hif -C "$work/elsewhere" status)" 'A two'
hif unmount "$work/elsewhere"

step 'a mount point that went with it keeps no session from being unmounted or landed'
hif mount "--$front" acme/app "$at" >/dev/null
umount "$at"
rmdir "$at"
hif -C "$at" land two
hif unmount "$at"

step 'also when no daemon saw it'
hif mount "--$front" acme/app "$at" --allow-other >/dev/null
echo edit >"$at/three"
kill_daemon
umount -l "$at"
hif -C "$at" status >/dev/null
expect "$(cat "$at/three")" edit

step 'a mount that comes back serves whom it served'
chmod 755 "$work"
expect "$(setpriv --reuid 65534 --regid 65534 --clear-groups cat "$at/one")" one
hif unmount "$at"

step 'a session belongs to the store in which it was begun, wherever that lies'
store=$HOME/.local/share/hif/store
hif --store "$work/other" project create acme/app
hif --store "$work/other" import acme/app "$work/tree" -m other
fails_with 1 'was begun in the store .*/store.*choose a new name' \
	hif --store "$work/other" mount "--$front" acme/app "$at"
mv "$store" "$work/moved"
hif --store "$work/moved" mount "--$front" acme/app "$at"
expect "$(cat "$at/three")" edit
kill -9 "$(daemon_pid)"
hif -C "$at" land three
hif unmount "$at"

step 'a session that stands elsewhere is not shown as the position that was asked for'
fails_with 1 "stands at @4 already" hif --store "$work/moved" mount "--$front" acme/app "$at" --at @1 --read-only

step 'a session of an older version, whose machine stopped while it was mounted'
hif daemon stop >/dev/null
export HOME=$work/ada # old/: its home directory, from before content went into the log
mkdir "$HOME"
tar -C "$HOME" -xf "$here/old/session-2026-11.tar.gz"
hif mount "--$front" acme/app "$at"
expect "$(changes "$at")" "$(printf '%s\n' 'M base' 'A big' 'A d/e/' 'D gone' 'A hard' 'A link' 'A new' 'A n\xffme' 'M src/large' 'R moved -> src/moved-here')"
expect_match "$(hif -C "$at" session show)" 'an old goal.*a thought of then'
expect "$(cat "$at/base")" 'base
more'
expect "$(md5sum <"$at/src/large")" "$({ seq 400 | head -c 700; printf x; seq 400 | tail -c +702; } | md5sum)"
expect "$(md5sum <"$at/big")" "$(head -c 60000 /dev/zero | tr '\0' z | md5sum)"
expect "$(TZ=UTC stat -c '%h %a %s %y' "$at/new" "$at/hard" | uniq)" '2 644 4 2020-02-03 04:05:06.789000000 +0000'
expect "$(readlink "$at/link") $(stat -c %a "$at/base") $(cat "$at/src/moved-here")" 'new 755 m'
echo now >"$at/now"
hif -C "$at" land 'what was begun then' >/dev/null
expect "$(hif cat acme/app:now)" now
hif unmount "$at"
