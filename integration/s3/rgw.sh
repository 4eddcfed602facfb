#!/bin/bash
# rgw.sh - a real S3 server of one's own: Ceph's RADOS Gateway, one node, in one directory, without root.
#
#	rgw.sh start DIR [PORT]   bring it up, whatever is up already; prints DIR/s3.env
#	rgw.sh stop DIR           end its processes
#	rgw.sh status DIR         which of its processes live, and their memory
#	rgw.sh wipe DIR           stop it and remove DIR
#	rgw.sh kill DIR NAME      SIGKILL for one process (mon, osd, rgw); start brings it back
#	rgw.sh bucket DIR NAME    create a bucket; start has made "hif"
#
# DIR/s3.env, to be sourced with set -a, holds S3_ENDPOINT, AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION.
# Without PORT 18 free ports are looked for: PORT is S3, PORT+1 and +2 the monitor, PORT+10 to +17 the OSD.
#
# Read when DIR is created:
#	RGW_STORE=memstore      objects in memory (default); written down at a clean stop, gone after `kill osd`
#	RGW_STORE=bluestore     in a sparse file, synced: what was acknowledged survives kills
#	RGW_SIZE_GB=8           its capacity
#	RGW_ADDRESS=127.0.0.1   where everything listens
#
# Debian 12: ceph-mon ceph-osd radosgw ceph-common curl. Nothing outside DIR is written, no service is used.
set -u
export CEPH_ARGS='' PYTHONWARNINGS=ignore

die() {
	echo "rgw.sh: $*" >&2
	exit 1
}

usage() {
	sed -nE '4,9s/^#\t//p' "$0" >&2
	exit 2
}

# --- processes: each has a pid file, which counts only while the process it names has our configuration ---

pid_of() { cat "$dir/run/$1.pid" 2>/dev/null; }

alive() { # alive NAME
	local pid
	pid=$(pid_of "$1")
	[ -n "$pid" ] && tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline" | grep -qF -- "-c $conf"
}

launch() { # launch NAME COMMAND...: in a session of its own, so that what ends its starter does not end it
	local name=$1
	shift
	setsid "$@" -c "$conf" -f </dev/null >>"$dir/log/$name.out" 2>&1 9>&- &
	echo $! >"$dir/run/$name.pid"
}

wait_until() { # wait_until SECONDS COMMAND...
	local end=$((SECONDS + $1))
	shift
	until "$@" >/dev/null 2>&1; do
		[ $SECONDS -lt $end ] || return 1
		sleep 0.05
	done
}

stop_one() { # stop_one NAME SECONDS
	local pid
	if alive "$1"; then
		pid=$(pid_of "$1")
		kill -TERM "$pid" 2>/dev/null
		if wait_until "$2" not_alive "$1"; then
			# A memstore is written down when its OSD ends by itself, and only then.
			[ "$1" != osd ] || : >"$dir/clean"
		else
			kill -KILL "$pid" 2>/dev/null
		fi
	fi
	rm -f "$dir/run/$1.pid"
}

not_alive() { ! alive "$1"; }

stop_all() {
	stop_one rgw 15
	stop_one osd 30
	stop_one mon 10
}

# --- ports ---

taken() { # taken PORT: is any port of the block that begins there in use?
	ss -Hltn | awk -v first="$1" '{ sub(/.*:/, "", $4); if ($4 >= first && $4 < first + 18) found = 1 }
		END { exit !found }'
}

free_port() { # below the range from which the kernel gives ports to clients
	local port
	for _ in $(seq 100); do
		port=$((10240 + (RANDOM % 700) * 32))
		taken $port || { echo $port; return; }
	done
	die 'no 18 free ports in a row between 10240 and 32640'
}

# --- creation ---

write_config() {
	cat >"$conf" <<END
[global]
fsid = $fsid
mon host = [v2:$ADDRESS:$((PORT + 1)),v1:$ADDRESS:$((PORT + 2))]
mon initial members = a
public addr = $ADDRESS
cluster addr = $ADDRESS
ms bind ipv6 = false
ms bind port min = $((PORT + 10))
ms bind port max = $((PORT + 17))
run dir = $dir/run
log file = $dir/log/\$name.log
mon cluster log file = $dir/log/cluster.log
admin socket = $dir/run/\$name.asok
pid file =
crash dir = $dir/log
log to stderr = false
mon cluster log to stderr = false
debug rgw = 0/0
debug osd = 0/0
debug mon = 0/0
debug ms = 0/0
debug paxos = 0/0
ms type = async+posix
ms async op threads = 2

# Who may connect is who reaches the loopback. The gateway asks for the mode "secure" by default, which
# cannot work without authentication: it then hangs at its start.
auth cluster required = none
auth service required = none
auth client required = none
auth supported = none
ms mon client mode = crc

# One OSD is the whole cluster.
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 4
osd pool default pgp num = 4
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
mon allow pool size one = true
mon max pg per osd = 1000

# With the defaults (5 s) a start takes 1 s or 6 s, as it happens.
objecter tick interval = 0.5
mon client hunt interval = 0.5
mon tick interval = 1

[mon]
mon data = $dir/mon
mon data avail crit = 1
mon data avail warn = 1
paxos propose interval = 0.02
paxos min wait = 0.01
mon osd min down reporters = 1
mon warn on pool no redundancy = false
auth allow insecure global id reclaim = true

[osd]
osd data = $dir/osd
osd objectstore = $STORE
osd crush update on start = true
# The default leaves at once, without writing the memstore down; the next start then hangs.
osd fast shutdown = false
osd class load list = *
osd class default list = *
osd memory target = 939524096
osd scrub min interval = 31536000
osd scrub max interval = 31536000
osd deep scrub interval = 31536000
osd op num shards = 4
osd op num threads per shard = 1
memstore device bytes = $((SIZE_GB << 30))
bluestore block create = true
bluestore block size = $((SIZE_GB << 30))
bluestore cache size = 268435456

[client]
rgw dns name = s3.localhost
rgw data = $dir/rgw
rgw enable usage log = false
rgw enable ops log = false
rgw enable lc threads = false
rgw run sync thread = false
rgw enable quota threads = false
rgw dynamic resharding = false
rgw override bucket index max shards = 1
rgw thread pool size = 128
# The tails of objects that were replaced stay until they are collected, and a memstore grows by them.
rgw gc obj min wait = 60
rgw gc processor period = 60
END
}

quietly() { # quietly WHAT COMMAND...
	local what=$1
	shift
	"$@" >>"$dir/log/create.out" 2>&1 || die "$what failed: see $dir/log/create.out"
}

create_monitor() {
	local fsid
	mkdir -p "$dir"/{run,log,mon,osd,rgw} || die "cannot create $dir"
	: >"$dir/made-by-rgw.sh"
	fsid=$(cat /proc/sys/kernel/random/uuid)
	cat >"$dir/settings" <<END
PORT=$1
ADDRESS=${RGW_ADDRESS:-127.0.0.1}
STORE=${RGW_STORE:-memstore}
SIZE_GB=${RGW_SIZE_GB:-8}
ACCESS_KEY=TESTACCESSKEY0000001
SECRET_KEY=testSecretKey/with+chars0000000000000001
REGION=us-east-1
END
	. "$dir/settings"
	write_config
	quietly monmaptool monmaptool --create --fsid "$fsid" \
		--addv a "[v2:$ADDRESS:$((PORT + 1)),v1:$ADDRESS:$((PORT + 2))]" "$dir/monmap"
	quietly 'creating the monitor' ceph-mon -c "$conf" --mkfs -i a --monmap "$dir/monmap" --fsid "$fsid"
}

create_osd() { # needs the monitor
	local uuid
	wait_until 30 ceph -c "$conf" --connect-timeout 5 mon stat || die "the monitor does not answer: see $dir/log"
	uuid=$(cat /proc/sys/kernel/random/uuid)
	quietly 'announcing the OSD' ceph -c "$conf" osd new "$uuid"
	quietly 'creating the OSD' ceph-osd -c "$conf" -i 0 --mkfs --osd-uuid "$uuid"
	: >"$dir/osd-made"
}

create_user() { # needs the OSD
	quietly 'creating the user' radosgw-admin -c "$conf" user create --uid=test --display-name=test \
		--access-key="$ACCESS_KEY" --secret-key="$SECRET_KEY" --max-buckets=0
}

create_bucket() { # create_bucket NAME; the credentials do not go to argv
	curl -sS --fail-with-body --max-time 60 -o "$dir/log/bucket.out" -X PUT -K - "http://$ADDRESS:$PORT/$1" <<-END
		aws-sigv4 = "aws:amz:$REGION:s3"
		user = "$ACCESS_KEY:$SECRET_KEY"
		header = "x-amz-content-sha256: $(printf '' | sha256sum | cut -d' ' -f1)"
	END
	[ $? = 0 ] || die "creating the bucket $1 failed: $(cat "$dir/log/bucket.out")"
}

# --- commands ---

answers() { curl -s -o /dev/null --max-time 2 "http://$ADDRESS:$PORT/"; }

remove_unfinished() {
	if [ -e "$dir" ] && [ ! -e "$dir/made-by-rgw.sh" ]; then
		[ -z "$(ls -A "$dir")" ] || die "$dir exists and is not a directory of this script; give another one"
	elif [ -e "$dir" ] && [ ! -e "$dir/complete" ]; then
		stop_all
		rm -rf "$dir"
	elif [ -e "$dir" ] && grep -q '^STORE=memstore' "$dir/settings" && ! alive osd && [ ! -e "$dir/clean" ]; then
		echo "rgw.sh: $dir was in memory and was not stopped: its objects are gone, and it is made anew" >&2
		stop_all
		rm -rf "$dir"
	fi
}

start() { # start [PORT]
	local tool
	for tool in ceph-mon ceph-osd radosgw radosgw-admin monmaptool ceph curl ss; do
		command -v $tool >/dev/null || die "$tool is missing; run scripts/install.sh test"
	done
	remove_unfinished
	[ -e "$dir/made-by-rgw.sh" ] || create_monitor "${1:-$(free_port)}"
	. "$dir/settings"
	[ -z "${1:-}" ] || [ "$1" = "$PORT" ] || die "$dir was made for port $PORT; wipe it to move to another"
	alive mon || launch mon ceph-mon -i a
	[ -e "$dir/osd-made" ] || create_osd
	alive osd || { rm -f "$dir/clean" && launch osd ceph-osd -i 0; }
	[ -e "$dir/complete" ] || create_user
	# Without tcp_nodelay every small answer waits 44 ms for the client's delayed acknowledgement.
	alive rgw || launch rgw radosgw -n client.rgw \
		--rgw-frontends "beast endpoint=$ADDRESS:$PORT tcp_nodelay=1"
	wait_until 60 answers || die "the gateway does not answer on port $PORT: see $dir/log"
	[ -e "$dir/complete" ] || { create_bucket hif && : >"$dir/complete"; }
	cat >"$dir/s3.env" <<-END
		S3_ENDPOINT=http://$ADDRESS:$PORT
		AWS_ENDPOINT_URL=http://$ADDRESS:$PORT
		AWS_ACCESS_KEY_ID=$ACCESS_KEY
		AWS_SECRET_ACCESS_KEY=$SECRET_KEY
		AWS_REGION=$REGION
	END
	cat "$dir/s3.env"
}

status() {
	local name down=0
	for name in mon osd rgw; do
		if alive $name; then
			echo "$name: pid $(pid_of $name), $(awk '/^VmRSS/ { print int($2 / 1024) }' "/proc/$(pid_of $name)/status") MiB"
		else
			echo "$name: down"
			down=1
		fi
	done
	return $down
}

kill_one() { # kill_one NAME
	[[ ${1:-} =~ ^(mon|osd|rgw)$ ]] || usage
	[ "$1" != osd ] || ! grep -q '^STORE=memstore' "$dir/settings" ||
		die "what is in memory does not survive this; make $dir with RGW_STORE=bluestore"
	alive "$1" || die "$1 is down already"
	kill -KILL "$(pid_of "$1")"
	wait_until 10 not_alive "$1"
	rm -f "$dir/run/$1.pid"
}

[ $# -ge 2 ] || usage
command=$1
dir=$(realpath -m "$2")
conf=$dir/ceph.conf
shift 2
case $command in start) ;; *) [ -e "$dir/made-by-rgw.sh" ] || die "$dir was not made by this script" ;; esac
case $command in
start) start "$@" ;;
stop) stop_all ;;
status) status ;;
wipe) stop_all && rm -rf "$dir" ;;
kill) kill_one "$@" ;;
bucket) . "$dir/settings" && create_bucket "${1:?rgw.sh bucket DIR NAME}" ;;
*) usage ;;
esac
