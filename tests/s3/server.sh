#!/bin/bash
# The S3 server of the tests holds the two conditions that everything rests on, asked with curl.
set -eu -o pipefail
at=$AWS_ENDPOINT_URL/hif/${HIF_TEST_S3##*/}/object
body=$(mktemp "${TMPDIR:-/tmp}/hif-s3.XXXXXX")
trap 'rm -f "$body"' EXIT

put() { # put BODY HEADER: the status
	printf '%s' "$1" >"$body"
	curl -sS -o /dev/null -w '%{http_code}' -T "$body" -K - "$at" <<-END
		aws-sigv4 = "aws:amz:$AWS_REGION:s3"
		user = "$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY"
		header = "x-amz-content-sha256: $(sha256sum <"$body" | cut -d' ' -f1)"
		header = "$2"
	END
}

expect() { # expect WHAT ACTUAL EXPECTED
	[ "$2" = "$3" ] || { echo "$1: expected $3, got $2" >&2; exit 1; }
}

tag() { printf '%s' "$1" | md5sum | cut -d' ' -f1; }

expect 'create-only of a new key' "$(put one 'If-None-Match: *')" 200
expect 'create-only of a key that exists' "$(put two 'If-None-Match: *')" 412
expect 'If-Match with the tag' "$(put three "If-Match: $(tag one)")" 200
expect 'If-Match with an old tag' "$(put four "If-Match: $(tag one)")" 412
expect 'If-Match with the tag again' "$(put five "If-Match: $(tag three)")" 200
