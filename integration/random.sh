# random.sh - what cases/random.sh and random_replay.sh share. Sourced, after lib.sh.

: "${RANDOM_OPS:?set RANDOM_OPS to the program}"
m=$work/m

# What happens to the mount, as programs: random_ops runs them.
disturbance() { # disturbance NAME <TEXT
	{
		echo '#!/bin/bash'
		echo 'set -eu -o pipefail'
		cat
	} >"$work/$1"
	chmod +x "$work/$1"
}

disturbance remount <<E
$hif unmount $m >/dev/null
$hif mount --$front acme/app $m >/dev/null
E
disturbance land <<E
code=0
$hif -C $m land 'in between' >$work/landed 2>&1 || code=\$?
[ \$code = 0 ] || [ \$code = 5 ] || { cat $work/landed; exit 1; }
E
# The next command brings the mounts back.
disturbance killed <<E
kill -9 "\$($hif daemon status --json | jq .pid)"
$hif -C $m status >/dev/null
E
# What has landed, as another session sees it.
disturbance elsewhere <<E
$work/land
$hif unmount $m >/dev/null
$hif mount --$front acme/app $m --session elsewhere >/dev/null
E

# Between operations, with no file open.
random_between=(--between "$work/remount" --between "$work/killed" --between "$work/land")
# While there are operations: the mount goes on, with all that is open.
random_during=(--during "$work/land" --during "$work/killed")

# A base for so many workers, mounted.
random_mount() { # random_mount WORKERS
	mkdir "$work/base"
	"$RANDOM_OPS" --make --workers "$1" "$work/base"
	hif project create acme/app
	hif import acme/app "$work/base" -m base >/dev/null
	hif mount "--$front" acme/app "$m"
}
