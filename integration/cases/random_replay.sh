#!/bin/bash
# Operations from a file, as random_ops --list prints them, on a mount of a fresh base: for finding out which of a run's
# operations a finding needs (tests/mount/minimize.sh). Its commands are those of random.sh. RANDOM_OPS: the program.
#
#	random_replay.sh nfs|fuse FILE
operations=$(realpath "${2:?usage: random_replay.sh nfs|fuse FILE}")
. "$(dirname "$0")/../lib.sh"
. "$here/random.sh"

random_mount 1
"$RANDOM_OPS" --base --replay "$operations" "${random_between[@]}" --final "$work/elsewhere" "$m"
