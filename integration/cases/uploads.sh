#!/bin/bash
# Uploads ahead: what has settled is stored while the session is open, and what has left it again is
# published nowhere.
. "$(dirname "$0")/../lib.sh"

objects() { (cd "$store" && find packs blobs -type f 2>/dev/null | sort); }
uploads() { hif -C "$work/one" status --json | jq -r ".uploads.$1"; }
holds() { grep -rqF "$1" "$store/packs"; } # short contents lie in their frames as they are

all_stored() {
	for _ in $(seq 600); do
		[ "$(uploads files_left)" != 0 ] || return 0
		sleep 0.2
	done
	fail "not stored: $(hif -C "$work/one" status --json | jq -c .uploads)"
}

step 'set up'
store=$HOME/.local/share/hif/store/projects/acme/app
mkdir -p "$HOME/.config/hif" "$work/tree"
printf '[uploads]\nahead = on\nafter = 1\n' >"$HOME/.config/hif/config"
printf '*.log\n' >"$work/tree/.gitignore"
printf 'base\n' >"$work/tree/base"
hif project create acme/app
hif import acme/app "$work/tree" -m import
hif mount "--$front" acme/app "$work/one" --session one
cd "$work/one"

step 'what has settled is stored, but not what is ignored'
for i in $(seq 100); do echo "file $i" >"f$i"; done
echo 'the-secret-word' >secret
echo 'the-ignored-word' >noise.log
mkdir build && echo 'the-built-word' >build/out && echo build/ >.hifignore
head -c 9000000 /dev/urandom >big
sync "$work/one"
all_stored
expect "$(uploads state)" resting
expect "$(uploads files_stored)" 103
expect_match "$(hif status)" 'uploaded: all that landing needs'
expect_match "$(hif session status)" 'uploaded: all that landing needs'
holds the-secret-word || fail 'the secret was not stored: what follows would prove nothing'
! holds the-ignored-word || fail 'an ignored file was stored'
! holds the-built-word || fail 'a file in an ignored directory was stored'

step 'a landing right after that stores no content'
cp secret "$work/secret" && rm secret && cp "$work/secret" secret # as editors do
sync "$work/one" && all_stored
before=$(objects)
hif land 'all of it'
expect "$(objects)" "$before"
expect "$(cat f42)" 'file 42'
expect "$(uploads files_stored)" 0

step 'a secret that was saved for a while is not published'
echo 'the-second-word' >password
echo kept >kept
sync "$work/one" && all_stored
holds the-second-word || fail 'not stored'
rm password
hif land 'without it'
! holds the-second-word || fail 'what was removed before landing is in the store'
expect "$(cat kept)" kept
expect "$(hif cat "acme/app:kept")" kept

step 'the daemon is killed: what was stored is found again'
for i in $(seq 50); do echo "later $i" >"l$i"; done
head -c 5000000 /dev/urandom >large
sync "$work/one" && all_stored
before=$(objects)
cd /
kill -9 "$(daemon_pid)"
hif -C "$work/one" status >/dev/null
all_stored
expect "$(objects)" "$before"
cd "$work/one"
hif land 'after a restart'
expect "$(objects)" "$before"
expect "$(hif cat 'acme/app:l7')" 'later 7'

step 'without its store it waits, says so once, and goes on by itself'
mv "$HOME/.local/share/hif/store" "$work/away"
echo 'more to do' >more
sync "$work/one"
waits() { [ "$(uploads state)" = waiting ]; }
wait_for 'it does not wait' waits
expect_match "$(hif status)" 'uploads wait: '
expect "$(cat more)" 'more to do'
mv "$work/away" "$HOME/.local/share/hif/store"
all_stored
expect "$(grep -c 'cannot be stored yet' "$HOME/.local/state/hif/daemon.log")" 1
hif land 'more'

step 'a session in which nothing changes for a while is published'
published() { hif session list -a --json | jq -r '[.[] | select(.published != null)] | length'; }
expect "$(published)" 0
echo 'to be seen' >seen
sync "$work/one" && all_stored
is_published() { [ "$(published)" = 1 ]; }
wait_for 'it is not published' is_published
revision() { hif session list -a --json | jq 'map(.revision // 0) | max'; }
before=$(revision) # once is enough
sleep 17
expect "$(revision)" "$before"
hif land 'seen'
expect "$(hif cat 'acme/app:seen')" 'to be seen'

step 'it can be turned off'
cd /
hif daemon stop
printf '[uploads]\nahead = off\n' >"$HOME/.config/hif/config"
hif mount "--$front" acme/app "$work/one" --session one 2>/dev/null || hif -C "$work/one" status >/dev/null
expect "$(uploads on)" false
