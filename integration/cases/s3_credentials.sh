#!/bin/bash
# Credentials that change while a project is mounted: they expire and are renewed, they are wrong for a while, they
# may only read, the daemon has others.
#
# Needs an S3 server's address and keys (integration/s3/with_s3.sh), and AWS_MOCK, which gives credentials.
. "$(dirname "$0")/../lib.sh"

mock=$(realpath "${AWS_MOCK:?set AWS_MOCK to tests/store/aws_mock}")
id=$AWS_ACCESS_KEY_ID secret=$AWS_SECRET_ACCESS_KEY
unset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY
export HIF_STORE=$HIF_TEST_S3 AWS_EC2_METADATA_DISABLED=true

give() { # give LINE...: what the container's endpoint gives from now on
	printf '%s\n' "id $id" "secret $secret" "$@" >"$work/mock.part"
	mv "$work/mock.part" "$work/mock.conf"
}

coproc MOCK { exec "$mock" "$work/mock.conf"; }
mock_pid=$MOCK_PID
read -r port <&"${MOCK[0]}"
exec 7<&"${MOCK[0]}" # a job in the background has no way to a coprocess
cat <&7 >"$work/asked" &
asked() { grep -c /container "$work/asked" || true; }
mkdir "$work/tree"
echo content >"$work/tree/file"

step 'a daemon that was started without credentials'
export AWS_SHARED_CREDENTIALS_FILE=$work/credentials
printf '[work]\naws_access_key_id = %s\naws_secret_access_key = %s\n' "$id" "$secret" >"$work/credentials"
fails_with 1 'there are no credentials for S3: AWS_ACCESS_KEY_ID is not set' hif project create acme/app
AWS_ACCESS_KEY_ID=$id AWS_SECRET_ACCESS_KEY=$secret hif project create acme/app
hif --store "$work/local" project create acme/lib
hif --store "$work/local" mount "--$front" acme/lib "$work/l"
export AWS_ACCESS_KEY_ID=$id AWS_SECRET_ACCESS_KEY=$secret
fails_with 1 'no credentials for S3.*The daemon has the environment of the command that started it' \
	hif mount "--$front" acme/app "$work/m"
unset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY

step 'a profile travels with the store: to that daemon, and to the next'
output=$(AWS_PROFILE=work hif mount "--$front" acme/app "$work/m" --json)
expect_match "$(jq -r .store <<<"$output")" "^$HIF_STORE\\?endpoint=.*&profile=work\$"
echo one >"$work/m/one"
hif -C "$work/m" land one
kill_daemon
expect "$(hif -C "$work/m" status --json | jq -r .base)" 1
hif unmount "$work/m"
hif daemon stop
rm "$work/credentials"
unset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY

step 'they expire while the mount is busy, and are renewed'
give 'life 6'
rm "$HOME/.local/state/hif/daemon.log"
export AWS_CONTAINER_CREDENTIALS_FULL_URI=http://127.0.0.1:$port/container
hif mount "--$front" acme/app "$work/m"
before=$(asked)
cd "$work/m"
for i in $(seq 20); do
	echo "$i" >"file$i"
	hif land "landing $i" >/dev/null
	sleep 0.5
done
[ $(($(asked) - before)) -ge 3 ] || fail "asked $before and then $(asked) times only"
! grep -E ' (warn|error) +store: credentials' "$HOME/.local/state/hif/daemon.log" || fail 'no renewal failed'

step 'the store does not know the key any more: it is told, and a new one is found without a remount'
give "id NOBODYKNOWSTHISKEY01" 'life 3600'
sleep 6
echo x >refused
fails_with 1 'there is no newer one: renew it' hif land refused
give 'life 3600'
lands() { hif land refused >"$work/out" 2>&1; }
wait_for "it does not land" lands
expect_match "$(cat "$work/out")" 'Landed session'

step 'its endpoint fails: the mount works to the end of the key, and longer for what is there'
give 'fail 500'
echo y >kept
expect "$(cat file1 kept)" "1
y"
hif status >/dev/null
give 'life 3600'
cd /
hif unmount "$work/m"
hif daemon stop

step 'they may only read: a mount works, landing says why it does not'
unset AWS_CONTAINER_CREDENTIALS_FULL_URI
export AWS_ACCESS_KEY_ID=$id AWS_SECRET_ACCESS_KEY=$secret
bucket=read-only-${HIF_TEST_S3##*/}-m
s3() { # s3 METHOD PATH [FILE]
	curl -sS --fail-with-body -X "$1" ${3:+-T "$3"} -K - "$AWS_ENDPOINT_URL/$2" <<-END
		aws-sigv4 = "aws:amz:$AWS_REGION:s3"
		user = "$id:$secret"
		header = "x-amz-content-sha256: $(sha256sum <"${3:-/dev/null}" | cut -d' ' -f1)"
	END
}
s3 PUT "$bucket"
export HIF_STORE=s3://$bucket
hif project create acme/read
hif import acme/read "$work/tree"
cat >"$work/policy" <<-END
	{"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Principal": "*",
	 "Action": ["s3:PutObject", "s3:DeleteObject"], "Resource": "arn:aws:s3:::$bucket/*"}]}
END
s3 PUT "$bucket?policy=" "$work/policy"
rm -r "$HOME/.local/state/hif/probes"
hif mount "--$front" acme/read "$work/m"
expect_match "$(AWS_ACCESS_KEY_ID=OTHER hif mount "--$front" acme/read "$work/other" --session other 2>&1)" \
	'warning: the daemon has the AWS credentials of the environment in which it was started'
expect "$(cat "$work/m/file" "$work/other/file")" "content
content"
echo new >"$work/m/new"
fails_with 1 'does not let these credentials write, so it cannot be told whether landing there is safe' hif -C "$work/m" land 'a goal'
expect_match "$(hif -C "$work/m" status)" 'A new'
hif unmount "$work/m"
kill "$mock_pid"
