#!/bin/bash
# The daemon is killed while it lands on S3: at each request of the landing, before the request takes effect and
# after. Whatever was sent is sent: one landing, of what was edited. S3FAULT: the fault proxy.
. "$(dirname "$0")/../lib.sh"
. "$here/s3/proxy.sh"

at_end() { proxy_stop; }

step 'set up'
proxy_start "${S3FAULT:?}"
make_tree "$work/tree"
hif project create acme/app
hif import acme/app "$work/tree" -m import
hif mount "--$front" acme/app "$work/app"

landings=0 # whose daemon was killed

# The k-th request from the start of the landing on meets this fault, and its daemon dies of it. Not killed: it has
# landed with fewer requests.
land_and_kill() { # land_and_kill K FAULT
	local goal="request $1, $2" rule status=0
	echo "$goal" >"$work/app/README"
	echo "$goal" >"$work/app/new-$1-$2"
	rule=$(proxy_say "add * * $(($1 - 1)) 1 $2")
	rule=${rule#ok }
	hif -C "$work/app" land "$goal" >"$work/said" 2>&1 &
	while [ "$(proxy_say "hits $rule")" = 0 ] && kill -0 $! 2>/dev/null; do sleep 0.01; done
	[ "$(proxy_say "hits $rule")" = 1 ] && kill -9 "$(cat "$work/pid")" && killed=1 || killed=0
	wait $! || status=$?
	proxy_say clear >/dev/null
	if [ $killed = 1 ] && [ $status != 0 ]; then
		status=0
		hif -C "$work/app" land "$goal" >"$work/said" 2>&1 || status=$?
		[ $status != 5 ] || status=0 # it had landed, and nothing is left
	fi
	[ $status = 0 ] || fail "$goal: land ended with $status: $(cat "$work/said")"
	landings=$((landings + 1))
	expect "$(hif log acme/app -n 1 --json | jq -c '.[0] | [.position, .goal]')" "[$((landings + 1)),\"$goal\"]"
	expect "$(hif cat acme/app:README)" "$goal"
	expect "$(hif cat "acme/app:new-$1-$2")" "$goal"
	hif -C "$work/app" status >/dev/null # starts a daemon, if the last one died when all was said
	daemon_pid >"$work/pid"
}

daemon_pid >"$work/pid"
for fault in hang hanglate; do
	step "killed at each request: $fault"
	k=1
	while :; do
		land_and_kill $k $fault
		[ $killed = 1 ] || break
		k=$((k + 1))
	done
	echo "  $((k - 1)) requests"
	[ $k -gt 5 ] || fail 'a landing takes more requests than that'
done
expect "$(hif log acme/app -n 0 --json | jq -r '.[].goal' | sort | uniq -d)" ''
