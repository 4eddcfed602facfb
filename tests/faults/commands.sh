#!/bin/bash
# commands.sh [--kind malloc|call] [--only NAME] [--from N] [--to N] [--every N] - commands as
# processes, with their n-th allocation or library call failing, until they pass.
#
# HIF: the program; HIF_FAULTY: the same, whose calls can fail. Whatever fails, the exit status is a
# documented one, there is a sentence, the store is whole, and the same command goes through
# afterwards.
set -u
: "${HIF:?the hif program}" "${HIF_FAULTY:?the same, with calls that fail}"
only=. kinds='malloc call' from=1 to=1000000 every=1
while [ $# -gt 0 ]; do
	case $1 in
	--kind) kinds=$2 && shift 2 ;;
	--only) only=$2 && shift 2 ;;
	--from) from=$2 && shift 2 ;;
	--to) to=$2 && shift 2 ;;
	--every) every=$2 && shift 2 ;;
	*) sed -n '2,3s/^# //p' "$0" && exit 2 ;;
	esac
done
work=$(mktemp -d "${TMPDIR:-/tmp}/hif-faults-XXXXXX")
trap 'rm -rf "$work"' EXIT
export HOME=$work/now/home XDG_RUNTIME_DIR=$work/now/run AWS_EC2_METADATA_DISABLED=true
unset XDG_CONFIG_HOME XDG_DATA_HOME XDG_STATE_HOME XDG_CACHE_HOME HIF_STORE HIF_AUTHOR

fail() {
	echo "$name: $kind $n (${what:-?}): $*"
	echo "again: $0 --kind $kind --only ^$name\$ --from $n --to $n"
	cat "$work/out" "$work/err" 2>/dev/null
	exit 1
}

# --- what is there before ---

fresh() {
	rm -rf "$work/now"
	mkdir -p "$HOME/.config/hif" "$XDG_RUNTIME_DIR"
	printf '[user]\nauthor = A Tester <a@example.org>\n[daemon]\nthreads = 1\n' >"$HOME/.config/hif/config"
}

tree() {
	mkdir -p "$work/now/src/dir/deep"
	for i in 1 2 3; do echo "content $i" >"$work/now/src/file$i"; done
	printf '*.o\n' >"$work/now/src/.gitignore"
	ln -s ../file1 "$work/now/src/dir/link"
	head -c 5000000 /dev/zero | tr '\0' 'z' >"$work/now/src/dir/deep/large"
}

run() { "$HIF" "$@" >"$work/out" 2>"$work/err" || { echo "setting up: hif $*"; cat "$work/err"; exit 1; }; }

with_project() { fresh && tree && run project create acme/app; }
with_landing() { with_project && run import acme/app "$work/now/src" -m first; }
with_two() {
	with_landing
	echo changed >"$work/now/src/file2" && echo new >"$work/now/src/dir/new" && rm "$work/now/src/file3"
	run import acme/app "$work/now/src" -m second
}
with_edits() { with_landing && echo changed >"$work/now/src/file2" && echo new >"$work/now/src/dir/new"; }

# --- what must hold afterwards ---

whole() { "$HIF" fsck acme/app >"$work/out" 2>"$work/err" || fail "fsck says $?"; }
# Again, without a failure: it goes through, or it went through before what failed.
again() {
	[ "$status" != 0 ] || return 0
	"$HIF" "$@" >"$work/out" 2>"$work/err"
	code=$?
	[ $code = 0 ] || [ $code = 5 ] || grep -q 'exists already' "$work/err" || fail "again: $code"
}
created() { "$HIF" log acme/app >"$work/out" 2>"$work/err" || fail "the project is not there"; }
imported() {
	whole
	"$HIF" cat acme/app:"$1" >"$work/out" 2>"$work/err" || fail "$1 can not be read"
	cmp -s "$work/out" "$work/now/src/$1" || fail "$1 is not what was imported"
	"$HIF" cat acme/app:dir/deep/large 2>"$work/err" | cmp -s - "$work/now/src/dir/deep/large" || fail "large"
}
nothing() { :; }

# --- the loop ---

points=0 runs=0 failures=0
one() { # before, after, command ...
	local before=$1 after=$2
	shift 2
	rm -rf "$work/now" && cp -a "$work/template-$before" "$work/now"
	rm -f "$work/report"
	HIF_FAULT=$kind:$n HIF_FAULT_REPORT=$work/report "$HIF_FAULTY" "$@" >"$work/out" 2>"$work/err" </dev/null
	status=$?
	what='no report'
	[ -s "$work/report" ] && read -r _ points what <"$work/report"
	[ "$what" != 'no report' ] || fail 'it ended without a word of how many points there were'
	case $status in
	0) ;;
	1 | 4 | 6 | 7 | 8 | 9)
		failures=$((failures + 1))
		[ -s "$work/err" ] || [ -s "$work/out" ] || fail "status $status, and no sentence"
		;;
	*) fail "status $status" ;;
	esac
	! grep -qE 'Assertion|Sanitizer|runtime error' "$work/err" || fail "it broke"
	again "$@"
	"$after" file2
}

scenario() { # name, before, after, command ...
	name=$1
	shift
	[[ $name =~ $only ]] || return 0
	if [ ! -d "$work/template-$1" ]; then
		"$1" && mv "$work/now" "$work/template-$1"
	fi
	for kind in $kinds; do
		runs=0 failures=0
		for ((n = from; n <= to; n += every)); do
			one "$@"
			[ "$what" != - ] || break
			runs=$((runs + 1))
		done
		echo "$name: $kind: $points points, $runs failed one by one, $failures errors, nothing wrong"
	done
}

scenario create fresh created project create acme/app
scenario import with_project imported import acme/app "$work/now/src" -m first
scenario import-again with_edits imported import acme/app "$work/now/src" -m second
scenario log with_two nothing log acme/app
scenario log-path with_two nothing log acme/app --path file2
scenario ls with_two nothing ls -R acme/app
scenario cat with_two nothing cat acme/app:dir/deep/large
scenario fsck with_two whole fsck acme/app
scenario maintain with_two whole maintain acme/app
scenario sessions with_two nothing session list
scenario projects with_two nothing project list
scenario probe with_two whole store probe
