#!/bin/bash
# soak.sh BUILD [PROCESSES [LANDINGS [SECONDS-BETWEEN-KILLS]]] - exactly once, for long: 32 x 1,000 landings.
#
# On an S3 server whose disk survives (bluestore), while its gateway and its OSD are killed in turn and started
# again, the network loses 5 % of the answers to writes and delays 2 % of them past the client's timeout, and the
# landing processes are killed, too. Prints figures and the audit; exit code 0: nothing lost, nothing twice, no
# false conflict. Takes as long as it takes: hours for the whole.
set -eu
cd "$(dirname "$0")/../.."
build=${1:?usage: soak.sh BUILD [PROCESSES [LANDINGS [SECONDS]]]}
processes=${2:-32}
landings=${3:-1000}
seconds=${4:-20}
work=$(mktemp -d "${TMPDIR:-/tmp}/hif-soak.XXXXXX")
rgw=integration/s3/rgw.sh

finish() {
	touch "$work/over"
	wait
	$rgw wipe "$work/rgw"
	rm -rf "$work"
}
trap finish EXIT

kill_servers() {
	local victims=(rgw osd rgw) kills=0 next=$SECONDS
	while [ ! -e "$work/over" ]; do
		sleep 1
		[ $((SECONDS - next)) -ge "$seconds" ] || continue
		$rgw kill "$work/rgw" "${victims[kills % 3]}" && $rgw start "$work/rgw" >/dev/null || break
		kills=$((kills + 1))
		next=$SECONDS
	done
	echo "the server: $kills kills"
}

RGW_STORE=bluestore RGW_SIZE_GB=${RGW_SIZE_GB:-64} $rgw start "$work/rgw" >/dev/null
kill_servers &
integration/s3/with_s3.sh "$work/rgw" "$build/tests/s3/land_many" --processes "$processes" --landings "$landings" \
	--kills $((processes * landings / 10)) --die 5 --timeout 2000 \
	--fault 'chance PUT * 2.5 closelate' --fault 'chance PUT * 2.5 resetlate' \
	--fault 'chance PUT * 1 late 3000' --fault 'chance PUT * 1 delay 3000'
