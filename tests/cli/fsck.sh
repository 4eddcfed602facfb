# hif fsck as a user meets it: what it says of a project that is whole, and of one that is not.
. "${0%/*}/lib.sh"

ok project create acme/app
ok fsck acme/app
says 'Nothing is wrong.'

mkdir -p src/dir
printf 'one\n' >src/dir/one
printf 'two\n' >src/dir/two
head -c 300000 /dev/urandom >src/blob
head -c 6000000 /dev/urandom >src/large
ok import acme/app src
printf 'more\n' >src/dir/three
ok import acme/app src
objects=$HOME/.local/share/hif/store/projects/acme/app

ok fsck acme/app
says '@0 to @2, 3 slots'
ok fsck acme/app --read-data-subset=all
says 'Nothing is wrong.'
ok fsck acme/app --from @2 -r2/3
ok fsck acme/app --json
json clean true
json tail 2
json findings 0

# As another would see it.
fails 2 'no part of the data' fsck acme/app --read-data-subset=4/3
fails 2 'ORG/NAME' fsck acme/app@1
fails 2 'written with "="' fsck acme/app -r all
fails 2 '' fsck acme/app --from x
fails 6 'there is no project' fsck acme/other
fails 6 'no position @7' fsck acme/app --from @7
fails_json 6 ENOENT fsck acme/other

finds() { # code, finding
        local want=$1 name=$2
        shift 2
        hif fsck acme/app "$@"
        [ "$code" = "$want" ] || fail "exit code should be $want"
        grep -q "^[a-z]* $name" out || fail "stdout should have: $name"
        hif fsck acme/app --json "$@"
        [ "$code" = "$want" ] || fail "exit code with --json should be $want"
        grep -q "\"finding\": \"$name\"" out || fail "the JSON should have: $name"
        json clean false
}

saved() { # file, command ...: run it with the file as it then is, and put the file back
        local file=$1
        shift
        cp -a "$file" kept
        "$@"
        rm -f "$file"
        cp -a kept "$file"
}

flip_and() { # file, finding, option ...
        local file=$1
        shift
        chmod u+w "$file"
        printf '\125' | dd of="$file" bs=1 seek=$(($(stat -c %s "$file") / 2)) conv=notrunc status=none
        cmp -s "$file" kept && printf '\252' |
                dd of="$file" bs=1 seek=$(($(stat -c %s "$file") / 2)) conv=notrunc status=none
        finds 8 "$@"
}

gone_and() {
        local file=$1
        shift
        rm "$file"
        finds 8 "$@"
}

pack=$(find "$objects/packs" -type f -size -2 | head -1)
list=$(grep -rlE '^HIFC' "$objects/blobs")
chunk=$(grep -rLE '^HIFC' "$objects/blobs" | xargs ls -S | head -1)
node=$(find "$objects/trees" -type f -newer "$objects/landing-log/000000000000" | head -1)
saved "$pack" gone_and "$pack" pack-missing
saved "$pack" flip_and "$pack" pack-damaged --read-data-subset=all
saved "$list" gone_and "$list" chunks-missing
saved "$list" flip_and "$list" chunks-damaged
saved "$chunk" gone_and "$chunk" blob-missing
saved "$chunk" flip_and "$chunk" blob-damaged --read-data-subset=100%
saved "$node" gone_and "$node" tree-node-missing
saved "$node" flip_and "$node" tree-node-damaged
saved "$objects/landing-log/000000000001" gone_and "$objects/landing-log/000000000001" slot-missing
saved "$objects/landing-log/000000000001" flip_and "$objects/landing-log/000000000001" slot-damaged
saved "$objects/format" gone_and "$objects/format" format-missing

# It names files, and says what to do.
names_the_file() {
        rm "$chunk"
        hif fsck acme/app
        says 'large'
        says 'What to do: '
}
saved "$chunk" names_the_file

# A warning is not an error; what is only worth knowing is neither.
rm "$objects/head"
finds 9 head-missing
ok log acme/app
printf 'not of hif\n' >"$objects/stray"
hif fsck acme/app
[ "$code" = 0 ] || fail "an info is no error"
says unknown-key
rm "$objects/stray"

# What may not be read is not damaged, and not whole either.
if [ "$(id -u)" != 0 ]; then
        chmod 0 "$objects/trees"
        hif fsck acme/app
        chmod 755 "$objects/trees"
        [ "$code" = 1 ] || fail "what is not checked gives exit code 1"
        says not-checked
fi
ok fsck acme/app -r
says 'Nothing is wrong.'

# --- repairing ---

fails 2 'are for --repair' fsck acme/app --source src
fails 2 'whole history' fsck acme/app --repair --from @1
fails 2 'wants --yes' fsck acme/app --repair --drop-unreadable
fails 6 'cannot read the directory' fsck acme/app --repair --source nowhere
ok fsck acme/app --repair
says_not 'Checking again'

# From the files that were imported: a pack and a chunk, as they were.
for file in "$pack" "$chunk"; do
        cp -a "$file" kept
        rm "$file"
        ok fsck acme/app --repair --source src
        says 'restored'
        says 'Checking again'
        cmp -s "$file" kept || fail "$file should be as it was"
done

# From a copy of the store: anything, a position too.
cp -a "$HOME/.local/share/hif/store" copy
rm -r "$objects/trees" "$objects/landing-log/000000000001" "$objects/sessions" "$objects/packs"
finds 8 slot-missing
ok fsck acme/app --repair --source copy
ok fsck acme/app -r
hif cat acme/app:large
cmp -s out src/large || fail "the large file"

# What is nowhere is said to be lost, and left out only when that is asked for.
rm "$list"
hif fsck acme/app --repair
[ "$code" = 8 ] || fail "exit code should be 8"
says 'no intact copy'
hif fsck acme/app --repair --drop-unreadable --yes --json
[ "$code" = 8 ] || fail "older positions still miss it"
json repairs.2.path large
json repairs.2.done true
ok ls acme/app
says_not large
says blob
ok log acme/app -n 1 --json
json 0.kind repair
hif fsck acme/app
says '@1 to @2'
