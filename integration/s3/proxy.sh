# proxy.sh - the fault proxy between hif and the S3 server, for scripts. Sourced, with the server's environment.
#
#	proxy_start S3FAULT [COMMAND]...    S3FAULT: the program; AWS_ENDPOINT_URL is the proxy's from now on, and
#	                                    $direct the server's
#	proxy_say LINE                      a line of tests/s3/s3fault.h; prints the reply
#	proxy_stop

proxy_start() {
	local program=$1 said
	shift
	said=$(mktemp "${TMPDIR:-/tmp}/hif-proxy.XXXXXX")
	"$program" 0 "${AWS_ENDPOINT_URL#http://}" 0 "$@" >"$said" &
	proxy_pid=$!
	until [ -s "$said" ]; do
		kill -0 $proxy_pid || return 1
		sleep 0.02
	done
	read -r _ proxy_port _ proxy_control <"$said"
	rm "$said"
	# shellcheck disable=SC2034 # for who sources this
	direct=$AWS_ENDPOINT_URL
	export AWS_ENDPOINT_URL=http://127.0.0.1:$proxy_port
}

proxy_say() {
	local reply
	exec 3<>"/dev/tcp/127.0.0.1/$proxy_control"
	echo "$1" >&3
	read -r reply <&3
	exec 3>&-
	echo "$reply"
}

proxy_stop() { [ -z "${proxy_pid:-}" ] || kill "$proxy_pid" 2>/dev/null; }
