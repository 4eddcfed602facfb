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

step 'set up'
mkdir -p "$HOME/.config/hif"
printf '[uploads]\nafter = 1\n' >"$HOME/.config/hif/config"
"${S3FAULT:?set S3FAULT to the proxy}" 0 "${S3_ENDPOINT#http://}" 0 >"$work/proxy" &
proxy=$!
at_end() { kill $proxy 2>/dev/null; }
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
for _ in $(seq 50); do ! cat "$work/one/many/d7/f7" >/dev/null 2>&1 || break; sleep 0.2; done
expect "$(cat "$work/one/many/d7/f7")" '7 7'
hif -C "$work/one" land 'with it again'
