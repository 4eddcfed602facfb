#!/bin/bash
# A store that is far away: what it is asked for, counted by a proxy that adds 20 ms to each request;
# and what happens while it does not answer. Run with s3; S3FAULT: the proxy (tests/s3/s3fault.c).
. "$(dirname "$0")/../lib.sh"

say() { exec 7<>"/dev/tcp/127.0.0.1/$control"; echo "$*" >&7; head -n 1 <&7; exec 7>&-; }
count() { say stats | jq ".$1"; }
rule() { say "$@" | cut -d' ' -f2; } # its number
stored() {
	for _ in $(seq 200); do
		[ "$(hif -C "$work/one" status --json | jq .uploads.files_left)" != 0 ] || return 0
		sleep 0.2
	done
	fail "not stored: $(hif -C "$work/one" status --json | jq -c .uploads)"
}

at_most() { # at_most WHAT NUMBER
	local is
	is=$(count "$1")
	echo "    $1: $is"
	[ "$is" -le "$2" ] || fail "$1: $is, and not at most $2: $(say stats)"
}

fresh() { # nothing is cached any more, and nothing was counted
	hif daemon stop >/dev/null 2>&1 || true
	rm -rf "$HOME/.cache/hif"
	hif mount "--$front" acme/app "$work/one" >/dev/null
	say reset >/dev/null
}

# What commands make of a store that takes connections and says nothing. They have all of the case's
# time for it, in a home of their own.
silent=$work/silent
ask_silent() { # ask_silent NAME COMMAND...
	local name=$1 status=0 start=$SECONDS
	shift
	HOME=$silent XDG_RUNTIME_DIR=$silent/run AWS_ENDPOINT_URL=http://127.0.0.1:$silent_port \
		timeout -s KILL 100 "$hif" "$@" >"$silent/$name.said" 2>&1 || status=$?
	echo "$status $((SECONDS - start))" >"$silent/$name.ended"
}
# The same on a terminal: NAME.said is what that shows, NAME.out what went to a file.
ask_silent_on_terminal() { # ask_silent_on_terminal NAME COMMAND...
	local name=$1
	shift
	HOME=$silent XDG_RUNTIME_DIR=$silent/run AWS_ENDPOINT_URL=http://127.0.0.1:$silent_port TERM=xterm \
		script -qefc "timeout -s KILL 100 '$hif' $* >'$silent/$name.out'" "$silent/$name.said" \
		</dev/null >/dev/null 2>&1 || true
}
silent_commands() {
	ask_silent_on_terminal log-shown log acme/app &
	ask_silent_on_terminal json-shown log --json acme/app &
	ask_silent_on_terminal mount-shown mount acme/app "$silent/shown" --session shown &
	ask_silent log log acme/app &
	ask_silent ls ls acme/app &
	ask_silent cat cat acme/app:file &
	ask_silent fsck fsck acme/app &
	ask_silent maintain maintain acme/app &
	ask_silent import import acme/app "$silent/tree" -m import &
	ask_silent projects project list &
	ask_silent create project create acme/app &
	ask_silent probe store probe &
	ask_silent mount mount acme/app "$silent/at" &
	ask_silent claim session claim acme/app 00112233445566778899aabbccddeeff "$silent/other" &
	ask_silent doctor doctor &
	wait
	HOME=$silent XDG_RUNTIME_DIR=$silent/run hif daemon stop >/dev/null 2>&1 || true
}

step 'set up'
mkdir -p "$silent/run" "$silent/tree"
"${S3FAULT:?set S3FAULT to the proxy}" 0 "${S3_ENDPOINT#http://}" 0 >"$silent/proxy" &
silent_proxy=$!
until grep -q listen "$silent/proxy"; do sleep 0.1; done
read -r _ silent_port _ control <"$silent/proxy"
rule add '*' '*' 0 -1 hang >/dev/null
silent_commands &
silent_pid=$!
mkdir -p "$HOME/.config/hif"
printf '[uploads]\nafter = 1\n' >"$HOME/.config/hif/config"
"$S3FAULT" 0 "${S3_ENDPOINT#http://}" 0 >"$work/proxy" &
proxy=$!
at_end() { kill $proxy $silent_proxy 2>/dev/null; }
until grep -q listen "$work/proxy"; do sleep 0.1; done
read -r _ port _ control <"$work/proxy"
export AWS_ENDPOINT_URL=http://127.0.0.1:$port
mkdir -p "$work/tree/small" "$work/tree/many"
for i in $(seq 200); do head -c 2000 /dev/urandom | base64 >"$work/tree/small/f$i"; done
for d in $(seq 50); do
	mkdir "$work/tree/many/d$d"
	for i in $(seq 60); do echo "$d $i" >"$work/tree/many/d$d/f$i"; done
done
head -c 25000000 /dev/urandom >"$work/tree/big"
hif project create acme/app
packs=$(rule add PUT '*/packs/' 0 -1 delay 0)
hif import acme/app "$work/tree" -m import
[ "$(say hits "$packs")" -le 2 ] || fail "3,201 files went up in $(say hits "$packs") packs"
say latency 20 >/dev/null

step 'mounting, and the first listing'
hif daemon stop >/dev/null 2>&1 || true
say reset >/dev/null
hif mount "--$front" acme/app "$work/one" >/dev/null
at_most answered 10
say reset >/dev/null
ls "$work/one" >/dev/null
at_most trips 4

step 'a directory of 200 small files is a few ranged requests'
fresh
cat "$work"/one/small/* | cmp - <(cat "$work"/tree/small/*)
at_most get 15

step 'listing everything is a few round trips'
fresh
expect "$(ls -lR "$work/one/many" | wc -l)" "$(ls -lR "$work/tree/many" | wc -l)"
at_most trips 12

step 'status asks for nothing, and costs what has changed'
echo changed >"$work/one/small/f7"
rm "$work/one/many/d9/f9"
sync "$work/one"
say reset >/dev/null
expect "$(hif -C "$work/one" status | sed '/^uploaded: /d')" 'D many/d9/f9
M small/f7'
at_most get 0
cp -p "$work/tree/small/f7" "$work/one/small/f7"
cp -p "$work/tree/many/d9/f9" "$work/one/many/d9/f9"

step 'reading everything is a few more'
fresh
diff -r "$work/tree/many" "$work/one/many"
at_most trips 40

step 'a large file comes before it is asked for'
fresh
cmp "$work/tree/big" "$work/one/big"
at_most trips 12

step 'faults of the way there are not seen'
fresh
say chance GET '*' 5 status 503 >/dev/null
say chance GET '*' 5 reset >/dev/null
say chance GET '*' 5 cutresp 100 >/dev/null
diff -r "$work/tree" "$work/one"
say clear >/dev/null

step 'what has settled is stored ahead, and landing puts no contents'
packs=$(rule add PUT '*/packs/' 0 -1 delay 0)
blobs=$(rule add PUT '*/blobs/' 0 -1 delay 0)
for i in $(seq 300); do echo "new $i" >"$work/one/n$i"; done
head -c 5000000 /dev/urandom >"$work/one/large"
sync "$work/one"
stored
[ "$(say hits "$packs")" -ge 1 ] && [ "$(say hits "$blobs")" -ge 2 ] || fail 'nothing was stored ahead'
before="$(say hits "$packs") $(say hits "$blobs")"
say reset >/dev/null
hif -C "$work/one" land 'many files'
at_most put 20
at_most trips 16
expect "$(say hits "$packs") $(say hits "$blobs")" "$before"

step 'while the store does not answer: what is here works, and landing says so'
fresh
cat "$work/one/n7" "$work/one/small/f1" >/dev/null && ls "$work/one" >/dev/null
down=$(rule add '*' '*' 0 -1 reset)
cat "$work/one/n7" "$work/one/small/f1" >/dev/null && ls "$work/one" >/dev/null
echo edited >"$work/one/n7"
expect "$(cat "$work/one/n7")" edited
expect_match "$(hif -C "$work/one" status)" 'M n7'
fails_with 7 's3://' hif -C "$work/one" land 'without a store'
! timeout 60 cat "$work/one/many/d7/f7" 2>/dev/null || fail 'read from a store that does not answer'

step 'it comes back by itself'
say del "$down" >/dev/null
can_be_read() { cat "$work/one/many/d7/f7" >/dev/null 2>&1; }
wait_for "it does not come back" can_be_read
expect "$(cat "$work/one/many/d7/f7")" '7 7'
hif -C "$work/one" land 'with it again'

step 'while it takes requests and says nothing: what is here works, and no command waits for it'
fresh
cat "$work/one/n7" "$work/one/small/f1" >/dev/null && ls "$work/one" >/dev/null
hang=$(rule add '*' '*' 0 -1 hang)
began=$SECONDS
cat "$work/one/n7" "$work/one/small/f1" >/dev/null && ls "$work/one" >/dev/null
echo silent >"$work/one/n7"
expect "$(cat "$work/one/n7")" silent
expect_match "$(hif -C "$work/one" status)" 'M n7'
expect_match "$(hif mount)" "$work/one"
(! timeout 60 cat "$work/one/many/d3/f3" 2>/dev/null) &
reader=$!
fails_with 8 'did not answer within' hif doctor
[ $((SECONDS - began)) -le 20 ] || fail "that took $((SECONDS - began)) s"
expect_match "$(hif -C "$work/one" status)" 'M n7' # beside one that reads
wait $reader || fail 'read from a store that says nothing'
left=$SECONDS
expect_match "$(hif unmount "$work/one" 2>&1)" 'was not published, so that only this machine'
[ $((SECONDS - left)) -le 10 ] || fail "unmounting took $((SECONDS - left)) s"
[ $((SECONDS - began)) -le 90 ] || fail "that took $((SECONDS - began)) s"
say del "$hang" >/dev/null

step 'commands with a store that says nothing from the start'
wait $silent_pid
for name in log ls cat fsck maintain import projects create probe mount claim; do
	read -r status took <"$silent/$name.ended"
	[ "$status" = 7 ] || fail "$name ended with $status: $(cat "$silent/$name.said")"
	[ "$took" -le 60 ] || fail "$name took $took s"
	expect_match "$(cat "$silent/$name.said")" 'does not answer|gave no whole answer'
done
step 'that they wait is told on a terminal, and nowhere else'
for name in log-shown json-shown; do
	expect_match "$(cat "$silent/$name.said")" 'the store s3://.* has not answered for 5 s; it is asked again'
done
expect_match "$(cat "$silent/mount-shown.said")" 'the daemon still works on it: a store that is slow'
expect_match "$(jq -r .error.code "$silent/json-shown.out")" 'EUNREACHABLE|ETIMEDOUT'
expect "$(cat "$silent/log-shown.out" "$silent/mount-shown.out")" ''
for name in log mount; do
	! grep -E 'still works|has not answered for 5 s' "$silent/$name.said" || fail "$name said so to a file"
done

read -r status took <"$silent/doctor.ended"
expect "$status" 8
[ "$took" -le 20 ] || fail "doctor took $took s"
