#!/bin/bash
# tar_x.sh BUILD-DIRECTORY nfs|fuse [FILES] - `tar x` of many small files on a mount, for both durabilities, with an
# fsync that takes 1 ms longer than the disk's own (tests/power/preload.c), beside the plain file system below it.
# For nfs: as root, or through integration/uml/guest.sh. Prints seconds, and ratios to the plain one.
set -eu -o pipefail
build=$(realpath "${1:?usage: tar_x.sh BUILD-DIRECTORY nfs|fuse [FILES]}")
front=${2:?nfs or fuse} files=${3:-20000} delay_us=${DELAY_US:-1000}
work=$(mktemp -d "${TMPDIR:-/tmp}/hif-tar.XXXXXX")
if [ "$(stat -f -c %T "$work")" != ext2/ext3 ]; then # a guest: ext4 in an image
	truncate -s 1200M "$work/image"
	/usr/sbin/mkfs.ext4 -q "$work/image"
	[ -e /dev/loop-control ] || busybox insmod "$UML_MODULES/kernel/drivers/block/loop.ko"
	mkdir "$work/disk"
	mount -o loop "$work/image" "$work/disk"
	image=$work
	work=$work/disk/work
	mkdir "$work"
fi
export HOME=$work/home XDG_RUNTIME_DIR=$work/run HIF_AUTHOR='Test <test@example.org>' AWS_EC2_METADATA_DISABLED=true
unset XDG_CONFIG_HOME XDG_DATA_HOME XDG_STATE_HOME XDG_CACHE_HOME HIF_STORE
mkdir -p "$HOME/.config/hif" "$XDG_RUNTIME_DIR"
printf '[session]\npublish = manual\n[uploads]\nahead = off\n' >"$HOME/.config/hif/config"

slow() { env HIF_DISK_DELAY_US="$delay_us" LD_PRELOAD="$build/tests/power/hif_disk.so" "$@"; }
hif() { slow timeout 900 "$build/cli/hif" "$@"; }

finish() {
	set +e
	cd /
	"$build/cli/hif" daemon stop >/dev/null 2>&1
	grep " $work/" /proc/mounts | cut -d' ' -f2 | while read -r at; do umount -l "$at"; done
	rm -rf --one-file-system "$work"
	[ -z "${image:-}" ] || { umount "$image/disk" && rm -rf "$image"; }
}
trap finish EXIT

mkdir "$work/tree"
for i in $(seq 0 $((files / 100 - 1))); do
	mkdir -p "$work/tree/d$((i % 20))/e$i"
	for j in $(seq 100); do printf '%01000d\n' "$j" >"$work/tree/d$((i % 20))/e$i/f$j"; done
done
tar cf "$work/tree.tar" -C "$work/tree" .
rm -rf "$work/tree"

timed() { # timed DIR: seconds of tar x, and of a sync after it
	local from middle to
	from=$(date +%s%N)
	tar xf "$work/tree.tar" -C "$1"
	middle=$(date +%s%N)
	sync -f "$1"
	to=$(date +%s%N)
	echo "$(((middle - from) / 1000000)) $(((to - middle) / 1000000))"
}

report() { # report NAME MS SYNC-MS
	awk -v name="$1" -v ms="$2" -v sync="$3" -v plain="$plain" \
		'BEGIN { printf "%-24s tar x %7.2f s, then sync %6.2f s   %5.1f times plain\n", name, ms / 1000, sync / 1000, ms / plain }'
}

echo "$files files, an fsync of $delay_us us more, $(stat -f -c %T "$work") below, through $front"
mkdir "$work/plain"
read -r plain synced <<<"$(timed "$work/plain")"
report plain "$plain" "$synced"
rm -rf "$work/plain"
hif project create acme/app >/dev/null
for level in process power; do
	hif mount "--$front" acme/app "$work/$level" --session "$level" --durability=$level >/dev/null
	read -r ms synced <<<"$(timed "$work/$level")"
	report "$front $level" "$ms" "$synced"
	[ "$(find "$work/$level" -type f | wc -l)" = $((files / 100 * 100)) ] || { echo 'files are missing' >&2 && exit 1; }
	hif unmount "$work/$level" >/dev/null
done
