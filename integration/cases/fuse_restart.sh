#!/bin/bash
# What FUSE needs beside NFS: the kernel is told of what a land brings; a mount whose server is killed
# goes on under the next one; and one that no one serves can be taken away.
. "$(dirname "$0")/../lib.sh"

step 'two mounts of one project'
mkdir "$work/tree"
for i in 1 2 3 4 5; do echo "file $i" >"$work/tree/f$i"; done
hif project create acme/app
hif import acme/app "$work/tree" -m import
hif mount "--$front" acme/app "$work/one" --session one
hif mount "--$front" acme/app "$work/two" --session two

step 'what one lands, the other shows once it has landed'
cd "$work/two" && cat ./* >/dev/null && ls >/dev/null && [ ! -e new ]
cd "$work/one" && echo changed >f1 && rm f2 && echo new >new && hif land one
cd "$work/two"
expect "$(cat f1)" 'file 1'
echo mine >f5 && hif land two
expect "$(cat f1 new f5)" 'changed
new
mine'
[ ! -e f2 ] || fail 'a removed file is still there'
expect "$(ls | tr '\n' ' ')" 'f1 f3 f4 f5 new '

step 'a build, git, an open file and a shell go on through kill -9 of the server'
cd "$work/two"
mkdir -p here build && cd here
echo kept >open && exec 8<>open
echo gone >nameless && exec 9<>nameless && rm nameless
inode=$(stat -c %i .) file=$(stat -c %i open)
for i in $(seq 1 24); do echo "int f$i(void) { return $i; }" >../build/f$i.c; done
(
	cd ../build
	for i in $(seq 1 24); do cc -c f$i.c -o f$i.o || exit 1; done
	git init -q repo && cd repo
	for i in $(seq 1 12); do
		echo $i >f$i && git add f$i && git -c user.name=t -c user.email=t@example.org commit -qm $i || exit 1
	done
	git fsck --strict 2>&1 && echo done >"$work/built"
) >"$work/build.log" 2>&1 &
builder=$!
while kill -0 $builder 2>/dev/null; do
	before=$(daemon_pid)
	kill -9 "$before"
	expect "$(cat open)" kept # an answer, and not an error
	sleep 0.3
done
wait $builder || fail "the build failed: $(cat "$work/build.log")"
expect "$(cat "$work/built")" done
for i in 1 12 24; do nm ../build/f$i.o | grep -q " f$i$" || fail "f$i.o is damaged"; done
expect "$(git -C ../build/repo rev-list --count HEAD)" 12
expect "$(stat -c %i .) $(stat -c %i open)" "$inode $file"
expect "$(cat <&8) $(cat <&9)" 'kept gone'
echo after >>open && expect "$(cat open)" 'kept
after'
exec 8>&- 9>&-
[ -e /proc/self/cwd/open ] || fail 'the shell has lost its directory'

step 'the kernel is told of what lands after a restart'
kill -9 "$(daemon_pid)"
cd "$work/one" && echo again >f3 && hif land three
cd "$work/two" && expect "$(cat f3)" 'file 3'
echo mine >f4 && hif land four
expect "$(cat f3)" again
cd /

step 'a restart that is asked for'
exec 8<"$work/two/f3"
hif daemon restart
expect "$(cat <&8)" again
exec 8<&-

step 'without a supervisor, the next command mounts anew'
kill_daemon
hif -C "$work/two" status >/dev/null
expect "$(cat "$work/two/f1" "$work/one/new")" 'changed
new'

step 'a mount that no daemon serves can be taken away'
kill_daemon
rm -r "$HOME/.local/state/hif/workspaces"
expect_match "$(hif unmount --force "$work/one")" 'Detached'
hif unmount --force "$work/two"
! grep -q " $work/" /proc/mounts || fail 'still mounted'
