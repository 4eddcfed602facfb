#!/bin/bash
# A session whose files are damaged: it says so, mounts read-only with what can be read, and what is
# there is saved as a directory, also without the store; giving it up works, and a new one begins.
. "$(dirname "$0")/../lib.sh"

at=$work/app
state=$HOME/.local/state/hif
session=$state/workspaces/acme/app/default

flip() { # flip FILE OFFSET
	printf '%b' "\\x$(printf %02x $((0x$(xxd -s "$2" -l 1 -p "$1") ^ 4)))" |
		dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}

stop() {
	[ ! -e "$session/mounted" ] || hif unmount "$at" >/dev/null
	hif daemon stop >/dev/null 2>&1 || true
}

# Damaged as COMMAND does it, it is mounted for reading only, says what is damaged, and is saved.
damaged() { # damaged REGEX COMMAND...
	local regex=$1
	shift
	stop
	rm -rf "$session" && cp -a "$work/saved" "$session"
	"$@"
	said=$(hif mount "--$front" acme/app "$at" 2>&1 >/dev/null)
	expect_match "$said" 'the session is damaged, and mounted read-only'
	expect_match "$said" "$regex"
	expect_match "$said" 'hif session export acme/app default DIR. saves what is there'
	fails_with 1 'Read-only file system' touch "$at/new"
	expect_match "$(hif -C "$at" status 2>&1)" "the session is damaged, and read-only.*$regex"
	expect "$(hif -C "$at" status --json | jq '.damage | length > 0')" true
	fails_with 1 "session 'default' is damaged, so it is not landed: .hif session export" hif -C "$at" land x
	expect "$(cat "$at/README")" 'hello'
	rm -rf "$work/out" && hif -C "$at" session export "$work/out" >/dev/null 2>&1
	grep -Eq "$regex" "$work/out/report.txt" || fail "the report: $(cat "$work/out/report.txt")"
}

step 'set up'
make_tree "$work/tree"
hif project create acme/app
hif import acme/app "$work/tree" -m import
hif mount "--$front" acme/app "$at" >/dev/null
mkdir "$at/made"
for i in $(seq 300); do echo "content $i" >"$at/made/$i"; done
head -c 300000 /dev/urandom >"$at/made/large"
echo more >>"$at/src/f1.c"
printf 'in the middle' | dd of="$at/big.bin" bs=1 seek=5000000 conv=notrunc status=none
rm "$at/src/f2.c" && mv "$at/src/f3.c" "$at/src/moved.c" && ln -s made/1 "$at/link"
sync -f "$at/made/1"

step 'a whole session is saved, mounted and not'
hif -C "$at" session export "$work/whole" >/dev/null
for path in made/1 made/300 made/large src/f1.c src/moved.c big.bin; do
	cmp "$at/$path" "$work/whole/files/$path" || fail "$path"
done
expect "$(readlink "$work/whole/files/link")" made/1
expect "$(sed -n '/^Removed/,$p' "$work/whole/report.txt")" 'Removed by the session:
src/f2.c
src/f3.c'
fails_with 1 'is not empty; name a new directory' hif -C "$at" session export "$work/whole"
fails_with 1 'is inside the mount at .*; name a directory outside' hif -C "$at" session export "$at/out"
mkdir "$at/hollow" && ln -s "$at/hollow" "$work/into"
fails_with 1 'is inside the mount at .*; name a directory outside' hif -C "$at" session export "$work/into"
rmdir "$at/hollow" && rm "$work/into"
hif unmount "$at" >/dev/null
rm -rf "$work/out" && hif session export acme/app default "$work/out" >/dev/null
diff -r --no-dereference "$work/whole" "$work/out" || fail 'it is another when it is not mounted'
mv "$HOME/.local/share/hif/store" "$work/store"
rm -rf "$work/out" && hif session export default "$work/out" >/dev/null 2>&1
cmp "$work/whole/files/made/large" "$work/out/files/made/large"
grep -q 'big.bin: .* bytes are missing.*the store cannot be reached' "$work/out/report.txt" ||
	fail "not said: $(cat "$work/out/report.txt")"
mv "$work/store" "$HOME/.local/share/hif/store"
fails_with 6 "no session 'none'" hif session export none "$work/new"
fails_with 6 "no session 'none'" hif session export acme/app none "$work/new"
[ ! -e "$work/new" ] || fail 'made for nothing'
stop
cp -a "$session" "$work/saved"

step 'content is gone, or cut'
damaged 'data/s[0-9a-f]*1 is missing' rm "$session"/data/s00000001
expect_match "$(cat "$work/out/report.txt")" 'src/f1.c: [0-9]+ of [0-9]+ bytes are missing'
cmp <(tail -c 200000 "$work/whole/files/made/large") <(tail -c 200000 "$work/out/files/made/large")
fails_with 1 'Input/output error' cat "$at/made/1"
damaged 'data/n[0-9a-f]* has 100000 of' truncate -s 100000 "$session"/data/n00000001
expect "$(cat "$at/made/300")" 'content 300'

step 'rows are damaged, or gone'
damaged 'rows.db: page [0-9]+.* is damaged' flip "$session/rows.db" 20000
diff -r --no-dereference "$work/whole/files" "$work/out/files" || fail 'one bit took a file'
damaged 'rows.db: page 1.* is damaged' flip "$session/rows.db" 40
stop
rm -rf "$session" && cp -a "$work/saved" "$session" && rm "$session/rows.db"
fails_with 1 'what it stands on is lost: .*rows.db.* missing or older.*hif session export acme/app default DIR' \
	hif mount "--$front" acme/app "$at"
rm -rf "$work/out" && hif session export acme/app default "$work/out" 2>/dev/null >&2
expect_match "$(cat "$work/out/report.txt")" 'data/n00000001 holds [0-9]+ bytes, and nothing says'

step 'operations are damaged, which opening does not read: that is told soon after it, and at landing'
stop
rm -rf "$session" && cp -a "$work/saved" "$session"
flip "$session/rows.db" "$(grep -abo made/150 "$session/rows.db" | head -n 1 | cut -d: -f1)"
said=$(hif mount "--$front" acme/app "$at" 2>&1)
expect "$(grep -c damaged <<<"$said")" 0
told() {
	said=$(hif -C "$at" status 2>&1)
	grep -q 'cannot be landed' <<<"$said"
}
wait_for 'it is not told' told
what='cannot read the recorded operations in .*rows.db: .*hif session export DIR. saves the files, .hif session abandon'
expect_match "$said" "the session cannot be landed: $what"
fails_with 8 "session 'default' of acme/app cannot be landed: $what" hif doctor
fails_with 1 "$what" hif -C "$at" land x
rm -rf "$work/out" && hif -C "$at" session export "$work/out" >/dev/null
diff -r --no-dereference "$work/whole/files" "$work/out/files" || fail 'it took a file'
hif unmount "$at" >/dev/null 2>&1

step 'the log is damaged, or gone'
rm -rf "$session" && cp -a "$work/saved" "$session"
hif mount "--$front" acme/app "$at" >/dev/null
echo later >"$at/made/later" && mv "$at/made/1" "$at/made/first"
sync -f "$at/made/later"
echo last >"$at/made/last" && sync -f "$at/made/last"
kill_daemon
umount -l "$at"
rm "$session/mounted"
rm -rf "$work/saved" && cp -a "$session" "$work/saved"
damaged 'log/[-0-9a-f]*.log.* missing' rm "$session"/log/*
expect "$(cat "$at/made/1")" 'content 1'
flip_log() { flip "$(ls "$session"/log/*.log | tail -n 1)" 4200; }
damaged 'log/[-0-9a-f]*.log: (its header|records)' flip_log
expect "$(cat "$at/made/last")" last

step 'it is given up, and a new one begins'
hif unmount "$at" >/dev/null
moved=$(hif session abandon --json acme/app default | jq -r .moved_to)
[ -e "$moved/rows.db" ] || fail 'not kept'
hif mount "--$front" acme/app "$at" >/dev/null
expect "$(hif -C "$at" status)" 'no changes against @1'
cp -a "$work/out/files/." "$at/"
expect_match "$(hif -C "$at" status)" 'A made/last'
hif unmount "$at" >/dev/null
