# Someone lands the same paths while an import runs: nothing lands, and each path is named.
. "${0%/*}/lib.sh"

ok project create acme/app
mkdir ours theirs
for name in same both gone; do
        printf 'base\n' | tee ours/$name >theirs/$name
done
ok import acme/app ours
blobs=$HOME/.local/share/hif/store/projects/acme/app/blobs

blob_count() {
        find "$blobs" -type f 2>/dev/null | wc -l
}

# Import `ours`; while it is busy with a large file, `theirs` lands. Its results as hif leaves them.
race() {
        local before pid
        before=$(blob_count)
        head -c 100000000 /dev/urandom >ours/large
        "$HIF" "$@" >race.out 2>race.err </dev/null &
        pid=$!
        while [ "$(blob_count)" = "$before" ] && kill -0 $pid 2>/dev/null; do
                sleep 0.005
        done
        kill -STOP $pid || fail "the import should still run"
        ok import acme/app theirs -m 'first come'
        kill -CONT $pid
        wait $pid
        code=$?
        last="hif $* (in a race)"
        mv race.out out
        mv race.err err
}

printf 'ours, longer\n' >ours/both
rm ours/gone
printf 'theirs\n' >theirs/both
printf 'theirs too\n' >theirs/gone
race import acme/app ours
[ "$code" = 3 ] || fail "exit code should be 3"
says 'Not landed: 2 path(s) were changed on both sides since the import began.'
says '  both: you changed it, @2 changed it ('
says ': first come)'
says '  gone: you removed it, @2 changed it ('
says_not same
says_not large
[ ! -s err ] || fail "stderr should be empty"
ok --json log acme/app -n 1
json 0.goal 'first come'

# The same for programs.
printf 'theirs again\n' >theirs/both
race --json import acme/app ours
[ "$code" = 3 ] || fail "exit code should be 3"
json conflicts.0.path both
json conflicts.0.ours changed
json conflicts.0.theirs changed
json conflicts.0.position 3
json conflicts.0.goal 'first come'
json position 3
json project acme/app

# Nobody in the way: the project becomes what the directory is.
ok --json import acme/app ours
json position 4
json conflicts 0
ok cat acme/app:both
prints 'ours, longer'
fails 6 'there is no gone' cat acme/app:gone
