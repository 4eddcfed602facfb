#!/bin/bash
# A session is an object: its goal, what was said and decided, and what it did, here and in the store.
. "$(dirname "$0")/../lib.sh"

show() { hif session show --json "$@"; }

step 'start: a mount of its own, named after its goal'
make_tree "$work/tree"
hif project create acme/app
hif import acme/app "$work/tree" -m 'first import'
fails_with 2 'what for' hif session start
fails_with 2 'where' hif session start goal acme/app
hif session start 'Fix: the parser!' acme/app "$work/one" | tee "$work/said"
expect_match "$(cat "$work/said")" 'Session fix-the-parser '
hif session start 'Fix the parser' acme/app "$work/two" >/dev/null
expect "$(hif session list --json | jq -r '.[].session' | sort | tr '\n' ' ')" 'fix-the-parser fix-the-parser-2 '

step 'note and decide'
cd "$work/one"
echo more >>README
mv src/deep moved
hif session note 'why is it so?'
printf 'first line\nsecond line\n' | hif session note --role agent -
hif session decide 'the old format stays'
fails_with 2 'empty' hif session note ''
fails_with 2 'a role is' hif session note --role '' text
fails_with 2 'over 1048576 bytes' hif session note - < <(head -c 1100000 /dev/zero)
fails_with 6 'not in a mounted workspace' hif -C / session note text
expect "$(show | jq -r '.goal')" 'Fix: the parser!'
expect "$(show | jq -c '.messages')" '[{"role":"user","text":"why is it so?"},{"role":"agent","text":"first line\nsecond line"}]'
expect "$(show | jq -r '.decisions[].text')" 'the old format stays'
expect_match "$(hif session show)" 'renamed src/deep -> moved'
expect "$(hif session status --json | jq -r .goal)" 'Fix: the parser!'

step 'they survive the death of the daemon'
for i in $(seq 200); do hif session note "note $i" >/dev/null; done
kill -9 "$(daemon_pid)"
hif -C "$work/two" status >/dev/null
cd "$work/one"
expect "$(show | jq '.messages | length')" 202
expect "$(show | jq -r '.messages[201].text')" 'note 200'

step 'they land with the session, whose goal is the default'
id=$(show | jq -r .id)
hif session start 'Fix the parser, at last' >/dev/null
hif land
expect "$(hif log -n 1 --json | jq -r '.[0].goal')" 'Fix the parser, at last'
expect "$(show @2 | jq -r '.id, .state, .position')" "$id
landed
2"
expect "$(show @2 | jq '.messages | length')" 202
expect "$(show @2 | jq -r '.decisions[0].text')" 'the old format stays'
expect "$(show "${id:0:6}" | jq -r .id)" "$id"
expect "$(show acme/app @2.1 | jq -r .id)" "$id"
fails_with 6 'no position @9' hif session show @9
fails_with 6 'no session landed' hif session show @0
fails_with 6 "there is no session 'nothing'" hif session show nothing

step 'the next session begins without them'
expect "$(show | jq -c '[.goal, .messages, .decisions, .operations]')" '["",[],[],[]]'
echo again >>README
fails_with 2 'what for' hif land
hif land 'say it here'
expect "$(show @3 | jq -r .goal)" 'say it here'

step 'one that is not mounted is shown, too'
cd /
hif -C "$work/two" session note 'later'
hif unmount "$work/two"
expect "$(show fix-the-parser-2 | jq -r '.messages[0].text')" later
