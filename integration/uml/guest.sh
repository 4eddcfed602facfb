#!/bin/bash
# guest.sh - run a command under a Linux kernel of its own, one that has an NFS client.
#
#   guest.sh [--share DIR]... [--mem SIZE] [--disk SIZE] [--user UID:GID] [--timeout SEC] [--verbose]
#            -- command [argument...]
#
# The kernel is User-Mode Linux. The guest's / is the host's / (hostfs, read-only) under a tmpfs layer:
# every tool and file of the host is there, and what the guest writes outside the shared directories is
# thrown away. nfs and fuse are loaded, loopback is up, and nothing of the host's network is reachable,
# so `hif mount` does in there what it does on any machine: a daemon on 127.0.0.1, and mount(2).
#
# stdout, stderr and the exit status are the command's. 124: timed out. 125: the guest did not come up.
#
#   --share DIR    a host directory, writable in the guest under the same path
#   --mem SIZE     guest memory (2G); half of it is the room for files
#   --disk SIZE    an ext4 of its own at /disk, thrown away like the rest
#   --user U:G     run the command as this user instead of root
#
# Needs: user-mode-linux, busybox or kmod, util-linux, iproute2; cc for a preload on CPUs with AMX
# (uml-xstate-shim.c says why). UML_KERNEL, UML_MODULES, UML_ARGS choose another kernel. In GCOV_GUESTS, a
# directory, each guest leaves what gcov counted in it (scripts/coverage.sh), in a directory of its own.
set -u

die() {
	echo "guest.sh: $*" >&2
	exit 125
}

here=$(cd "$(dirname "$0")" && pwd)
mem=2G disk= user= limit=300 verbose=0
shares=()
while [ $# -gt 0 ]; do
	case $1 in
	--share) shares+=("$(realpath "$2")"); shift 2 ;;
	--mem) mem=$2; shift 2 ;;
	--disk) disk=$2; shift 2 ;;
	--user) user=$2; shift 2 ;;
	--timeout) limit=$2; shift 2 ;;
	--verbose) verbose=1; shift ;;
	--) shift; break ;;
	*) die "unknown option $1" ;;
	esac
done
[ $# -gt 0 ] || die "no command given"

if [ -n "${GCOV_GUESTS-}" ]; then
	counted=$(mktemp -d "$GCOV_GUESTS/XXXXXX") && chmod 1777 "$counted" || die "cannot write in $GCOV_GUESTS"
	shares+=("$counted")
	set -- env GCOV_PREFIX="$counted" "$@"
fi

kernel=${UML_KERNEL:-$(command -v linux.uml)} || die "linux.uml not found: install user-mode-linux"
if [ -z "${UML_MODULES-}" ]; then
	release=$("$kernel" --version) || die "$kernel does not run"
	UML_MODULES=/usr/lib/uml/modules/$release
fi
preload=
if [ -z "${UML_KERNEL-}" ] && grep -qw amx_tile /proc/cpuinfo; then
	preload=${TMPDIR:-/tmp}/uml-xstate-shim-$(id -u).so
	[ "$preload" -nt "$here/uml-xstate-shim.c" ] ||
		{ cc -O2 -shared -fPIC -o "$preload.$$" "$here/uml-xstate-shim.c" -ldl && mv "$preload.$$" "$preload"; } ||
		die "cannot build the preload (needs cc)"
fi
if command -v insmod >/dev/null; then insmod=insmod; else insmod="busybox insmod"; fi

# The guest holds a descriptor of the host for every file of it that it has seen.
ulimit -n "$(ulimit -Hn)" 2>/dev/null
run=$(mktemp -d "${TMPDIR:-/tmp}/hif-guest.XXXXXX") || die "mktemp failed"
chmod 755 "$run"
pid=
cleanup() {
	# timeout passes TERM on to the guest, which is a session of its own, and follows up with KILL.
	[ -z "$pid" ] || { kill -TERM "$pid" && wait "$pid"; } 2>/dev/null
	rm -rf "$run"
}
trap cleanup EXIT
trap 'exit 143' TERM
trap 'exit 130' INT

if [ -n "$disk" ]; then
	truncate -s "$disk" "$run/disk" && PATH=$PATH:/sbin mkfs.ext4 -q -F "$run/disk" ||
		die "cannot make a disk of $disk"
fi

{
	echo '#!/bin/bash'
	echo 'export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
	echo 'export HOME=/root TERM=dumb LC_ALL=C.UTF-8 IN_GUEST=1'
	printf 'export UML_MODULES=%q\n' "$UML_MODULES"
	printf 'cd %q || exit 126\n' "$PWD"
	printf 'exec '
	printf '%q ' "$@"
	echo
} >"$run/command"

# What a module needs comes first: modules.dep lists it in the other order.
modules=
for module in kernel/fs/nfs/nfsv3.ko kernel/fs/fuse/fuse.ko; do
	[ -f "$UML_MODULES/modules.dep" ] || break
	modules="$modules $(awk -F': *' -v m="$module" '$1 == m {
		n = split($2, d, " ")
		while (n) print d[n--]
		print $1 }' "$UML_MODULES/modules.dep")"
done

cat >"$run/init" <<EOF
#!/bin/bash
# Stage 1: a writable, throw-away layer over the read-only host root.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
mount -t proc proc /proc
if [ "\$1" != stage2 ]; then
	o=$UML_MODULES/kernel/fs/overlayfs/overlay.ko
	[ ! -f \$o ] || $insmod \$o || exit
	mount -t tmpfs -o size=60%,mode=755 layer /mnt && cd /mnt && mkdir up work root &&
	mount -t overlay -o lowerdir=/,upperdir=up,workdir=work root root || exit
	mount -n --move /dev root/dev
	umount /proc
	exec chroot root $run/init stage2
fi
# Stage 2: the system that the command sees.
finish() { echo "\$1" >$run/rc; sync; echo o >/proc/sysrq-trigger; sleep 9; }
mount -t sysfs sys /sys
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
ln -sf /proc/self/fd /dev/fd
for d in /dev/shm /run; do mount -t tmpfs -o mode=1777 tmp \$d; done
mkdir -p $run
for d in $run ${shares[*]-}; do
	mkdir -p \$d
	mount -t hostfs none \$d -o \$d || echo "guest.sh: cannot share \$d" >&2
done
if [ -n "$disk" ]; then
	[ -e /dev/ubda ] || mknod /dev/ubda b 98 0
	mkdir -p /disk && mount -t ext4 /dev/ubda /disk || finish 125
fi
hostname guest
ip link set lo up
for m in $(echo $modules); do $insmod $UML_MODULES/\$m || finish 125; done
[ -e /dev/fuse ] || mknod /dev/fuse c 10 229
stty raw -echo </dev/tty1; stty raw -echo </dev/tty2
${user:+setpriv --reuid=${user%%:*} --regid=${user##*:} --clear-groups} \\
	bash $run/command </dev/null >/dev/tty1 2>/dev/tty2
finish \$?
EOF
chmod +x "$run/init" "$run/command"

[ $verbose = 0 ] && exec 5>"$run/console" || exec 5>&2
exec 3> >(exec cat); out=$!
exec 4> >(exec cat >&2); err=$!
env ${preload:+LD_PRELOAD="$preload"} TMPDIR=/dev/shm \
	timeout -k 2 "$limit" "$kernel" \
	rootfstype=hostfs root=/dev/root rootflags=/ ro mem="$mem" init="$run/init" \
	${disk:+ubd0="$run/disk"} umid="${run##*.}" uml_dir="$run" quiet panic=1 \
	con=null con0=null,fd:2 con1=null,fd:3 con2=null,fd:4 ${UML_ARGS-} \
	</dev/null >"$run/console0" 2>&5 &
pid=$!
wait "$pid" 2>/dev/null
status=$?
pid=
exec 3>&- 4>&-
wait "$out" "$err" 2>/dev/null # all of its output is written
if [ -s "$run/rc" ]; then
	status=$(cat "$run/rc")
elif [ $status = 124 ] || [ $status = 137 ]; then
	echo "guest.sh: timed out after $limit s" >&2
	status=124
else
	echo "guest.sh: the guest died (status $status); its console:" >&2
	tail -n 40 "$run/console0" "$run/console" >&2 2>/dev/null
	status=125
fi
exit "$status"
