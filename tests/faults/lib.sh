#!/bin/bash
# lib.sh (to be sourced) - what commands.sh and daemon.sh share: options, a home, which points fail, the loops.
#
# --kind K...      malloc, call, sqlite, short
# --only NAME      scenarios whose name matches
# --from N --to N --every N    the n-th point fails, one after the other, until none is left
# --burst N                    so many from there on
# --sites          instead: each call site (sites.h) fails the first time that it is passed, and the
#                  last; --batch N so many of them in one run, --shuffle SEED others together
# --again 'SITE:N ...'         one run, in which just these fail
# --go-on                      after something went wrong, too

: "${HIF:?the hif program}" "${HIF_FAULTY:?the same, with calls that fail}"
go_on= wrong=0 burst=1
only=. kinds=$all_kinds from=1 to=1000000 every=1 mode=numbers batch=8 shuffle= chosen=
while [ $# -gt 0 ]; do
	case $1 in
	--kind) kinds=$2 && shift 2 ;;
	--only) only=$2 && shift 2 ;;
	--from) from=$2 && shift 2 ;;
	--to) to=$2 && shift 2 ;;
	--every) every=$2 && shift 2 ;;
	--burst) burst=$2 && shift 2 ;;
	--sites) mode=sites && shift ;;
	--batch) batch=$2 && shift 2 ;;
	--shuffle) shuffle=$2 && shift 2 ;;
	--again) mode=again chosen=$2 && shift 2 ;;
	--go-on) go_on=1 && shift ;;
	*) sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0" "${BASH_SOURCE[0]}" && exit 2 ;;
	esac
done
work=$(mktemp -d "${TMPDIR:-/tmp}/hif-faults-XXXXXX")
now=$work/now
trap 'rm -rf "$work"' EXIT
export HOME=$now/home XDG_RUNTIME_DIR=$now/run AWS_EC2_METADATA_DISABLED=true
unset XDG_CONFIG_HOME XDG_DATA_HOME XDG_STATE_HOME XDG_CACHE_HOME HIF_STORE HIF_AUTHOR

put_away() { :; }

home() {
	mkdir -p "$HOME/.config/hif" "$XDG_RUNTIME_DIR"
	printf '[user]\nauthor = A Tester <a@example.org>\n[daemon]\nthreads = 1\n' >"$HOME/.config/hif/config"
}

fail() { # sentence; name: of the scenario
	echo "$name: $kind ${point:-} (${what:-?}): $*"
	if [ "$mode" = numbers ]; then
		echo "again: $0 --kind $kind --only ^$name\$ --from $n --to $n --burst $burst"
	else
		echo "again: $0 --kind $kind --only ^$name\$ --again '$chosen'"
	fi
	explain
	put_away
	awk '$1 == "site" && $4 > 0 { print "failed: " $2 " " $5 }' "$work/report" 2>/dev/null
	exit 1
}

# The environment of the process whose calls fail.
faulty() { # command ...
	if [ "$mode" = numbers ]; then
		HIF_FAULT=$kind:$n+$burst HIF_FAULT_REPORT=$work/report "$@"
	else
		tr ' :' '\n ' <<<"$chosen" >"$work/sites"
		HIF_FAULT=$kind:0 HIF_FAULT_SITES=$work/sites HIF_FAULT_REPORT=$work/report "$@"
	fi
}

# After it has ended. what: the function that failed, - for none.
take_report() {
	what='no report'
	[ -s "$work/report" ] && read -r _ points what <"$work/report"
	[ "$what" != 'no report' ] || fail 'it ended without a word of how many points there were'
}

# One run. What it found out, or that it went wrong.
run_once() { # one run ...
	if ("$@" && printf 'what=%q points=%q failures=%q\n' "$what" "${points:-0}" "$failures" >"$work/result"); then
		. "$work/result"
		return 0
	fi
	[ -n "$go_on" ] || exit 1
	put_away
	touch "$work/report"
	wrong=$((wrong + 1)) what=wrong
	return 1
}

# Each site's first and last time, as SITE:N, from a run in which nothing fails.
list_sites() { # one run ...
	chosen=
	run_once "$@"
	[ "$what" = - ] || fail 'something failed in a run without failures'
	awk '$1 == "site" { print $2 ":1" }' "$work/report" | sort >"$work/left"
	awk '$1 == "site" && $3 > 1 { print $2 ":" $3 }' "$work/report" | sort >>"$work/left"
	sites=$(grep -c ':1$' "$work/left") all=$(wc -l <"$work/left")
	[ -z "$shuffle" ] || shuf --random-source=<(yes "$shuffle") -o "$work/left" "$work/left"
}

# Those of $work/left, so many in one run. What one failure keeps from being reached stays there.
pass() { # how many, one run ...
	local many=$1 list i
	shift
	mapfile -t list <"$work/left"
	for ((i = 0; i < ${#list[@]}; i += many)); do
		chosen=${list[*]:i:many} point="sites $i to $((i + many - 1)) of ${#list[@]}"
		run_once "$@"
		runs=$((runs + 1))
		awk '$1 == "site" && $4 > 0 { print $2 }' "$work/report" >>"$work/hit"
		tr ' ' '\n' <<<"$chosen" | grep -vFf "$work/hit" >>"$work/next"
		rm "$work/hit"
	done
	mv "$work/next" "$work/left"
}

run_sites() { # one run ...
	local sites all many
	point='listing sites'
	list_sites "$@"
	for many in $batch $((batch / 3 + 1)) 1; do
		touch "$work/next"
		pass "$many" "$@"
	done
	echo "$name: $kind: $sites call sites, $((all - $(wc -l <"$work/left"))) of $all points failed in $runs runs," \
		"$failures errors, $wrong wrong"
}

run_numbers() { # one run ...
	for ((n = from; n <= to; n += every)); do
		point=$n
		run_once "$@"
		[ "$what" != - ] || break
		runs=$((runs + 1))
	done
	echo "$name: $kind: $points points, $runs failed one by one, $failures errors, $wrong wrong"
}

# One run ends with take_report, and counts in `failures` what has said that it did not work.
loop() { # name, one run ...
	name=$1
	shift
	[[ $name =~ $only ]] || return 0
	for kind in $kinds; do
		points=0 runs=0 failures=0
		case $mode in
		numbers) run_numbers "$@" ;;
		sites) run_sites "$@" ;;
		again) run_once "$@" && echo "$name: $kind: $chosen: nothing wrong" ;;
		esac
	done
	[ "$wrong" = 0 ]
}
