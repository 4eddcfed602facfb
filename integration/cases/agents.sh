#!/bin/bash
# Many agents at once: twenty mounts over one cache, landings from many sessions, from many daemons, and
# on the same path.
. "$(dirname "$0")/../lib.sh"

mounts=20 # in one daemon
agents=8  # that land at once
rounds=5  # landings of each
cold=30   # files that nobody has read
[ "$front" = fuse ] || rounds=3 cold=8 # the guest has one processor

at() { echo "$work/at/$1"; }

daemon_rss() { awk '/^VmRSS/ { print $2 }' "/proc/$(daemon_pid)/status"; } # KiB

each_other() { # each_other KIB-OF-ONE KIB-OF-ALL LIMIT: what each mount but the first takes
	local each=$((($2 - $1) / (mounts - 1)))
	echo "  memory: $1 KiB for the first mount, $each KiB for each other"
	[ $each -le "$3" ] || fail "each mount takes $each KiB"
}

step 'set up'
make_tree "$work/tree"
head -c 300000 /dev/urandom >"$work/tree/mid.bin"
mkdir "$work/tree/cold"
for i in $(seq $cold); do head -c 200000 /dev/urandom >"$work/tree/cold/$i"; done
cat "$work/tree/cold"/* >"$work/cold"
hif project create acme/app
hif import acme/app "$work/tree" -m import
mkdir "$work/at"

step 'twenty mounts fetch once'
for i in $(seq $mounts); do
	hif mount "--$front" acme/app "$(at "$i")" --session "agent-$i" >/dev/null
	[ "$i" != 1 ] || rss_first=$(daemon_rss)
done
each_other "$rss_first" "$(daemon_rss)" 4096
expect "$(hif mount | wc -l)" $mounts
for file in README mid.bin big.bin src/f7.c; do cmp "$work/tree/$file" "$(at 1)/$file"; done
once="$(fetched blobs) $(fetched store_requests) $(fetched store_bytes)"
rss_first=$(daemon_rss)
for i in $(seq 2 $mounts); do
	for file in README mid.bin big.bin src/f7.c; do cmp "$work/tree/$file" "$(at "$i")/$file"; done
done
expect "$(fetched blobs) $(fetched store_requests) $(fetched store_bytes)" "$once"
each_other "$rss_first" "$(daemon_rss)" 2048 # has read 9 MB

step 'also when they want it at the same time'
before=$(fetched blobs)
for i in $(seq $mounts); do
	cat "$(at "$i")"/cold/* | cmp - "$work/cold" &
done
for job in $(jobs -p); do wait "$job" || fail 'it is not what was imported'; done
[ $(($(fetched blobs) - before)) -le $cold ] || fail "$cold contents came $(($(fetched blobs) - before)) times"

step 'edits stay apart'
for i in $(seq $mounts); do echo "$i" >"$(at "$i")/own-$i"; done
for i in $(seq $mounts); do expect "$(changes "$(at "$i")")" "A own-$i"; done

work_and_land() { # work_and_land AGENT MOUNT: rounds landings, each of a file of its own
	local round
	for round in $(seq $rounds); do
		mkdir -p "$2/made/$1"
		echo "$1 $round" >"$2/made/$1/$round"
		hif -C "$2" land --json "$1 does $round" | jq -r '"\(.position) \(.member)"' >>"$work/places.$1" || return 1
	done
}

at_once() { # at_once COMMAND: with each agent's number, all at the same time
	local i jobs=()
	for i in $(seq $agents); do
		"$1" "$i" &
		jobs+=($!)
	done
	for i in "${jobs[@]}"; do wait "$i" || fail "an agent failed"; done
}

tail_position() { hif log acme/app --json -n 1 | jq '.[0].position'; }

all_landed() { # all_landed BEFORE COUNT: each landing is where it was told, alone or in a batch, and nothing else is there
	local places
	places=$(cat "$work"/places.* | sort -n -k1,1 -k2,2)
	expect "$(wc -l <<<"$places")" "$2"
	expect "$(hif log acme/app --json -n "$2" | jq -r '.[] | "\(.position) \(.member)"' | sort -n -k1,1 -k2,2)" "$places"
	expect "$(cut -d' ' -f1 <<<"$places" | sort -nu)" "$(seq $(($1 + 1)) "$(tail_position)")"
	expect "$(hif log acme/app --json -n 0 | jq -r '.[].goal' | sort | uniq -d)" ''
	rm "$work"/places.*
}

agent_of_daemon() { work_and_land "session-$1" "$(at "$1")"; }

step 'eight sessions of one daemon land at once'
start=$(date +%s%N)
at_once agent_of_daemon
took=$((($(date +%s%N) - start) / 1000000))
landed=$((agents * rounds))
all_landed 1 $landed
middle=$(tail_position)
echo "  $landed landings at $((middle - 1)) positions in $took ms"

agent_alone() { # a daemon of its own
	local at=$work/alone/$1/at
	export HIF_STORE=${HIF_STORE:-file://$HOME/.local/share/hif/store} HOME=$work/alone/$1 XDG_RUNTIME_DIR=$work/alone/$1/run
	mkdir -p "$XDG_RUNTIME_DIR"
	hif mount "--$front" acme/app "$at" >/dev/null
	work_and_land "daemon-$1" "$at" || return 1
	hif unmount "$at" >/dev/null
	hif daemon stop >/dev/null
}

step 'eight daemons land at once'
start=$(date +%s%N)
at_once agent_alone
took=$((($(date +%s%N) - start) / 1000000))
all_landed "$middle" $landed
echo "  $landed landings in $took ms, with mounting"

step 'what all have landed is there'
hif mount "--$front" acme/app "$(at all)" --session all >/dev/null
expect "$(cd "$(at all)/made" && find . -type f | wc -l)" $((2 * landed))
for i in $(seq $agents); do
	for round in $(seq $rounds); do
		expect "$(cat "$(at all)/made/session-$i/$round")" "session-$i $round"
		expect "$(cat "$(at all)/made/daemon-$i/$round")" "daemon-$i $round"
	done
	expect "$(cat "$(at all)/own-$i")" "$i"
done

overlap() { # sessions that stand at @1 still
	local at status=0
	at=$(at $((agents + $1)))
	echo "changed by $1" >"$at/README"
	hif -C "$at" land "overlap of $1" >"$work/said.$1" || status=$?
	echo $status >"$work/status.$1"
}

step 'overlapping landings: one wins, the others are told whose it is'
at_once overlap
expect "$(cat "$work"/status.* | sort | uniq -c | tr -s ' ' | tr '\n' ';')" " 1 0; $((agents - 1)) 3;"
winner=$(grep -lx 0 "$work"/status.*)
winner=${winner##*.}
expect "$(hif cat acme/app:README)" "changed by $winner"
for i in $(seq $agents); do
	[ "$i" != "$winner" ] || continue
	expect_match "$(cat "$work/said.$i")" "README: you changed it, @[0-9.]+ changed it \(Test <test@example.org>: overlap of $winner\)"
	expect "$(cat "$(at $((agents + i)))/README")" "changed by $i"
done
hif daemon stop >/dev/null
