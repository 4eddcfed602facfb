# Harness for tests of the command line: a home directory of its own, and expectations that say what
# they saw. Source it; HIF and JSON_GET name the programs under test.
set -u

: "${HIF:?the hif program}" "${JSON_GET:?the json_get program}"

scratch=$(mktemp -d "${TMPDIR:-/tmp}/hif-cli-XXXXXX")
trap 'chmod -R u+rwx "$scratch" 2>/dev/null; rm -rf "$scratch"' EXIT
export HOME=$scratch/home TZ=UTC LC_ALL=C TERM=xterm
unset XDG_CONFIG_HOME XDG_DATA_HOME XDG_STATE_HOME XDG_CACHE_HOME XDG_RUNTIME_DIR
unset HIF_STORE HIF_AUTHOR NO_COLOR
# No test asks the machine that it runs on for keys.
export AWS_EC2_METADATA_DISABLED=true
# A sanitizer's report must not pass for an expected failure.
export ASAN_OPTIONS=exitcode=99:${ASAN_OPTIONS:-} LSAN_OPTIONS=exitcode=99:${LSAN_OPTIONS:-}
export UBSAN_OPTIONS=exitcode=99:${UBSAN_OPTIONS:-} TSAN_OPTIONS=exitcode=99:${TSAN_OPTIONS:-}
mkdir -p "$HOME"
cd "$scratch" || exit 1

code=0
last=

fail() {
        printf 'FAILED: %s\n  command: %s\n  exit code: %s\n' "$1" "$last" "$code"
        printf '  stdout: %s\n  stderr: %s\n' "$(head -c 2000 out)" "$(head -c 2000 err)"
        exit 1
}

# Run hif; stdout is then in `out`, stderr in `err`, the exit code in $code.
hif() {
        last="hif $*"
        "$HIF" "$@" >out 2>err </dev/null
        code=$?
        [ "$code" != 99 ] || fail "a sanitizer's report"
}

# hif, which must succeed.
ok() {
        hif "$@"
        [ "$code" = 0 ] || fail "should succeed"
}

# hif, which must fail with this code and say this on stderr.
fails() {
        local want=$1 text=$2
        shift 2
        hif "$@"
        [ "$code" = "$want" ] || fail "exit code should be $want"
        grep -qF -- "$text" err || fail "stderr should say: $text"
        [ ! -s out ] || fail "stdout should be empty"
}

# hif --json, which must fail with this exit code and error code, as JSON on stdout.
fails_json() {
        local want=$1 name=$2
        shift 2
        hif --json "$@"
        [ "$code" = "$want" ] || fail "exit code should be $want"
        [ "$("$JSON_GET" error.code <out)" = "$name" ] || fail "error.code should be $name"
        [ -n "$("$JSON_GET" error.text <out)" ] || fail "there should be an error.text"
}

says() {
        grep -qF -- "$1" out || fail "stdout should say: $1"
}

says_not() {
        ! grep -qF -- "$1" out || fail "stdout should not say: $1"
}

# The whole of stdout.
prints() {
        printf '%s\n' "$1" | cmp -s - out || fail "stdout should be: $1"
}

# A value of the JSON on stdout, by its path: "a.b", "0.path", "" (the whole: its length).
json() {
        local have
        have=$("$JSON_GET" "$1" <out) || fail "stdout should be JSON with $1"
        [ "$have" = "$2" ] || fail "$1 should be $2, not $have"
}
