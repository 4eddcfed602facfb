# Remote stores are probed when they are first used: a real S3 server is taken, and remembered; one that ignores
# conditions (s3rver, an npm package) is refused by whatever would use it.
#
#       s3_probe.sh DIR         DIR: where s3rver is installed, if it is not there yet
tools=${1:?the directory for s3rver}
. "${0%/*}/lib.sh"
probes=$HOME/.local/state/hif/probes

# --- a server that keeps its promises ---

ok --store "$HIF_TEST_S3" project create acme/app
says "Created acme/app in $HIF_TEST_S3?endpoint=$AWS_ENDPOINT_URL"
[ "$(ls "$probes" | wc -l)" = 1 ] || fail "the result is remembered"
[ "$(stat -c %a "$probes") $(stat -c %a "$probes"/*)" = "700 600" ] || fail "for us alone"
ok --json store probe "$HIF_TEST_S3"
json usable true
for check in $(seq 0 10); do json "checks.$check.state" good; done
[ "$(ls "$probes" | wc -l)" = 1 ] || fail "by endpoint and bucket"

# What is remembered counts for this store and this probe; then it is asked again.
known=$(ls "$probes"/*)
approved() { grep -q '"version": 1' "$known" && grep -q '"result": "good"' "$known"; }
for change in 's/"version": 1/"version": 0/' 's|"store": "s3:|"store": "s4:|' 's/good/bad/' 's/{/[/'; do
        sed -i "$change" "$known"
        ok --store "$HIF_TEST_S3" project list
        approved || fail "$change: asked again"
done

# --- credentials that only read ---

s3() { # s3 METHOD PATH [FILE]: signed with what the environment has, which goes to no command line
        printf '%s\n' "aws-sigv4 = \"aws:amz:$AWS_REGION:s3\"" "user = \"$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY\"" \
                "header = \"x-amz-content-sha256: $(sha256sum <"${3:-/dev/null}" | cut -d' ' -f1)\"" |
                curl -sS --fail-with-body -X "$1" ${3:+-T "$3"} -K - "$AWS_ENDPOINT_URL/$2"
}

bucket=read-only-${HIF_TEST_S3##*/}
s3 PUT "$bucket" || fail "a bucket for this test"
ok --store "s3://$bucket" project create acme/app
cat >policy <<END
{"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Principal": "*",
 "Action": ["s3:PutObject", "s3:DeleteObject"], "Resource": "arn:aws:s3:::$bucket/*"}]}
END
s3 PUT "$bucket?policy=" policy || fail "a policy for it"
rm -r "$probes"
ok --store "s3://$bucket" project list
prints acme/app
ok --store "s3://$bucket" log acme/app
fails 1 'does not let these credentials write, so it cannot be told whether landing there is safe' \
        --store "s3://$bucket" project create acme/lib
mkdir tree
echo x >tree/file
fails 1 'does not let these credentials write' --store "s3://$bucket" import acme/app tree
hif store probe "s3://$bucket"
[ "$code" = 1 ] || fail "exit code should be 1"
says '  failed   what was written is read'
[ ! -e "$probes" ] || [ -z "$(ls "$probes")" ] || fail "nothing is known of it"
ok store probe "$HIF_TEST_S3"
known=$(ls "$probes"/*)

# --- one that does not ---

if [ ! -x "$tools/node_modules/.bin/s3rver" ]; then
        mkdir -p "$tools"
        HOME=$tools npm install --prefix "$tools" --no-audit --no-fund --loglevel=error s3rver@3.7.1 >npm.log 2>&1 || {
                echo 'FAILED: npm cannot install s3rver, which this test needs: is there a way to a package registry?'
                tail -n 5 npm.log
                exit 1
        }
fi
mkdir rver
"$tools/node_modules/.bin/s3rver" -d rver -a 127.0.0.1 -p 0 -s --configure-bucket lies >rver.log 2>&1 &
rver=$!
trap 'kill "$rver" 2>/dev/null; "$HIF" daemon stop >/dev/null 2>&1; chmod -R u+rwx "$scratch"; rm -rf "$scratch"' EXIT
for _ in $(seq 100); do grep -q listening rver.log && break; sleep 0.1; done
port=$(sed -nE 's/.*listening on .*:([0-9]+)$/\1/p' rver.log)
[ -n "$port" ] || { cat rver.log; echo 'FAILED: s3rver does not start'; exit 1; }
lies="s3://lies?endpoint=http://127.0.0.1:$port"
export AWS_ACCESS_KEY_ID=S3RVER AWS_SECRET_ACCESS_KEY=S3RVER

refused() {
        fails 1 "the store $lies ignores conditions" "$@"
        grep -qF 'Two landings could take the same position, and one of them would be silently gone' err ||
                fail "stderr should say what would be lost"
}

hif store probe "$lies"
[ "$code" = 1 ] || fail "exit code should be 1"
says '  broken   one of several simultaneous creations wins: '
says '  broken   what exists is not created again: the store says that it succeeded'
grep -qF 'one of them would be silently gone' err || fail "stderr should say what would be lost"
hif --json store probe "$lies"
[ "$code" = 1 ] || fail "exit code should be 1"
json usable false
json error.code ENOTSUP
json checks.0.state broken
refused --store "$lies" project create acme/app
refused --store "$lies" project list
fails_json 1 ENOTSUP --store "$lies" project create acme/app
mkdir m
refused --store "$lies" mount acme/app m
fails_json 1 ENOTSUP --store "$lies" mount acme/app m
refused --store "$lies" import acme/app tree
[ -z "$(find rver/lies -path '*projects*' -print -quit)" ] || fail "no project was made"
[ -z "$(find rver/lies -path '*probe/*' -name '*object*' -print -quit)" ] || fail "the probe's objects are gone"
[ "$(ls "$probes" | wc -l)" = 1 ] || fail "a store that was refused is not remembered as good"

# One that was known, and is found out later, is not trusted from then on. (Its file is called after the hash of what it
# is of, as any content is.)
printf '%s' "$lies" >tree/name
ok --store "$scratch/local" project create acme/name
ok --store "$scratch/local" import acme/name tree
ok --store "$scratch/local" --json ls acme/name
json 1.path name
name=$("$JSON_GET" 1.hash <out | head -c 32)
sed "s|\"store\": .*|\"store\": \"$lies\",|" "$known" >"$probes/$name"
ok --store "$lies" project list
hif store probe "$lies"
[ ! -e "$probes/$name" ] || fail "what was known is forgotten"
refused --store "$lies" project list

# --- nobody there ---

kill "$rver"
wait "$rver" 2>/dev/null
fails 7 'does not answer' --store "$lies" project list
