#!/bin/bash
# The server dies while a landing moves the mount to its new base: before, amid and after the move, up
# to the moment at which the kernel has been told. What the mount then shows is the new base and what
# was written since, and nothing that the kernel had kept of the old one; it has landed once.
# moved.sh nfs|fuse: HIF_FAULTY is the program, which dies (tests/faults/death.h).
# MOVED_EVERY=N: only at each N-th call; over NFS at each 3N-th, as the guest is slow.
every=${MOVED_EVERY:-1}
[ "$1" = fuse ] || every=$((3 * every))
. "$(dirname "$0")/../lib.sh"
plain=$hif hif=$(realpath "${HIF_FAULTY:?set HIF_FAULTY to tests/faults/hif_faulty}")

# What others make of the project: contents, sizes, modes, kinds, names that come and go.
others() { # others ROUND
	local tree=$work/tree
	rm -rf "$tree" && mkdir -p "$tree/src/deep" "$tree/round$1"
	echo same >"$tree/kept"
	printf 'round %s' "$1" >"$tree/src/changed"
	head -c $(($1 * 1000 + 1)) /dev/zero >"$tree/src/grown"
	echo "$1" >"$tree/round$1/new"
	for i in $(seq 1 "$every" $(($1 - 1))); do echo "mine $i" >"$tree/mine$i"; done # what has landed
	if [ $(($1 % 2)) = 0 ]; then
		ln -s kept "$tree/src/kind"
		chmod 755 "$tree/kept"
		echo here >"$tree/src/deep/comes-and-goes"
	else
		mkdir "$tree/src/kind"
		echo inside >"$tree/src/kind/file"
	fi
	"$plain" import acme/app "$tree" -m "others $1" >/dev/null
}

# By their names alone: listing a directory would tell the kernel what is new there.
by_name() { # by_name DIR ROUND
	(cd "$1" && cat kept src/changed "round$2/new" src/deep/comes-and-goes src/kind/file src/kind
		stat -c '%n %F %a %s' kept src/changed src/grown "round$2" src/kind) 2>&1 |
		sed "s|$1||; s/directory [0-9]* *$/directory/; s/ 755 [0-9]*$/ 755/" || true
}

look() { # at everything, so that the kernel keeps what it can
	(cd "$work/app" && ls -lR . && find . -type f -exec cat {} +) >/dev/null
	by_name "$work/app" "$1" >"$work/before"
}

shown() { # shown DIR
	(cd "$1" && find . -mindepth 1 ! -name "mine$n" -printf '%p %y %m %l ' \( -type f -printf '%s' -o -printf '' \) -printf '\n' | sort)
}

step 'set up'
hif project create acme/app >/dev/null
others 0
step "the server dies at each ${every}. call of the move"
calls=0 landed=0
for n in $(seq 1 "$every" 2000); do
	export HIF_FAULT_DIE=refresh:$n
	hif mount "--$front" acme/app "$work/app" --session "s$n" >/dev/null
	look "$n"
	others "$n"
	echo "mine $n" >"$work/app/mine$n"
	status=0
	hif -C "$work/app" land "round $n" >"$work/out" 2>&1 || status=$?
	# 5: it had landed, and the next server found nothing more to do.
	[ $status = 0 ] || [ $status = 7 ] || { [ $status = 5 ] && grep -q 'a first try, which may have landed' "$work/out"; } ||
		fail "call $n: land ended with $status: $(cat "$work/out")"
	# What the kernel shows from its first answer on.
	diff <(by_name "$work/tree" "$n") <(by_name "$work/app" "$n") >"$work/diff" || fail "call $n: stale: $(cat "$work/diff")"
	! diff -q <(by_name "$work/tree" "$n") "$work/before" >/dev/null || fail 'nothing has changed'
	diff -r --no-dereference -x "mine$n" "$work/tree" "$work/app" >"$work/diff" || fail "call $n: stale: $(cat "$work/diff")"
	diff <(shown "$work/tree") <(shown "$work/app") >"$work/diff" || fail "call $n: stale: $(cat "$work/diff")"
	expect "$(cat "$work/app/mine$n")" "mine $n"
	if [ $status = 7 ]; then # it is found out, and followed
		status=0
		hif -C "$work/app" land "round $n" >"$work/out" 2>&1 || status=$?
		[ $status = 0 ] || [ $status = 5 ] || fail "call $n: landing again ended with $status: $(cat "$work/out")"
	fi
	expect "$(changes "$work/app")" "$(hif -C "$work/app" status | grep '^no changes')"
	expect "$("$plain" log acme/app | grep -c "round $n\$")" 1
	landed=$((landed + 1))
	died=$HOME/.local/state/hif/workspaces/acme/app/s$n/refresh.died
	hif unmount "$work/app" >/dev/null
	hif daemon stop >/dev/null
	[ -e "$died" ] || break
	calls=$n
	echo "  $n: $(cat "$died"), land $status" >>"$work/calls"
done
[ "$calls" -gt 0 ] || fail 'nobody died'
[ -z "${MOVED_VERBOSE:-}" ] || cat "$work/calls"
echo "  died at $landed calls, up to the ${calls}."
