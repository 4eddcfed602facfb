#!/bin/bash
# Two machines and a store, with nothing between them but a network: three network namespaces, a home for each
# machine, a real S3 server in the third. One mounts, edits and lands, the other sees it; both change the same path;
# the network goes and comes back. Needs to be root, for the namespaces.
. "$(dirname "$0")/../lib.sh"

rgw=$here/s3/rgw.sh
declare -A space # machine -> a process in its network namespace

new_space() { # new_space NAME: a namespace that lives as long as this process
	unshare --net sleep 10000 &
	space[$1]=$!
	until [ "$(readlink "/proc/${space[$1]}/ns/net")" != "$(readlink /proc/self/ns/net)" ]; do sleep 0.01; done
}

in_space() { # in_space NAME COMMAND...
	local name=$1
	shift
	nsenter --net --target "${space[$name]}" "$@"
}

cable() { # cable MACHINE NET: between the machine and the store
	in_space store ip link add "to-$1" type veth peer name wire netns "${space[$1]}"
	in_space store ip addr add "10.77.$2.1/24" dev "to-$1"
	in_space store ip link set "to-$1" up
	in_space "$1" ip addr add "10.77.$2.2/24" dev wire
	plug_in "$1" "$2"
}

plug_in() { # plug_in MACHINE NET
	in_space "$1" ip link set wire up
	in_space "$1" ip route replace 10.77.0.1/32 via "10.77.$2.1"
}

on() { # on MACHINE ARGUMENT...: hif there
	local name=$1
	shift
	in_space "$name" env HOME="$work/$name" XDG_RUNTIME_DIR="$work/$name/run" HIF_AUTHOR="$name <$name@example.org>" \
		HIF_STORE=s3://hif/machines "$hif" "$@"
}

at_end() {
	local name
	for name in anna ben; do on $name daemon stop; done >/dev/null 2>&1
	"$rgw" wipe "$work/rgw"
	kill "${space[@]}"
	wait "${space[@]}"
} 2>/dev/null

step 'a store and two machines'
for name in store anna ben; do new_space $name; done
in_space store ip link set lo up
in_space store ip addr add 10.77.0.1/32 dev lo
cable anna 1
cable ben 2
mkdir -p "$work"/{anna,ben}/run "$work/at"
set -a
. <(RGW_ADDRESS=10.77.0.1 in_space store "$rgw" start "$work/rgw")
set +a

step 'anna imports, both mount'
make_tree "$work/tree"
on anna project create acme/app >/dev/null
on anna import acme/app "$work/tree" -m 'first import' >/dev/null
for name in anna ben; do on $name mount "--$front" acme/app "$work/at/$name" >/dev/null; done
same_tree "$work/tree" "$work/at/anna"
same_tree "$work/tree" "$work/at/ben"

step 'anna edits and lands, ben sees it'
echo 'from anna' >"$work/at/anna/README"
mkdir "$work/at/anna/new"
echo 'anna 1' >"$work/at/anna/new/file"
on anna -C "$work/at/anna" land "anna's first" >/dev/null
expect_match "$(on ben log acme/app)" "anna's first"
expect_match "$(on ben log acme/app)" 'anna@example.org'
expect "$(on ben cat acme/app:new/file)" 'anna 1'
expect "$(cat "$work/at/ben/README")" hello # where he stands, nothing moves
on ben mount "--$front" acme/app "$work/at/fresh" --session fresh >/dev/null
expect "$(cat "$work/at/fresh/README")" 'from anna'
expect "$(cat "$work/at/fresh/new/file")" 'anna 1'

step 'ben lands beside it'
echo 'ben 1' >"$work/at/ben/src/f1.c"
on ben -C "$work/at/ben" land "ben's first" >/dev/null
expect "$(on anna cat acme/app:src/f1.c)" 'ben 1'
expect "$(on anna cat acme/app:README)" 'from anna'

step 'both change one path: the second is told whose it is, and keeps his'
echo 'anna again' >"$work/at/anna/src/f2.c"
echo 'ben again' >"$work/at/fresh/src/f2.c"
on anna -C "$work/at/anna" land "anna's second" >/dev/null
fails_with 3 "src/f2.c: you changed it, @4 changed it \(anna <anna@example.org>: anna's second\)" \
	on ben -C "$work/at/fresh" land "ben's second"
expect "$(cat "$work/at/fresh/src/f2.c")" 'ben again'
expect "$(on anna log acme/app -n 1 --json | jq '.[0].position')" 4

step 'both land at once, ten times each'
land_ten() { # land_ten MACHINE
	local i
	for i in $(seq 10); do
		echo "$1 $i" >"$work/at/$1/$1-$i"
		on "$1" -C "$work/at/$1" land --json "$1 $i" | jq .position >>"$work/positions"
	done
}
land_ten anna &
land_ten ben
wait $!
# Those that meet may share a position.
expect "$(on anna log acme/app -n 100 --json | jq 'map(select(.position > 4 and .kind != "void")) | length')" 20
expect "$(wc -l <"$work/positions")" 20
expect "$(on anna ls acme/app | grep -cE '^(anna|ben)-')" 20

step "ben's network is down, then up again"
echo 'ben, later' >"$work/at/ben/later"
in_space ben ip link set wire down
status=0
said=$(on ben -C "$work/at/ben" land "ben's last" 2>&1) || status=$?
[[ $status = 4 || $status = 7 ]] || fail "without a network land ended with $status: $said"
expect "$(cat "$work/at/ben/later")" 'ben, later'
plug_in ben 2
on ben -C "$work/at/ben" land "ben's last" >/dev/null
expect "$(on anna cat acme/app:later)" 'ben, later'
expect "$(on anna log acme/app -n 0 --json | jq -r '.[].goal' | sort | uniq -d)" ''
