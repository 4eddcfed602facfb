#!/bin/bash
# Programs that expect a directory. What they do is in integration/tools, a file for each kind of them.
#
#	tools.sh nfs|fuse [TOPIC...]     default: all; with TOOLS_SHORT=1 less of each
topics=("${@:2}")
. "$(dirname "$0")/../lib.sh"
m=$work/m short=${TOOLS_SHORT:-}
if [ ${#topics[@]} = 0 ]; then
	topics=(git sqlite build editors copies)
	# In a guest each program takes ten times as long to start.
	[ "$front" = nfs ] && [ -n "$short" ] || topics+=(basics packages)
fi
remount() {
	local at=$PWD
	cd /
	hif unmount "$m" >/dev/null
	hif mount "--$front" acme/tools "$m" >/dev/null
	cd "$at"
}
server_dies() {
	kill -9 "$(daemon_pid)"
	hif -C "$m" status >/dev/null
}

hif project create acme/tools
hif mount "--$front" acme/tools "$m"
for topic in "${topics[@]}"; do
	echo " $topic"
	mkdir "$m/$topic"
	cd "$m/$topic"
	SECONDS=0
	. "$here/tools/$topic.sh"
	cd /
	echo "  ($SECONDS s)"
done
hif unmount "$m"
