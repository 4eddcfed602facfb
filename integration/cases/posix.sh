#!/bin/bash
# What programs may rely on in a directory holds on mounts (tests/posix), and the harder parts of it while
# sessions land, move, and the server dies.
# POSIX_DIR, DIR_CHURN, NFS_TWICE: the programs; ENTRIES: names in the large directory; ROUNDS: landings of both
# sessions, and kills; KILLS: while requests come twice; PAUSE: seconds between them.
. "$(dirname "$0")/../lib.sh"

entries=${ENTRIES:-1500}
posix_dir=$(realpath "${POSIX_DIR:?set POSIX_DIR to tests/posix/posix_dir}")
nfs_twice=$(realpath "${NFS_TWICE:?set NFS_TWICE to tests/nfs/nfs_twice}")
dir_churn=$(realpath "${DIR_CHURN:?set DIR_CHURN to tests/posix/dir_churn}")
m=$work/m

step 'set up'
chmod 755 "$work"
mkdir -p "$work/tree/many"
(cd "$work/tree/many" && seq -f 'stable-%06g' 0 $((entries - 1)) | xargs touch)
echo one >"$work/tree/one"
echo two >"$work/tree/two"
names=(name Name NAME $'\xc3\xa9t\xc3\xa9' $'e\xcc\x81te\xcc\x81' $'\xc3\x89t\xc3\xa9' $'\xff' 'name ' name.)
mkdir "$work/tree/names"
for i in 0 3 6 7; do echo "${names[i]}" >"$work/tree/names/${names[i]}"; done # the others are made later
head -c 300000 /dev/zero | tr '\0' m | tee "$work/tree/map1" >"$work/tree/map2"
hif project create acme/posix
hif import acme/posix "$work/tree" -m import
umask 022
hif mount "--$front" acme/posix "$m" --allow-other

step 'what holds in any directory'
mkdir "$m/posix"
"$posix_dir" "$m/posix" $([ "$front" != nfs ] || echo --nfs)
rmdir "$m/posix"
expect "$(changes "$m")" 'no changes against @1'

step 'names that differ in case, or in form, are several, in the base, beside it and landed'
for name in "${names[@]}"; do
	[ -e "$m/names/$name" ] || echo "$name" >"$m/names/$name"
done
all_names() { # all_names DIR
	local name
	expect "$(find "$1" -type f | wc -l)" ${#names[@]}
	for name in "${names[@]}"; do expect "$(cat "$1/$name")" "$name"; done
}
all_names "$m/names"
hif -C "$m" land 'all the names' >/dev/null
all_names "$m/names"
for name in "${names[@]}"; do expect "$(hif cat "acme/posix:names/$name")" "$name"; done
rm "$m/names"/[nN]ame
expect "$(changes "$m")" 'D names/Name
D names/name'
hif -C "$m" land 'without two of them' >/dev/null
expect "$(find "$m/names" -mindepth 1 -iname 'name*' | wc -l) $(cat "$m/names/NAME")" '3 NAME'

step 'room is told as the disk has it'
read -r size total < <(stat -f -c '%S %b' "$m")
read -r disk_size disk_total < <(stat -f -c '%S %b' "$HOME")
off=$((size * total / 1048576 - disk_size * disk_total / 1048576))
[ ${off#-} -le 1 ] || fail "$off MiB more than the disk has"

step 'a removed file that is open is in no status and no landing, and stays readable'
exec 8<"$m/one"
rm "$m/one"
expect "$(changes "$m")" 'D one'
[ "$front" != nfs ] || expect "$(ls -A "$m" | grep -c '^\.nfs')" 1
hif -C "$m" land 'without one' >/dev/null
expect "$(cat <&8)" one
exec 8<&-
expect "$(ls -A "$m" | grep -c '^\.nfs')" 0
expect "$(changes "$m")" 'no changes against @4'
expect "$(hif ls acme/posix | grep -c one)" 0

step 'names that a client left go with the next mount, and only those'
left=.nfs0000000000000c0a00000007
mkdir "$m/left" "$m/left/.nfs0000000000000c0a00000008"
echo x | tee "$m/left/$left" "$m/left/.nfs" "$m/left/.nfs-plan" >/dev/null
hif unmount "$m"
hif mount "--$front" acme/posix "$m" --allow-other
expect "$(ls -A "$m/left" | tr '\n' ' ')" '.nfs .nfs-plan .nfs0000000000000c0a00000008 '
rm -r "$m/left"

step 'a directory is listed whole while sessions land and move'
"$dir_churn" "$m/many" --stable "$entries" --readers 4 --seconds 600 --until "$work/enough" &
churn=$!
hif mount "--$front" acme/posix "$work/other" --session other --allow-other
for i in $(seq "${ROUNDS:-2}"); do
	[ ! -e "$m/many/theirs-$i" ] || fail 'it is not there yet' # and the kernel remembers that
	echo "$i" >"$work/other/theirs"
	echo "$i" >"$work/other/many/theirs-$i"
	hif -C "$work/other" land "theirs $i" >/dev/null
	echo "$i" >"$m/mine"
	hif -C "$m" land "mine $i" >/dev/null
	expect "$(cat "$m/theirs") $(cat "$m/many/theirs-$i")" "$i $i"
	sleep "${PAUSE:-0}"
	kill -0 $churn || fail 'names were lost or repeated, or a change failed'
done

step 'what is mapped stays as it was, also when others have landed a shorter one, or none'
cat >"$work/map.py" <<'P'
import mmap, sys
files = [open(name, 'rb') for name in sys.argv[1:]]
maps = [mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) for file in files]
first = [m[:1] for m in maps]
print('mapped', flush=True)
sys.stdin.readline()
sys.exit(first != [b'm', b'm'] or any(m[:] != b'm' * 300000 for m in maps))
P
mkfifo "$work/go"
/usr/bin/python3 "$work/map.py" "$m/map1" "$m/map2" <"$work/go" >"$work/mapped" &
mapper=$!
exec 7>"$work/go"
until grep -q mapped "$work/mapped"; do
	kill -0 $mapper || fail 'they cannot be mapped'
	sleep 0.1
done
echo short >"$work/other/map1"
rm "$work/other/map2"
hif -C "$work/other" land 'shorter, and none' >/dev/null
echo again >"$m/mine"
hif -C "$m" land 'after that' >/dev/null
expect "$(stat -c %s "$m/map1")" 6
[ ! -e "$m/map2" ] || fail 'it is there'
echo go >&7
exec 7>&-
wait $mapper || fail 'it is not what was mapped'
hif unmount "$work/other"

step 'and while the server is killed'
for i in $(seq "${ROUNDS:-2}"); do
	kill -9 "$(daemon_pid)"
	sleep 1
	expect "$(cat "$m/two")" two
	kill -0 $churn || fail 'names were lost or repeated, or a change failed'
done
touch "$work/enough"
wait $churn || fail 'names were lost or repeated, or a change failed'
hif -C "$m" land 'what is left' >/dev/null || true
expect "$(find "$m/many" -name 'stable-*' | wc -l)" "$entries"

if [ "$front" = nfs ]; then
	step 'requests that come twice, on two connections, are carried out once, also when the server dies'
	hif unmount "$m" # the proxy and the mount behind it are out here
	hif mount --nfs acme/posix "$m" --allow-other --no-netns
	read -r source port < <(awk -v at="$m" '$2 == at { match($4, /,port=[0-9]+/); print $1, substr($4, RSTART + 6, RLENGTH - 6) }' /proc/mounts)
	proxy_port=$((20000 + $$ % 20000))
	"$nfs_twice" $proxy_port "$port" 3 >"$work/twice.log" &
	proxy=$!
	mkdir "$work/twice"
	listens() { grep -qi ":$(printf %04X "$proxy_port") 00000000:0000 0A" /proc/net/tcp; }
	wait_for 'the proxy does not listen' listens
	mount -i -t nfs -o "vers=3,proto=tcp,mountproto=tcp,nolock,noacl,hard,timeo=600,sec=sys,addr=127.0.0.1,mountaddr=127.0.0.1,port=$proxy_port,mountport=$proxy_port" "$source" "$work/twice"
	mkdir "$work/twice/dup"
	"$dir_churn" "$work/twice/dup" --stable 50 --make --seconds 600 --until "$work/enough2" --writers 3 --readers 1 &
	churn=$!
	for i in $(seq "${KILLS:-2}"); do
		sleep "${PAUSE:-2}"
		kill -0 $churn || fail 'a change failed, or names were lost or repeated'
		kill -9 "$(daemon_pid)"
	done
	sleep 1
	touch "$work/enough2"
	wait $churn || fail 'a change failed, or names were lost or repeated'
	umount "$work/twice"
	kill $proxy
	wait $proxy || true
	cat "$work/twice.log"
	expect_match "$(cat "$work/twice.log")" 'nfs_twice: [0-9]+ requests, [1-9][0-9]+ of them twice'
fi
hif unmount "$m"
