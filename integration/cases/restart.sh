#!/bin/bash
# The daemon dies with the mount in use. Only for NFS: the kernel's client waits for the next one.
. "$(dirname "$0")/../lib.sh"

step 'set up'
make_tree "$work/tree"
hif project create acme/app
hif import acme/app "$work/tree" -m import
hif mount "--$front" acme/app "$work/app"
cd "$work/app"
mkdir build
for i in $(seq 1 80); do echo "int f$i(void) { return $i; }" >build/f$i.c; done

step 'a build goes on through kill -9'
(
	cd build
	for i in $(seq 1 80); do cc -c f$i.c -o f$i.o || exit 1; done
	echo done >"$work/built"
) &
builder=$!
for round in 1 2 3; do
	sleep 1
	kill -9 "$(daemon_pid)"
	hif mount >/dev/null # lists mounts, which starts no daemon
	hif status >/dev/null # starts one
done
wait $builder || fail 'the build failed'
expect "$(cat "$work/built")" done
expect "$(ls build/*.o | wc -l)" 80
for i in 1 40 80; do nm build/f$i.o | grep -q " f$i$" || fail "f$i.o is damaged"; done

step 'a shell that stands in a directory, and open files, through land and restart'
mkdir -p here/below && cd here/below
echo kept >open && exec 8<>open
mv ../../src/deep ../../renamed
inode=$(stat -c %i .)
(cd / && hif -C "$work/app" land 'while in use')
expect "$(cat open)" kept
expect "$(stat -c %i .)" "$inode"
pwd -P >/dev/null && ls >/dev/null
kill -9 "$(daemon_pid)"
(cd / && hif -C "$work/app" status)
expect "$(stat -c %i .)" "$inode"
expect "$(cat <&8)" kept
echo after >>open && expect "$(cat open)" 'kept
after'
exec 8>&-
cd "$work/app/renamed/er" && expect "$(cat leaf)" x
cd "$work/app"
expect "$(hif status)" 'M here/below/open'
cd /
hif unmount "$work/app"
