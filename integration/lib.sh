# lib.sh - what the integration cases share. Sourced; the case is run as
#
#	case.sh nfs|fuse [s3]       HIF: the program to test
#
# s3: the store is on the S3 server of integration/s3/with_s3.sh; without, a directory of the case's home.
# Each case gets a home of its own, fails at the first command that fails, and leaves nothing mounted.

set -eu -o pipefail

# Mounts are seen by the case that makes them alone: `hif doctor` looks at all that a machine has.
if [ "$(id -u)" = 0 ] && [ -z "${HIF_OWN_MOUNTS:-}" ]; then
	HIF_OWN_MOUNTS=1 exec unshare --mount --propagation private bash "$0" "$@"
fi

front=${1:?usage: $0 nfs|fuse [s3]}
here=$(realpath "$(dirname "$0")/..")
hif=$(realpath "${HIF:?set HIF to the program to test}")
work=$(mktemp -d "${TMPDIR:-/tmp}/hif-case.XXXXXX")
export HOME=$work/home XDG_RUNTIME_DIR=$work/run HIF_AUTHOR='Test <test@example.org>'
unset XDG_CONFIG_HOME XDG_DATA_HOME XDG_STATE_HOME XDG_CACHE_HOME HIF_STORE
[ "${2:-}" != s3 ] || export HIF_STORE=${HIF_TEST_S3:?run this through integration/s3/with_s3.sh}
# No case asks the machine that it runs on for keys.
export AWS_EC2_METADATA_DISABLED=true
mkdir -p "$HOME" "$XDG_RUNTIME_DIR"
step='set up'

hif() { "$hif" "$@"; }

step() {
	step=$1
	echo "  $1"
}

fail() {
	echo "FAILED ($front) in '$step': $*" >&2
	exit 1
}

expect() { # expect ACTUAL EXPECTED
	[ "$1" = "$2" ] || fail "expected '$2', got '$1'"
}

expect_match() { # expect_match TEXT REGEX
	[[ $1 =~ $2 ]] || fail "expected a match of '$2' in: $1"
}

# fails_with CODE REGEX COMMAND...: the command ends with this code, and says something like this
fails_with() {
	local code=$1 regex=$2 output status=0
	shift 2
	output=$("$@" 2>&1) || status=$?
	expect "$status" "$code"
	expect_match "$output" "$regex"
}

# wait_for WHAT COMMAND...: until the command says yes. Whoever waits for what will come is in no hurry: the machine
# may be busy with a dozen other tests.
wait_for() {
	local what=$1 end=$((SECONDS + 120))
	shift
	until "$@"; do
		[ $SECONDS -lt $end ] || fail "$what"
		sleep 0.1
	done
}

# What hif status says of changes. How far uploads are is another matter, and not the same each time.
changes() { # changes [DIR]
	hif -C "${1:-.}" status | sed '/^uploaded: /d'
}

daemon_pid() { hif daemon status --json | jq .pid; } # of the server: when it is killed, another comes by itself
supervisor_pid() { hif daemon status --json | jq .supervisor_pid; }
kill_daemon() { # both, so that nobody brings anything back
	local status
	status=$(hif daemon status --json)
	kill -9 "$(jq .supervisor_pid <<<"$status")" "$(jq .pid <<<"$status")"
}

is_running() { # is_running PID; one that is dead and not waited for does not run
	local state
	state=$(sed -n 's/^State:[[:space:]]*\(.\).*/\1/p' "/proc/$1/status" 2>/dev/null) && [ -n "$state" ] && [ "$state" != Z ]
}

fetched() { hif daemon status --json | jq ".fetch.$1"; }

at_end() { :; } # for cases that have more to clean up

finish() {
	local status=$?
	set +e
	cd /
	[ $status = 0 ] || { echo "FAILED ($front) in '$step' (status $status)" >&2
		tail -n 20 "$HOME/.local/state/hif/daemon.log" >&2 2>/dev/null || true; }
	"$hif" daemon stop >/dev/null 2>&1 || true
	at_end
	grep " $work/" /proc/mounts | cut -d' ' -f2 | sort -r | while read -r at; do
		umount -l "$at" 2>/dev/null || true
	done
	# The server makes no system call that its sandbox refuses (docs/security.md).
	local refused
	refused=$(find "$work" -xdev -name daemon.log -exec grep -h 'sandbox: a system call was refused' {} +)
	[ -z "$refused" ] || { echo "FAILED ($front): the sandbox is too narrow: $refused" >&2; status=1; }
	rm -rf --one-file-system "$work" || true
	exit $status
}
trap finish EXIT

# A small tree with every kind of entry.
make_tree() { # make_tree DIR
	mkdir -p "$1/src/deep/er" "$1/empty" "$1/bin"
	printf 'hello\n' >"$1/README"
	printf '#!/bin/sh\necho run\n' >"$1/bin/tool"
	chmod 755 "$1/bin/tool"
	ln -s ../README "$1/src/link"
	for i in $(seq 1 60); do echo "file $i" >"$1/src/f$i.c"; done
	printf 'x' >"$1/src/deep/er/leaf"
	: >"$1/src/nothing"
	head -c 9000000 /dev/urandom >"$1/big.bin"
	touch -d '2020-02-03 04:05:06.789' "$1/README"
}

# Names, kinds, modes, sizes, times, targets; and contents.
list_tree() { (cd "$1" && find . -mindepth 1 -printf '%P %y %m %l %T@ ' \( -type f -printf '%s\n' -o -printf '\n' \) | sort); }

same_tree() { # same_tree A B
	diff -r --no-dereference "$1" "$2" || fail "contents differ"
	diff <(list_tree "$1" | sed -E 's/ d ([0-9]+)  [0-9.]+/ d \1/') \
		<(list_tree "$2" | sed -E 's/ d ([0-9]+)  [0-9.]+/ d \1/') || fail "attributes differ"
}
