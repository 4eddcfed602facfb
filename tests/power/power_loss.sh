#!/bin/bash
# power_loss.sh BUILD-DIRECTORY LEVEL [CUTS [OPERATIONS [SEED]]] - record what the real program writes and
# syncs under a load on a real mount (FUSE), and cut the power CUTS times while it is played again.
#
# Two sessions at once: one in which power_load works, unmounted and killed on its way, and one that lands
# again and again. Then, for each kind of sync, the same without it: that has to be found.
set -eu -o pipefail
build=$(realpath "${1:?usage: power_loss.sh BUILD-DIRECTORY process|power [CUTS [OPERATIONS [SEED]]]}")
level=${2:?process or power}
cuts=${3:-1000} operations=${4:-3000} seed=${5:-1}
work=$(mktemp -d "${TMPDIR:-/tmp}/hif-power.XXXXXX")
export HOME=$work/home XDG_RUNTIME_DIR=$work/run HIF_AUTHOR='Test <test@example.org>'
unset XDG_CONFIG_HOME XDG_DATA_HOME XDG_STATE_HOME XDG_CACHE_HOME HIF_STORE
export AWS_EC2_METADATA_DISABLED=true
mkdir -p "$HOME/.config/hif" "$XDG_RUNTIME_DIR"
trace=$work/trace
: >"$trace"
printf '[session]\npublish = manual\n' >"$HOME/.config/hif/config"

hif() { timeout -k 2 60 env HIF_DISK_ROOT="$HOME" HIF_DISK_TRACE="$trace" \
	LD_PRELOAD="$build/tests/power/hif_disk.so" "$build/cli/hif" "$@"; }

finish() {
	local status=$?
	set +e
	cd /
	[ $status = 0 ] || tail -n 5 "$HOME/.local/state/hif/daemon.log" >&2 2>/dev/null
	"$build/cli/hif" daemon stop >/dev/null 2>&1
	grep " $work/" /proc/mounts | cut -d' ' -f2 | while read -r at; do umount -l "$at"; done
	if [ $status = 0 ] || [ -z "${KEEP:-}" ]; then rm -rf "$work"; else echo "kept: $work" >&2; fi
	exit $status
}
trap finish EXIT

# --- record ---

cat >"$work/between" <<EOF
#!/bin/bash
# Between the thirds of the load: once unmounted and mounted, once killed.
set -e
exec 9>"$work/lock" && flock 9 # not while something is being landed
hif() { env HIF_DISK_ROOT="$HOME" HIF_DISK_TRACE="$trace" \
	LD_PRELOAD="$build/tests/power/hif_disk.so" timeout 60 "$build/cli/hif" "\$@"; }
if [ ! -e "$work/once" ]; then
	touch "$work/once"
	hif unmount "$work/a" && hif mount --fuse acme/app "$work/a" --session a --durability=$level 9>&-
else
	kill -9 \$(hif daemon status --json | jq '.supervisor_pid // empty, .pid')
	umount -l "$work/a" "$work/b" 2>/dev/null || true
	hif mount --fuse acme/app "$work/a" --session a --durability=$level 9>&-
	hif mount --fuse acme/app "$work/b" --session b --durability=$level 9>&-
fi
EOF
chmod +x "$work/between"
hif project create acme/app >/dev/null
hif mount --fuse acme/app "$work/a" --session a --durability="$level" >/dev/null
hif mount --fuse acme/app "$work/b" --session b --durability="$level" >/dev/null
(
	for i in $(seq 1000); do
		[ ! -e "$work/done" ] || exit 0
		exec 9>"$work/lock"
		flock 9
		echo "landing $i" >"$work/b/f$((i % 7))"
		head -c $((i * 3000)) /dev/urandom >"$work/b/g"
		position=$(hif -C "$work/b" land --json "landing $i" 9>&- | jq -r .position)
		"$build/tests/power/power_load" landed "$trace" "$position"
		exec 9>&-
		sleep 0.3
	done
) &
lander=$!
"$build/tests/power/power_load" work "$trace" "$work/a" "$seed" "$operations" "$level" "$work/between >/dev/null"
touch "$work/done"
wait $lander
hif daemon stop >/dev/null || true

# --- replay ---

replay() {
	"$build/tests/power/power_replay" "$trace" "$level" "$HOME/.local/state/hif/workspaces/acme/app/a" \
		"$HOME/.local/share/hif/store" acme/app --seed "$seed" "$@"
}
replay --cuts "$cuts"
for kind in data log log-names rows slots objects; do
	replay --cuts $((cuts < 100 ? cuts : 100)) --without $kind
done
