#!/bin/bash
# cleanroom.sh DIR [COMMAND...] - run the README's two commands in a fresh Debian 12 that has nothing but git.
#
# A minimal Debian is put into DIR with debootstrap, from the mirror that this machine's apt uses, then a
# clone of this repository. Each COMMAND (default: scripts/demo.sh and scripts/test.sh) runs in it, in
# mount and process namespaces of its own, with nothing of this machine but its network, /dev/fuse and the
# kernel. A log of each is kept in DIR; time and exit code are printed. Run again with the same DIR: the
# base system is kept, all the rest is new.
#
# Needs root, debootstrap, and some 4 GB. Not part of the tests: it takes as long as all of them together.
set -eu
cd "$(dirname "$0")/.."
[ $# -gt 0 ] || { sed -n '2s/^# //p' "$0" >&2; exit 2; }
mkdir -p "$1"
dir=$(realpath "$1")
shift
[ $# -gt 0 ] || set -- scripts/demo.sh scripts/test.sh
release=bookworm
root=$dir/root

now() { date +%s.%N; }
since() { printf '%.0f s' "$(echo "$(now) $1" | awk '{ print $1 - $2 }')"; }

if [ ! -f "$dir/base.tar" ]; then
	mirror=$(apt-get indextargets --format '$(CODENAME) $(REPO_URI)' 'Created-By: Packages' |
		awk -v release=$release '$1 == release { print $2; exit }')
	[ -n "$mirror" ] || { echo "cleanroom.sh: apt on this machine knows no mirror of $release" >&2; exit 1; }
	start=$(now)
	rm -rf "$root"
	debootstrap --variant=minbase --include=git $release "$root" "$mirror" >"$dir/debootstrap.log" 2>&1 ||
		{ tail -n 5 "$dir/debootstrap.log" >&2; exit 1; }
	# What this machine says of mirrors and of the way to them, or the new system cannot install anything.
	cp /etc/resolv.conf /etc/hosts "$root/etc/"
	rm -f "$root/etc/apt/sources.list"
	for file in /etc/apt/sources.list /etc/apt/sources.list.d/debian*; do
		[ ! -f "$file" ] || cp "$file" "$root${file}"
	done
	apt-config dump | grep -E '^Acquire::https?::(Proxy|.*Pipeline-Depth)' \
		>"$root/etc/apt/apt.conf.d/90cleanroom" || true
	tar -cf "$dir/base.tar.part" -C "$root" .
	mv "$dir/base.tar.part" "$dir/base.tar"
	echo "debootstrap: $(since "$start")"
fi
rm -rf --one-file-system "$root"
mkdir "$root"
tar -xpf "$dir/base.tar" -C "$root"
git clone -q . "$root/root/hif"
echo "hif at $(git -C "$root/root/hif" log -1 --format=%h), $(chroot "$root" dpkg -l | grep -c ^ii) packages"

cat >"$root/enter" <<'ENTER'
#!/bin/bash
# As the first process of the namespaces.
set -eu
mount -t proc proc /proc
mount -t tmpfs -o mode=755 dev /dev
for node in 'null 1 3' 'zero 1 5' 'full 1 7' 'random 1 8' 'urandom 1 9' 'tty 5 0' 'fuse 10 229'; do
	read -r name major minor <<<"$node"
	mknod -m 666 "/dev/$name" c "$major" "$minor"
done
mkdir /dev/pts /dev/shm
mount -t devpts -o newinstance,ptmxmode=666 devpts /dev/pts
ln -s pts/ptmx /dev/ptmx
mount -t tmpfs -o mode=1777 shm /dev/shm
ln -s /proc/self/fd /dev/fd
cd /root/hif
"$@" </dev/null
ENTER
chmod +x "$root/enter"

failed=0
for command; do
	log=$dir/$(basename "${command%% *}").log
	start=$(now)
	status=0
	# shellcheck disable=SC2086 # a command with its arguments
	env -i HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
		unshare --mount --pid --fork --kill-child chroot "$root" /enter $command >"$log" 2>&1 || status=$?
	echo "$command: exit code $status, $(since "$start"), $log"
	[ $status = 0 ] || { failed=1 && tail -n 15 "$log"; }
done
exit $failed
