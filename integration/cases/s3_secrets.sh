#!/bin/bash
# Secrets stay where they are: planted in every source of credentials, with stores that work and stores that
# refuse, they are in no command line, output, log, state, cache, store, or core file.
#
# Needs an S3 server's address and keys (integration/s3/with_s3.sh), and AWS_MOCK, which gives credentials.
. "$(dirname "$0")/../lib.sh"

mock=$(realpath "${AWS_MOCK:?set AWS_MOCK to tests/store/aws_mock}")
endpoint=$AWS_ENDPOINT_URL id=$AWS_ACCESS_KEY_ID right=$AWS_SECRET_ACCESS_KEY place=$HIF_TEST_S3
wrong=hif-planted-wrong-secret+key/0000000000
token=hif-planted-session-token+/$(head -c 900 /dev/zero | tr '\0' T)==
authorization='Basic hif-planted-authorization'
identity=hif-planted-web-identity.$(head -c 300 /dev/zero | tr '\0' J).sig
planted=$work/planted seen=$work/seen
mkdir -p "$planted" "$seen" "$work/tree"
echo content >"$work/tree/file"

# What is looked for: as it is, as URLs have it, and in base64 from each of the three offsets.
for secret in "$right" "$wrong" hif-planted; do
	printf '%s\n' "$secret"
	printf '%s' "$secret" | jq -sRr @uri
	for pad in '' x xx; do
		printf '%s%s' "$pad" "$secret" | base64 -w0 | sed 's/^....\(.*\)....$/\1/'
		echo
	done
done | awk 'length >= 11' | sort -u >"$work/patterns"

clean() { # clean WHAT PATH...: none of the secrets is in there
	local what=$1 found
	shift
	found=$(grep -raoF -m1 -f "$work/patterns" -- "$@" | head -n 3) || true
	[ -z "$found" ] || fail "$what: a secret: $found"
}

forget() { # the settings of the source before
	local name
	for name in $(compgen -e AWS_); do unset "$name"; done
	export AWS_ENDPOINT_URL=$endpoint AWS_REGION=us-east-1 AWS_EC2_METADATA_DISABLED=true
	export AWS_CONFIG_FILE=$planted/config AWS_SHARED_CREDENTIALS_FILE=$planted/credentials
	rm -f "$planted"/*
}

# --- the sources: each is set up with the secret it is given ---

from_environment() { export AWS_ACCESS_KEY_ID=$id AWS_SECRET_ACCESS_KEY=$1 AWS_SESSION_TOKEN=$token; }

from_credentials_file() {
	printf '[ci]\naws_access_key_id = %s\naws_secret_access_key = %s\naws_session_token = %s\n' \
		"$id" "$1" "$token" >"$planted/credentials"
	chmod 644 "$planted/credentials"
	export AWS_PROFILE=ci
}

from_process() {
	cat >"$planted/helper" <<-END
		#!/bin/sh
		echo 'the secret is $1' >&2
		echo '{"Version": 1, "AccessKeyId": "$id", "SecretAccessKey": "$1", "SessionToken": "$token"}'
	END
	chmod +x "$planted/helper"
	printf '[default]\ncredential_process = %s\n' "$planted/helper" >"$planted/config"
}

serve() { # serve SECRET LINE...: what the mock gives
	printf '%s\n' "id $id" "secret $1" "token $token" "life 3600" "${@:2}" >"$work/mock.conf"
}

from_container() {
	serve "$1" "authorization $authorization"
	printf '%s\n' "$authorization" >"$planted/token"
	export AWS_CONTAINER_CREDENTIALS_FULL_URI=$mock_url/container AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE=$planted/token
}

from_instance() {
	serve "$1" 'authorization hif-planted-metadata-token'
	unset AWS_EC2_METADATA_DISABLED
	export AWS_EC2_METADATA_SERVICE_ENDPOINT=$mock_url/
}

from_web_identity() {
	serve "$1" "identity $identity"
	printf '%s' "$identity" >"$planted/jwt"
	export AWS_WEB_IDENTITY_TOKEN_FILE=$planted/jwt AWS_ROLE_ARN=arn:aws:iam::1:role/hif AWS_ENDPOINT_URL_STS=$mock_url
}

# --- what is done with them: everything under strace, which sees each command line ---

traced() { # traced NAME COMMAND...: output and command lines are kept
	local name=$1 status=0
	shift
	strace -f -qq -s 65535 -e trace=execve,execveat -o "$seen/$name.trace" "$@" >"$seen/$name.out" 2>"$seen/$name.err" || status=$?
	printf '%s\n' "$status" >"$seen/$name.status"
	return $status
}

daemon_answers() { hif daemon status >/dev/null 2>&1; }

start_daemon() {
	strace -f -qq -s 65535 -e trace=execve,execveat -o "$seen/daemon.trace" "$hif" daemon run >"$seen/daemon.out" 2>"$seen/daemon.err" &
	daemon_job=$!
	wait_for 'the daemon does not start' daemon_answers
}

look() { # after everything: nowhere
	local pid
	pid=$(daemon_pid)
	tr '\0' '\n' <"/proc/$pid/cmdline" >"$seen/cmdline"
	hif daemon stop >"$seen/stop.out" 2>&1 || fail "the daemon does not stop: $(cat "$seen/stop.out")"
	wait "$daemon_job"
	grep -q execve "$seen/daemon.trace" || fail 'strace saw no command line'
	clean "$1: output and command lines" "$seen"
	clean "$1: state, log and cache" "$HOME" "$XDG_RUNTIME_DIR"
	[ ! -d "$work/local" ] || clean "$1: a store in a directory" "$work/local"
	rm -rf "$HOME" "$seen" "$work/local"
	mkdir -p "$HOME" "$seen"
}

works() { # works SOURCE
	local store=$place/$1
	start_daemon
	traced probe "$hif" store probe "$store" || fail "$(cat "$seen/probe.out" "$seen/probe.err")"
	traced create "$hif" --store "$store" project create acme/app || fail "$(cat "$seen/create.err")"
	traced import "$hif" --store "$store" import acme/app "$work/tree" || fail "$(cat "$seen/import.err")"
	traced log "$hif" --store "$store" log acme/app --json || fail "$(cat "$seen/log.err")"
	traced mount "$hif" --store "$store" mount "--$front" acme/app "$work/m" || fail "$(cat "$seen/mount.err")"
	expect "$(cat "$work/m/file")" content
	echo more >"$work/m/more"
	traced land "$hif" -C "$work/m" land 'a goal' || fail "$(cat "$seen/land.err")"
	traced list "$hif" session list --json || fail "$(cat "$seen/list.err")"
	traced unmount "$hif" unmount "$work/m" || fail "$(cat "$seen/unmount.err")"
	traced local "$hif" --store "$work/local" project create acme/app || fail "$(cat "$seen/local.err")"
	traced into "$hif" --store "$work/local" import acme/app "$work/tree" || fail "$(cat "$seen/into.err")"
}

refused() { # refused SOURCE REGEX
	start_daemon
	! traced probe "$hif" store probe --json "$place/$1" || fail 'it should fail'
	! traced create "$hif" --store "$place/$1" project create acme/app || fail 'it should fail'
	! traced mount "$hif" --store "$place/$1" mount "--$front" acme/app "$work/m" || fail 'it should fail'
	expect_match "$(cat "$seen/create.err")" "$2"
}

step 'the search finds what is there'
for text in "x$right" "$(jq -nr --arg text "$right" '$text | @uri')" "$(printf 'yy%s' "$token" | base64 -w0)" "$identity"; do
	printf '%s' "$text" >"$planted/found"
	! (clean test "$planted") 2>/dev/null || fail "not found: $text"
done

coproc MOCK { exec "$mock" "$work/mock.conf"; }
: >"$work/mock.conf"
read -r port <&"${MOCK[0]}"
mock_url=http://127.0.0.1:$port

for source in environment credentials_file process container instance web_identity; do
	step "from $source, which the store takes"
	forget
	"from_$source" "$right"
	works "$source"
	[ "$source" != credentials_file ] || expect_match "$(cat "$HOME/.local/state/hif/daemon.log")" 'others may read it: chmod 600'
	look "$source"

	step "from $source, which the store refuses"
	forget
	"from_$source" "$wrong"
	refused "$source" 'SignatureDoesNotMatch'
	look "$source"
done

step 'sources that fail, with secrets in what they say'
for source in container instance web_identity; do
	forget
	"from_$source" "$right"
	echo 'fail 400' >>"$work/mock.conf"
	refused "$source" 'status 400'
	look "$source"
done
forget
from_process "$right"
echo 'exit 3' >>"$planted/helper"
refused process 'ended with exit code 3'
look process
forget
printf '[default]\naws_access_key_id = %s\n%s\n' "$id" "$right" >"$planted/config"
refused config ':3: this is neither'
look config

step 'a proxy that wants a password, and is not there'
forget
from_environment "$right"
export http_proxy=http://me:hif-planted-proxy-password@127.0.0.1:1
refused 'proxy?patience=1' 'cannot be reached'
look proxy
unset http_proxy

step 'no core file holds them'
ulimit -c unlimited
mkdir "$work/cores"
cores() { find "$work/cores" -type f | wc -l; }
at_work() { # at_work JOB PROGRAM: it is that program, and waits for something
	[ "/proc/$1/exe" -ef "$2" ] && grep -q '^State:.*S' "/proc/$1/status"
}
die() { # die SECONDS PROGRAM ARGUMENT...: it is aborted in that directory, so long after it has begun to wait
	local job after=$1
	shift
	(cd "$work/cores" && exec "$@") >/dev/null 2>&1 &
	job=$!
	wait_for "$1 does not begin" at_work "$job" "$1"
	sleep "$after"
	kill -ABRT "$job"
	wait "$job" 2>/dev/null || true
}
die 0.2 "$(type -P sleep)" 100
case $(cat /proc/sys/kernel/core_pattern) in
'|'* | /*) echo '    (core files go elsewhere on this machine: that there would have been one is not shown)' ;;
*) expect "$(cores)" 1 ;;
esac
rm -f "$work/cores"/*
# A server that is not there keeps the command trying.
forget
from_credentials_file "$right"
die 1 "$hif" --store 's3://bucket?endpoint=http://127.0.0.1:1' project list
expect "$(cores)" 0
# Without a store, when the environment has them.
forget
from_environment "$right"
die 0.5 "$hif" daemon run
expect "$(cores)" 0
[ ! -e /core ] || clean 'the daemon' /core
kill "$MOCK_PID"
