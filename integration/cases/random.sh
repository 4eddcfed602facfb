#!/bin/bash
# Random operations on new files and on those of a base, each compared with a model (tests/mount/random_ops.c), while
# the mount comes and goes, sessions land, and the server is killed. RANDOM_OPS: the program; DURING_MS: the
# mean time between what happens while there are operations.
#
#	random.sh nfs|fuse [SEED [OPERATIONS-OF-EACH-WORKER [WORKERS]]]
seed=${2:-1} operations=${3:-1500} workers=${4:-2}
. "$(dirname "$0")/../lib.sh"
. "$here/random.sh"
every=$((operations / 4 + 1))
[ $every -le 5000 ] || every=5000

step 'the model finds what is wrong'
mkdir "$work/plain"
! "$RANDOM_OPS" --seed "$seed" --corrupt --operations 5000 "$work/plain" >"$work/found" 2>&1 ||
	fail 'a wrong model was right'
expect_match "$(cat "$work/found")" 'are wrong.*its last operations'

step 'a base'
random_mount "$workers"

step "seed $seed: $workers x $operations operations, with remounts, kills and landings"
"$RANDOM_OPS" --seed "$seed" --operations "$operations" --workers "$workers" --every $every --base \
	"${random_between[@]}" "${random_during[@]}" --during-ms "${DURING_MS:-4000}" --final "$work/elsewhere" "$m"
hif unmount "$m"
