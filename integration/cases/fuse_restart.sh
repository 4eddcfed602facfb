#!/bin/bash
# What FUSE needs beside NFS: the kernel is told of what a land brings, and a mount whose daemon was
# killed comes back, or can be taken away.
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
cd /

step 'the daemon is killed: the next command brings the mounts back'
kill -9 "$(daemon_pid)"
hif -C "$work/two" status
expect "$(cat "$work/two/f1" "$work/one/new")" 'changed
new'

step 'a mount that no daemon serves can be taken away'
kill_daemon
rm -r "$HOME/.local/state/hif/workspaces"
expect_match "$(hif unmount --force "$work/one")" 'Detached'
hif unmount --force "$work/two"
! grep -q " $work/" /proc/mounts || fail 'still mounted'
