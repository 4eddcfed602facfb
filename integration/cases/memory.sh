#!/bin/bash
# Much more is written than there is memory. The kernel's NFS client waits with its pages for a server which writes
# them to a disk of the same kernel: if that made the server wait until they are written, neither would ever go on. Only
# for NFS, and on a real disk: integration/uml/guest.sh --mem 200M --disk 3G -- env TMPDIR=/disk ... memory.sh nfs
. "$(dirname "$0")/../lib.sh"

limited() { timeout -s KILL 100 "$@" || fail "'$*' does not end, or failed"; }
megabytes() { openssl enc -aes-128-ctr -nosalt -K "$1" -iv 00 </dev/zero 2>/dev/null | head -c "$2M"; }

step 'set up'
memory=$(awk '/^MemTotal/ { print int($2 / 1024) }' /proc/meminfo)
echo "  $memory MB of memory"
hif project create acme/app
hif mount "--$front" acme/app "$work/app"

step 'one file, larger than memory'
limited dd if=/dev/zero of="$work/app/large" bs=1M count=$((memory + 50)) status=none
limited sync "$work/app/large"
expect "$(stat -c %s "$work/app/large")" $(((memory + 50) << 20))
rm "$work/app/large"

step 'several at once, and what is read is what was written'
export -f megabytes
for i in 1 2; do
	limited bash -c "megabytes $i $((memory / 6)) >'$work/app/f$i'" &
done
wait $(jobs -p)
for i in 1 2; do
	limited bash -c "cmp '$work/app/f$i' <(megabytes $i $((memory / 6)))"
done
expect "$(changes "$work/app")" 'A f1
A f2'
hif unmount "$work/app"
