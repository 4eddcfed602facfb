# An import that is killed, at any time, goes on where it stopped and lands once.
. "${0%/*}/lib.sh"

mkdir src
for i in $(seq 1 40); do
        mkdir "src/$i"
        for j in $(seq 1 40); do
                head -c 6000 /dev/urandom >"src/$i/$j"
        done
done
ok project create acme/app

landed() {
        ok --json log acme/app -n 0
        "$JSON_GET" "" <out
}

for delay in 0.02 0.05 0.08 0.12 0.16 0.2; do
        [ "$(landed)" = 1 ] || break
        "$HIF" import acme/app src >/dev/null 2>&1 &
        pid=$!
        sleep $delay
        kill -9 $pid 2>/dev/null
        wait $pid 2>/dev/null
done
# What is left of it may have its lock a moment longer.
locked() { # locked FILE SECONDS-COMMAND: the next command finds the lock taken
        rm -f is-locked
        flock "$1" sh -c ": >is-locked; $2" &
        while [ ! -e is-locked ]; do sleep 0.01; done
}
for state in "$HOME"/.local/state/hif/imports/*; do
        [ ! -f "$state" ] || [[ $state == *.journal ]] || lock=$state
done
[ -z "${lock:-}" ] || locked "$lock" 'sleep 1'
hif import acme/app src
[ "$code" = 0 ] || [ "$code" = 5 ] || fail "it should go on, or have landed"
[ "$(landed)" = 2 ] || fail "it should have landed once"
fails 5 'nothing to import' import acme/app src
# Nor does one that ends just then, and takes the file of the lock along, keep the next from running.
if [ -n "${lock:-}" ]; then
        : >"$lock"
        locked "$lock" "sleep 1; rm '$lock'"
        fails 5 'nothing to import' import acme/app src
fi
for path in 1/1 17/23 40/40; do
        ok cat "acme/app:$path"
        cmp -s out "src/$path" || fail "the content of $path"
done
[ -z "$(ls "$HOME/.local/state/hif/imports")" ] || fail "nothing is left to resume"
ok ls -R acme/app
[ "$(wc -l <out)" = 1640 ] || fail "all paths"
