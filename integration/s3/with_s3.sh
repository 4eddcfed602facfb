#!/bin/bash
# with_s3.sh DIR COMMAND... - run a command with an S3 server's address and credentials in its environment.
#
# Uses the server in DIR, as made by rgw.sh (the tests share one: build/s3). Is there none, one is started for
# this command alone and removed behind it. Beside what rgw.sh says, the command gets
#
#	HIF_TEST_S3     s3://hif/PREFIX, a place of its own in the server
set -eu
here=$(realpath "$(dirname "$0")")
[ $# -ge 2 ] || { sed -n '2s/^# //p' "$0" >&2; exit 2; }
dir=$1
shift

own=
if ! "$here/rgw.sh" status "$dir" >/dev/null 2>&1; then
	own=$(mktemp -d "${TMPDIR:-/tmp}/hif-s3.XXXXXX")
	dir=$own/rgw
	trap '"$here/rgw.sh" wipe "$dir"; rm -rf "$own"' EXIT
	"$here/rgw.sh" start "$dir" >/dev/null
fi
set -a
. "$dir/s3.env"
set +a
# The settings of who runs the tests are not the tests'.
unset AWS_PROFILE AWS_SESSION_TOKEN AWS_ENDPOINT_URL_S3 AWS_CA_BUNDLE http_proxy https_proxy all_proxy
export AWS_EC2_METADATA_DISABLED=true AWS_CONFIG_FILE=/dev/null AWS_SHARED_CREDENTIALS_FILE=/dev/null
HIF_TEST_S3=s3://hif/$(od -An -N6 -tx1 /dev/urandom | tr -d ' ')
export HIF_TEST_S3
[ -n "$own" ] || exec "$@"
"$@"
