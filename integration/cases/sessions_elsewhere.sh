#!/bin/bash
# A session is put down on one machine and gone on with on another: two homes over one store.
. "$(dirname "$0")/../lib.sh"

export HIF_STORE=${HIF_STORE:-file://$work/store}
project=acme/app$$

on() { # on MACHINE [DIR] -- ARGUMENT...: hif, as somebody on another machine
	local machine=$1 at=/
	shift
	[ "$1" = -- ] || { at=$1; shift; }
	shift
	(cd "$at" && HOME=$work/$machine XDG_RUNTIME_DIR=$work/$machine/run HIF_AUTHOR="$machine <$machine@example.org>" "$hif" "$@")
}

changes() { on "$1" "$2" -- status | { grep -v '^uploaded:' || true; }; } # without how far uploads are

at_end() {
	on ann -- daemon stop >/dev/null 2>&1
	on bob -- daemon stop >/dev/null 2>&1
}

mkdir -p "$work/ann/run" "$work/bob/run"
ann=$work/mnt-ann bob=$work/mnt-bob

step 'ann works, and puts the session down'
make_tree "$work/tree"
mkdir "$work/tree/gone" "$work/tree/src/deep/old" && echo g >"$work/tree/gone/a" && echo o >"$work/tree/src/deep/old/b"
on ann -- project create "$project"
on ann -- import "$project" "$work/tree" -m 'first import'
on ann -- session start 'Fix the parser' "$project" "$ann"
cd "$ann"
echo more >>README
mkdir -p made/dir && echo new >made/new.c && : >made/empty
head -c 9000000 /dev/urandom >made/big
touch -d '2020-01-02 03:04:05' made/new.c
mv src/deep moved && mv moved/er/leaf taken && echo below >moved/er/below && rm moved/old/b
rm -r gone src/f1.c
mv src/f2.c src/renamed.c
chmod +x src/f3.c
ln -s made src/new-link && mv src/link src/old-link
mkdir -p ignored && echo '*.o' >.gitignore && echo junk >made/junk.o
cd /
on ann "$ann" -- session note 'why is it so?'
on ann "$ann" -- session note --role agent 'because'
on ann "$ann" -- session decide 'the old format stays'
changes ann "$ann" >"$work/status"
on ann "$ann" -- diff >"$work/diff"
on ann "$ann" -- session show --json | jq -c '[.id, .goal, .messages, .decisions, .operations, .base]' >"$work/show"
cp -a "$ann" "$work/copy" && rm "$work/copy/made/junk.o"
id=$(on ann "$ann" -- session show --json | jq -r .id)

step 'others see it, but it is in use'
fails_with 6 'no open session' on bob -- session claim "$project" nothing "$bob"
on ann "$ann" -- session publish
expect "$(on bob -- session list -a --json "$project" | jq -r '.[0] | .id, .goal, .held, .author, .state, .here')" "$id
Fix the parser
true
ann <ann@example.org>
open
false"
expect "$(on bob -- session show "$project" "${id:0:8}" --json | jq -r '.decisions[0].text')" 'the old format stays'
fails_with 1 'in use by ann <ann@example.org> on .*--force' on bob -- session claim "$project" "$id" "$bob"
on ann -- unmount "$ann"
expect "$(on bob -- session list -a --json "$project" | jq -r '.[0].held')" false

step 'bob goes on with it: all is as it was'
on bob -- session claim "$project" "${id:0:8}" "$bob"
expect "$(on bob "$bob" -- session show --json | jq -c '[.id, .goal, .messages, .decisions, .operations, .base]')" "$(cat "$work/show")"
changes bob "$bob" | diff "$work/status" - || fail 'the status differs'
on bob "$bob" -- diff | diff "$work/diff" - || fail 'the diff differs'
same_tree "$work/copy" "$bob"
fails_with 1 'is on this machine already' on bob -- session claim "$project" "$id"

step 'a daemon that dies loses nothing of it'
kill -9 "$(on bob -- daemon status --json | jq .pid)"
changes bob "$bob" | diff "$work/status" - || fail 'the status differs'
echo bob >"$bob/by-bob"
on bob "$bob" -- session note 'bob was here'

step 'ann mounts it again: told, and nothing of hers is lost'
on ann -- mount "$project" "$ann" --session fix-the-parser 2>"$work/told"
expect_match "$(cat "$work/told")" 'was taken over by bob <bob@example.org>'
[ "$(on ann "$ann" -- session show --json | jq -r .id)" != "$id" ] || fail 'the id is still hers'
[ -e "$ann/made/junk.o" ] && rm "$ann/made/junk.o"
same_tree "$work/copy" "$ann"

step 'bob lands it once, and its record goes'
on bob "$bob" -- land
expect "$(on bob -- log "$project" -n 1 --json | jq -r '.[0] | .session, .goal, .author')" "$id
Fix the parser
bob <bob@example.org>"
expect "$(on ann -- session list -a --json "$project" | jq "map(select(.directory == null and .id == \"$id\")) | length")" 0
expect "$(on ann -- session show "$project" @2 --json | jq -r '.messages | length')" 3
cp -a "$work/copy" "$work/landed" && cp -p "$bob/by-bob" "$work/landed/"
on bob -- unmount "$bob"
rm -rf "$bob"
on bob -- mount "$project" "$bob" --session fresh
same_tree "$work/landed" "$bob"
fails_with 6 'no open session' on bob -- session claim "$project" "$id"

step 'what ann has beside it lands beside it'
echo ann >"$ann/by-ann"
on ann "$ann" -- land 'my part'
expect "$(on ann -- log "$project" -n 0 --json | jq '[.[] | select(.kind != "void")] | length')" 4
expect "$(on ann -- cat "$project:by-ann")$(on ann -- cat "$project:by-bob")" annbob

step 'both hold it at once: it lands once, and what is only here stays'
on ann "$ann" -- session start 'together'
echo one >"$ann/one" && echo both >"$ann/both"
on ann "$ann" -- session publish
id=$(on ann "$ann" -- session show --json | jq -r .id)
on bob -- unmount "$bob"
on bob -- session claim --force --session together "$project" "$id" "$bob"
echo two >"$bob/two"
on bob "$bob" -- land
echo three >"$ann/three" && echo changed >"$ann/one"
expect_match "$(on ann "$ann" -- land)" 'An earlier'
expect "$(changes ann "$ann")" 'M one
A three'
expect "$(cat "$ann/two" "$ann/both")" 'two
both'
[ "$(on ann "$ann" -- session show --json | jq -r .id)" != "$id" ] || fail 'the id was closed'
on ann "$ann" -- land 'the rest'
expect "$(on bob -- cat "$project:one")" changed

step 'one that is taken over while it is mounted goes on under a new id when it lands'
echo x >"$ann/x"
on ann "$ann" -- session publish
id=$(on ann "$ann" -- session show --json | jq -r .id)
on bob -- session claim --force "$project" "$id" --session over
fails_with 1 'was taken over by bob .*nothing was landed' on ann "$ann" -- land 'mine'
expect "$(changes ann "$ann")" 'A x'
on ann "$ann" -- land 'mine, too'

step 'a claim that died after the record was moved is finished by the next'
echo y >"$ann/y"
on ann -- unmount "$ann"
id=$(on bob -- session list -a --json "$project" | jq -r 'map(select(.directory == null and .here == false))[0].id')
on bob -- session claim "$project" "$id" --session died
mkdir -p "$work/bob/.local/state/hif/claims"
mv "$work/bob/.local/state/hif/workspaces/$project/died" "$work/bob/.local/state/hif/claims/$id"
on bob -- session claim "$project" "$id" --session lives
on bob -- unmount "$bob"
on bob -- mount "$project" "$bob" --session lives
expect "$(changes bob "$bob")" 'A y'

step 'given up here, it is marked there; and can be taken up again elsewhere'
on bob -- unmount "$bob"
on bob -- session abandon "$project" lives
expect "$(on ann -- session list -a --json "$project" | jq -r "map(select(.directory == null and .id == \"$id\"))[0].state")" abandoned
on ann -- session claim "$project" "$id" "$ann" --session again --force
expect "$(changes ann "$ann")" 'A y'
on ann "$ann" -- land 'after all'

step 'names that were moved about in every way are the same elsewhere'
mkdir -p "$work/names" && cd "$work/names"
mkdir -p d/x p/q/r dir many && echo A >A && echo B >B && echo 1 >d/1 && echo 2 >d/x/2 && echo 3 >p/q/3 && echo 4 >p/q/r/4
echo 5 >to-dir && echo 6 >dir/6 && echo 7 >over && echo 8 >from && for i in $(seq 12); do echo "$i" >"many/$i"; done
on ann -- project create acme/names$$
on ann -- import acme/names$$ "$work/names" -m names
on ann -- unmount "$ann" && rm -rf "$ann"
on ann -- session start names acme/names$$ "$ann"
cd "$ann"
mv A t && mv B A && mv t B
mv d n && mv n/x p/q/x2 && mv p/q/r r && mv p p2 && mv p2/q/3 n/three
rm to-dir && mkdir to-dir && echo in >to-dir/in && rm -r dir && echo file >dir
mv from over && mv over overs && echo again >over
mv many m2 && mv m2/1 m2/one && rm m2/2 && echo changed >m2/3 && mv m2 m3 && mkdir m3/sub && mv m3/4 m3/sub/4 && chmod +x m3/5
ln m3/6 hard && mkdir -p k/l && mv m3/7 k/l/7 && mv k k2 && ln -s nowhere dangling && mkfifo fifo
cd /
changes ann "$ann" >"$work/status"
on ann "$ann" -- diff >"$work/diff"
rm -rf "$work/copy" && cp -a "$ann" "$work/copy" && rm "$work/copy/fifo"
on ann -- unmount "$ann"
on bob -- session claim acme/names$$ names "$bob"
changes bob "$bob" | diff "$work/status" - || fail 'the status differs'
on bob "$bob" -- diff | diff "$work/diff" - || fail 'the diff differs'
same_tree "$work/copy" "$bob"
on bob "$bob" -- land
expect "$(changes bob "$bob")" 'no changes against @2'
same_tree "$work/copy" "$bob"
on ann -- mount acme/names$$ "$ann" --session other
same_tree "$work/copy" "$ann"

step 'killed while it publishes, at any time: nothing is lost, and the next one goes through'
on ann "$ann" -- session start kills
rounds='1 2 3 4 5 6'
[ "$front" != nfs ] || rounds='2 5' # commands are slow in a guest, and what dies is the same
for round in $rounds; do
	on ann "$ann" -- status >/dev/null
	for i in $(seq 20); do head -c 20000 /dev/urandom >"$ann/kill$round.$i"; done
	on ann "$ann" -- session note "round $round"
	pid=$(on ann -- daemon status --json | jq .pid)
	on ann "$ann" -- session publish >/dev/null 2>&1 &
	sleep "0.0$((round * 12))"
	kill -9 "$pid"
	wait $! || true
done
on ann "$ann" -- session publish
id=$(on ann "$ann" -- session show --json | jq -r .id)
rm -rf "$work/copy" && cp -a "$ann" "$work/copy"
on ann -- unmount "$ann"

step 'killed while it claims, at any time: one session, once'
on bob -- unmount "$bob"
for round in $rounds; do
	(HOME=$work/bob XDG_RUNTIME_DIR=$work/bob/run timeout -s KILL "0.0$((round * 9))" "$hif" session claim acme/names$$ "$id" --session kills) >/dev/null 2>&1 || true
done
won=0
[ ! -d "$work/bob/.local/state/hif/workspaces/acme/names$$/kills" ] || won=1
pids=()
for n in 1 2 3; do # at once, beside the last one, which may not be quite dead
	on bob -- session claim acme/names$$ "$id" --session kills >"$work/claimed.$n" 2>&1 &
	pids+=($!)
done
for n in 1 2 3; do
	status=0
	wait "${pids[n - 1]}" || status=$?
	case $status in
	0) won=$((won + 1)) ;;
	*) expect_match "$(cat "$work/claimed.$n")" "has a session 'kills' here|is on this machine already" ;;
	esac
done
expect "$won" 1
[ -z "$(ls "$work/bob/.local/state/hif/claims")" ] || fail 'a claim is left behind'
expect "$(on bob -- session list --json acme/names$$ | jq "map(select(.id == \"$id\")) | length")" 1
on bob -- mount acme/names$$ "$bob" --session kills
same_tree "$work/copy" "$bob"
expect "$(on bob "$bob" -- session show --json | jq '.messages | length')" "$(wc -w <<<"$rounds")"
on bob "$bob" -- land
expect "$(on bob -- log acme/names$$ -n 1 --json | jq -r '.[0].session')" "$id"
on ann -- mount acme/names$$ "$ann" --session after
same_tree "$work/copy" "$ann"

step 'without a store the work goes on, and says that others do not see it'
if [[ $HIF_STORE = file://* ]]; then
	mv "$work/store" "$work/store-away"
	echo z >"$ann/z"
	on ann "$ann" -- session decide 'offline' 2>"$work/told"
	expect_match "$(cat "$work/told")" 'others do not see it'
	mv "$work/store-away" "$work/store"
	expect "$(on ann "$ann" -- session show --json | jq -r '.decisions[0].text')" offline
fi
