#!/bin/bash
# Disks that are full or fail, below a real mount. No space is an error at the write, before anything has
# changed; the session can be read, landed and given up on a full disk; and it goes on when there is room.
# A sync that fails is an error for who waits for it, and afterwards everything is written once more.
# HIF_DISK: tests/power's hif_disk.so.
. "$(dirname "$0")/../lib.sh"

at=$work/app
disk=$(realpath "${HIF_DISK:?set HIF_DISK to hif_disk.so}")
small=$work/small
mkdir "$small"
mkdir -p "$HOME/.config/hif" && printf '[session]\npublish = manual\n' >"$HOME/.config/hif/config"

step 'set up'
make_tree "$work/tree"
hif project create acme/app
hif import acme/app "$work/tree" -m import

# The kernel's NFS client tells of lost writes once more, to who syncs next.
synced() { sync -f "$1" 2>/dev/null || sync -f "$1"; }

free_kib() { df --output=avail -k "$1" | tail -n 1 | tr -d " "; }

# Fill what a write may fill: the reserve stays.
fill() { ! dd if=/dev/zero of="$at/fill" bs=64k conv=fsync status=none 2>"$work/err" && grep -q 'No space left' "$work/err"; }

step 'statfs tells what can be written'
mount -t tmpfs -o size=160m none "$small"
export XDG_STATE_HOME=$small
hif mount "--$front" acme/app "$at" --session full >/dev/null
[ "$(free_kib "$at")" -le $(($(free_kib "$small") - 60000)) ] || fail 'the reserve cannot be written'
total=$(df --output=size -k "$at" | tail -n 1 | tr -d " ")
[ "$total" -ge 100000 ] && [ "$total" -le 170000 ] || fail "a disk of 160 MiB looks like $total KiB"

step 'a full disk: no space at the write, and all else works'
echo before >"$at/before" && sync -f "$at/before"
fill || fail "it fits: $(cat "$work/err")"
[ "$(free_kib "$small")" -ge 32000 ] || fail 'the reserve for landing was used up'
expect "$(cat "$at/before" "$at/README")" 'before
hello'
expect_match "$(changes "$at")" 'A before'
truncate -s 0 "$at/fill" 2>/dev/null || true
rm "$at/fill"
expect_match "$(changes "$at")" 'A before'

step 'the disk is full to the last byte, by someone else'
echo first >"$at/first" && synced "$at/first"
head -c 1000m /dev/zero >"$small/other" 2>/dev/null || true
expect "$(free_kib "$small")" 0
! { head -c 200000 /dev/urandom >"$at/more" && sync -f "$at/more"; } 2>/dev/null || fail 'written where there is no room'
expect "$(cat "$at/first" "$at/README")" 'first
hello'
expect_match "$(changes "$at")" 'A first'
hif -C "$at" session export "$work/out" >/dev/null 2>&1
expect "$(cat "$work/out/files/first")" first
rm -f "$at/more"

# Until the log is full, too.
fill_log() { # fill_log DIR ERROR: ENOSPC or EDQUOT
	python3 -c '
import errno, os, sys
try:
	for i in range(20000): os.mkdir(f"{sys.argv[1]}/{i}" + "x" * 240)
except OSError as e: sys.exit(e.errno != getattr(errno, sys.argv[2]))
sys.exit("it fits")' "$1" "$2"
}

fsync_of() { # fsync_of NAME TEXT
	python3 -c '
import os, sys
f = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT, 0o644)
os.write(f, sys.argv[2].encode())
os.fsync(f)' "$at/$1" "$2"
}

step 'landed while it is full, and also after the server died'
mkdir "$at/names"
fill_log "$at/names" ENOSPC
kill -9 "$(daemon_pid)"
until hif daemon status >/dev/null 2>&1; do sleep 0.1; done
expect_match "$(changes "$at")" 'A first'
hif -C "$at" land 'on a full disk' >/dev/null
expect "$(hif cat acme/app:first)" first
expect "$(changes "$at")" 'no changes against @2'
expect "$(cat "$at/first" "$at/README")" 'first
hello'

step 'unmounted and mounted while it is full; what is removed makes room'
hif unmount "$at" >/dev/null
hif mount "--$front" acme/app "$at" --session full >/dev/null
rmdir "$at"/names/1xx*
rm "$at/README"
hif -C "$at" land 'without README, on a full disk' >/dev/null
fails_with 6 'README' hif cat acme/app:README
rm "$small/other"
healed=
for i in $(seq 600); do
	! (echo again >"$at/again") 2>/dev/null || { healed=1 && break; }
	sleep 0.2
done
[ "$healed" = 1 ] || fail 'it does not go on with room'
synced "$at/again"
expect "$(cat "$at/again")" again
hif -C "$at" land 'with room' >/dev/null
expect "$(hif cat acme/app:again)" again

step 'given up on a full disk'
echo edit >"$at/edit"
hif unmount "$at" >/dev/null
head -c 1000m /dev/zero >"$small/other" 2>/dev/null || true
hif session abandon acme/app full >/dev/null
rm "$small/other"
hif mount "--$front" acme/app "$at" --session full >/dev/null
[ ! -e "$at/edit" ] || fail 'it is still there'
hif unmount "$at" >/dev/null

step 'the store is on the full disk, too: not landed, nothing is lost, and landed once there is room'
export HIF_STORE=file://$small/store
hif project create acme/near >/dev/null
hif mount "--$front" acme/near "$at" --session near >/dev/null
echo edit >"$at/edit"
synced "$at/edit"
head -c 1000m /dev/zero >"$small/other" 2>/dev/null || true
fails_with 1 'no space left on the disk; free some space there, and try again' hif -C "$at" land 'no room'
expect "$(cat "$at/edit")" edit
expect_match "$(changes "$at")" 'A edit'
rm "$small/other"
hif -C "$at" land 'with room' >/dev/null
expect "$(hif cat acme/near:edit)" edit
expect_match "$(hif log acme/near)" '^@1  with room'
hif unmount "$at" >/dev/null
unset HIF_STORE
hif daemon stop >/dev/null
umount "$small"
unset XDG_STATE_HOME

# Set what root may have on $small: no more than it has now, or all of it.
quota() { # quota used|none
	python3 -c '
import ctypes, os, struct, sys
libc, layout = ctypes.CDLL(None, use_errno=True), "=8QI4x"
def call(command, quota): # of user 0
	if libc.quotactl(command << 8, sys.argv[1].encode(), 0, quota) != 0: sys.exit(os.strerror(ctypes.get_errno()))
quota = ctypes.create_string_buffer(struct.calcsize(layout))
call(0x800007, quota)
used = struct.unpack(layout, quota.raw[:struct.calcsize(layout)])[2]
limit = max(used // 1024, 1) if sys.argv[2] == "used" else 0
call(0x800008, ctypes.create_string_buffer(struct.pack(layout, limit, *[0] * 7, 1)))' "$loop" "$1"
}

if [ "$front" = nfs ]; then # in the guest, whose kernel knows quotas
	step 'a quota that is used up'
	modules=$UML_MODULES/kernel
	for module in drivers/block/loop fs/quota/quota_tree fs/quota/quota_v2; do
		[ ! -e "$modules/$module.ko" ] || busybox insmod "$modules/$module.ko"
	done
	truncate -s 300M "$work/image"
	/usr/sbin/mkfs.ext4 -q -O quota -E quotatype=usrquota "$work/image"
	mount -o loop,usrquota "$work/image" "$small"
	loop=$(awk -v at="$small" '$2 == at { print $1 }' /proc/mounts)
	export XDG_STATE_HOME=$small
	hif mount "--$front" acme/app "$at" --session quota >/dev/null
	fsync_of first-of-quota first
	quota used
	fails_with 1 'Disk quota exceeded' fsync_of more "$(head -c 100000 /dev/zero | tr '\0' x)"
	expect "$(cat "$at/first-of-quota" "$at/first")" firstfirst
	rm -f "$at/more"
	sync -f "$at" 2>/dev/null || true # hears of the lost write, if nobody has
	mkdir "$at/quota"
	fill_log "$at/quota" EDQUOT
	hif -C "$at" land 'with the quota used up' >/dev/null
	expect "$(hif cat acme/app:first-of-quota)" first
	hif unmount "$at" >/dev/null
	hif mount "--$front" acme/app "$at" --session quota >/dev/null
	rmdir "$at"/quota/1xx*
	quota none
	fsync_of again-of-quota again
	hif -C "$at" land 'without a quota' >/dev/null
	expect "$(hif cat acme/app:again-of-quota)" again
	hif unmount "$at" >/dev/null
	hif daemon stop >/dev/null
	umount "$small"
	unset XDG_STATE_HOME
fi

step 'a sync that fails'
export HIF_DISK_FAIL=$work/fail
hif() { LD_PRELOAD=$disk "$hif" "$@"; }
hif mount "--$front" acme/app "$at" --session failing >/dev/null
fsync_of good 'before it'
touch "$work/fail"
# Read-only where a sync of hif's own was the first that failed: then nothing more is taken.
fails_with 1 'Input/output error|Read-only file system' fsync_of bad 'while it fails'
grep -q 'sync failed' "$HOME/.local/state/hif/daemon.log" || fail 'the log does not say so'
! (echo more >"$at/refused" && sync -f "$at/refused") 2>/dev/null || fail 'written while no sync works'
expect "$(cat "$at/good")" 'before it'
rm "$work/fail"
healed=
for i in $(seq 600); do
	! fsync_of later "after it" 2>/dev/null || { healed=1 && break; }
	sleep 0.2
done
[ "$healed" = 1 ] || fail 'it did not heal'
fsync_of bad 'while it fails'
kill_daemon
umount -l "$at"
hif mount "--$front" acme/app "$at" --session failing >/dev/null
expect "$(cat "$at/good" "$at/later")" 'before itafter it'
expect "$(cat "$at/bad")" 'while it fails'
hif unmount "$at" >/dev/null
