# hif store probe, on directories; integration/cases/s3_*.sh have it on S3.
. "${0%/*}/lib.sh"

# A directory keeps its promises, and nothing is left in it.
ok --store "$scratch/store" project create a/b
find store -type f | sort >before
ok store probe "$scratch/store"
says "file://$scratch/store"
says '  good     one of several simultaneous creations wins'
says 'requests; half of them took less than: writing '
says 'Projects can be kept here.'
says_not broken
find store -type f | grep -v '/.hif/locks/' | sort | diff <(grep -v '/.hif/locks/' before) - || fail "nothing is left behind"
ok --json store probe "file://$scratch/store"
json store "file://$scratch/store"
json usable true
json checks 11
json checks.0.check create-race
json checks.0.state good
json checks.0.essential true
json median_us 4

# Without a URL it is the configured store; the argument goes before it.
HIF_STORE=$scratch/store ok store probe
says "file://$scratch/store"
ok --store "$scratch/store" store probe
says "file://$scratch/store"
HIF_STORE=/nowhere ok store probe store
says "file://$scratch/store"

# What is not there, or is no store.
fails 6 "there is no store at $scratch/none" store probe "$scratch/none"
fails_json 6 ENOENT store probe "$scratch/none"
[ ! -e none ] || fail "nothing was made"
fails 1 'the unknown scheme gopher' store probe gopher://x
fails 2 '' store probe a b
fails 2 'hif store wants a command' store
fails 2 'probe' store prob
ok store probe --help
says 'hif store probe'

# A directory that cannot be written to is not approved of.
if [ "$(id -u)" != 0 ]; then
        chmod -R a-w store
        hif store probe "$scratch/store"
        [ "$code" = 1 ] || fail "exit code should be 1"
        chmod -R u+w store
fi

# S3 stores that cannot be: each says what to set.
unset AWS_PROFILE AWS_REGION AWS_DEFAULT_REGION AWS_ENDPOINT_URL AWS_ENDPOINT_URL_S3 AWS_CA_BUNDLE \
        AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN AWS_CONFIG_FILE \
        AWS_SHARED_CREDENTIALS_FILE AWS_WEB_IDENTITY_TOKEN_FILE AWS_ROLE_ARN \
        AWS_CONTAINER_CREDENTIALS_FULL_URI AWS_CONTAINER_CREDENTIALS_RELATIVE_URI HIF_S3_ADDRESSING
export AWS_EC2_METADATA_DISABLED=true
far=s3://bucket?endpoint=http://127.0.0.1:1
fails 1 'there are no credentials for S3: AWS_ACCESS_KEY_ID is not set' store probe "$far"
fails_json 1 EDENIED store probe "$far"
AWS_PROFILE=nobody fails 6 'AWS_PROFILE names the profile "nobody", which is neither in' store probe "$far"
fails 6 "the store's URL names the profile \"nobody\"" store probe "$far&profile=nobody"
AWS_ENDPOINT_URL=localhost:1 fails 1 'AWS_ENDPOINT_URL is no URL of a server' project list --store s3://bucket
mkdir -p "$HOME/.aws" "$HOME/.config/hif"
printf '[default]\nregion = r\nnonsense\n' >"$HOME/.aws/config"
fails 1 "$HOME/.aws/config:3: this is neither" store probe "$far"
rm "$HOME/.aws/config"

# How buckets are addressed is a setting; the environment goes before the file.
printf '[store]\ns3-addressing = sideways\n' >"$HOME/.config/hif/config"
fails 1 'config:2: "sideways" is no value for s3-addressing in [store]: it is auto, path or virtual' store probe
printf '[store]\ns3-addressing = path\n' >"$HOME/.config/hif/config"
HIF_S3_ADDRESSING=sideways fails 1 'HIF_S3_ADDRESSING is "sideways"' store probe "$far"
