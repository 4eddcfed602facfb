#!/bin/bash
# A store of 400 projects that no hif would make (tests/hostile): each is mounted, walked and checked with the
# real program. What is evil is refused by name, and never served; what lies beside the way does no harm; nothing
# outside is touched; and the daemon, with a good mount beside them, goes on.
#
# HIF_HOSTILE=all takes all of them; else every second one, and through NFS, as a guest is slow, every fourth.
[ ! -w /dev/shm ] || export TMPDIR=/dev/shm # hundreds of sessions, each synced to disk
. "$(dirname "$0")/../lib.sh"

make_hostile=$(realpath "${MAKE_HOSTILE:?}") walk_mount=$(realpath "${WALK_MOUNT:?}")
log=$HOME/.local/state/hif/daemon.log
memory_max=$((400 << 10)) # KiB of the daemon, with all of them mounted

declare -A fate_of words_of

# kinds FATE...: their names
kinds() {
	local name
	for name in "${all[@]}"; do
		[[ " $* " != *" ${fate_of[$name]} "* ]] || echo "$name"
	done
}

# says NAME FILE...: one of the words that an error has to name
says() {
	local words=${words_of[$1]}
	shift
	[ -z "$words" ] || grep -qaF -- "${words// /$'\n'}" "$@"
}

walk() { # walk NAME
	(cd "$work/mnt" && timeout 60 "$walk_mount" "$1") >"$work/out/$1.walk" ||
		fail "walking $1: $(tail -n 3 "$work/out/$1.walk")"
}

step 'set up'
mkdir "$work/out" "$work/mnt"
"$make_hostile" "$work/store" >"$work/kinds"
case ${HIF_HOSTILE:-$front} in
fuse) sed -i -n '1~2p' "$work/kinds" ;;
nfs) sed -i -n '1~4p' "$work/kinds" ;;
esac
all=()
while IFS=$'\t' read -r name fate words; do
	all+=("$name")
	fate_of[$name]=$fate words_of[$name]=$words
done <"$work/kinds"
echo secret >"$work/canary"
mkdir "$work/tree" && echo fine >"$work/tree/fine"
hif project create acme/good >/dev/null
hif import acme/good "$work/tree" -m import >/dev/null
hif mount "--$front" acme/good "$work/good" >/dev/null
pid=$(daemon_pid)
outside() { (cd "$work" && find . -path ./mnt -prune -o -path ./home -prune -o -path ./run -prune -o \
	-path ./out -prune -o -path ./good -prune -o -path ./store -prune -o -printf '%p %y %s %T@ %l\n' | sort); }
outside >"$work/home/outside"

export HIF_STORE=$work/store
step "mount ${#all[@]} kinds"
for name in "${all[@]}"; do
	status=0
	timeout 60 "$hif" mount "--$front" "evil/$name" "$work/mnt/$name" >"$work/out/$name.mount" 2>&1 || status=$?
	[ "$status" -le 9 ] || fail "mounting $name ended with $status: $(cat "$work/out/$name.mount")"
	echo "$status" >"$work/out/$name.status"
done

step 'walk them'
for name in "${all[@]}"; do
	if [ "$(cat "$work/out/$name.status")" = 0 ]; then
		walk "$name"
	else
		: >"$work/out/$name.walk"
	fi
done

step 'nothing evil was served'
! grep -aH EVIL "$work"/out/*.walk || fail 'served'
! grep -aH root:x "$work"/out/*.walk || fail 'a file of this machine'
for name in $(kinds refused unseen); do
	[ "$(cat "$work/out/$name.status")" != 0 ] || grep -q $'\terror\t' "$work/out/$name.walk" ||
		fail "$name was not refused: $(cat "$work/out/$name.walk")"
	# The log drops lines when they are many at once: then once more, and slower.
	says "$name" "$work/out/$name.mount" "$log" || { sleep 0.2 && walk "$name"; }
	says "$name" "$work/out/$name.mount" "$log" ||
		fail "nothing names the object of $name: $(cat "$work/out/$name.mount" "$work/out/$name.walk")"
done
for name in $(kinds found served ignored); do
	expect "$name $(cat "$work/out/$name.status")" "$name 0"
	! grep $'\terror\t' "$work/out/$name.walk" || fail "$name"
done
for name in $(kinds ignored); do
	grep -q "good.content.of.$name" <(sed 's/\\040/ /g' "$work/out/$name.walk") || fail "$name: not the good content"
done
# A link leads where it says, and whose kernel follows it is the client.
! grep -q '^link-absolute' "$work/kinds" ||
	grep -q $'\tlink\tlink\t/etc/passwd' "$work/out/link-absolute.walk" || fail 'link-absolute'

step 'the daemon goes on'
expect "$(daemon_pid)" "$pid"
expect "$(cat "$work/good/fine")" fine
echo new >"$work/good/new"
HIF_STORE= hif -C "$work/good" land 'beside evil' >/dev/null
outside | diff "$work/home/outside" - || fail 'something outside was touched'
expect "$(cat "$work/canary")" secret
peak=$(awk '/VmHWM/ { print $2 }' "/proc/$pid/status")
echo "  peak memory of the daemon: $((peak >> 10)) MiB"
grep -qa __asan_init "$hif" || [ "$peak" -le "$memory_max" ] || fail "it took $peak KiB"

step 'commands'
n=0
for name in $(kinds refused unseen); do
	[ $((n++ % 8)) = 0 ] || continue
	for command in "ls -r evil/$name" "cat evil/$name:EVIL" "cat evil/$name:file" "log evil/$name"; do
		status=0
		said=$(timeout 60 "$hif" $command 2>/dev/null | tr -d '\0') || status=$?
		[ "$status" -le 9 ] || fail "$command ended with $status"
		[[ ! $said =~ EVIL ]] || fail "$command: $said"
	done
done

# A guest takes long over it, and another front end makes no difference to it.
if [ "$front" = fuse ]; then
	step 'hif fsck finds them'
	export hif work
	cut -f1 "$work/kinds" | xargs -P 2 -I{} bash -c \
		'status=0; timeout 60 "$hif" fsck -r "evil/{}" >"$work/out/{}.fsck" 2>&1 || status=$?; echo "$status" >"$work/out/{}.status"'
	for name in "${all[@]}"; do
		status=$(cat "$work/out/$name.status")
		[ "$status" -le 9 ] || fail "fsck of $name ended with $status: $(cat "$work/out/$name.fsck")"
	done
	for name in $(kinds refused found); do
		[ "$(cat "$work/out/$name.status")" != 0 ] || fail "fsck finds nothing in $name"
		says "$name" "$work/out/$name.fsck" || fail "fsck of $name: $(cat "$work/out/$name.fsck")"
	done
	for name in $(kinds served); do
		expect "$name $(cat "$work/out/$name.status")" "$name 0"
	done
fi

for fate in refused unseen found ignored served; do
	echo "  $fate: $(kinds $fate | wc -l)"
done
