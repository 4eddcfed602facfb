#!/bin/bash
# The main job, as its user meets it: create, import, mount, edit, status, diff, land, log, come back.
. "$(dirname "$0")/../lib.sh"

step 'import'
make_tree "$work/tree"
hif project create acme/app
hif import acme/app "$work/tree" -m 'first import'
expect "$(hif project list)" acme/app

step 'mount'
hif mount "--$front" acme/app "$work/app"
expect "$(cat "$work/app/README")" hello
same_tree "$work/tree" "$work/app"
cd "$work/app"
expect "$(changes)" 'no changes against @1'

step 'edit'
echo more >>README
echo new >src/new.c
rm src/f1.c
mv src/f2.c src/renamed.c
chmod +x src/f3.c
mkdir -p made/dir
mv src/deep moved
sed -i 's/file 4/FILE FOUR/' src/f4.c
cp src/f5.c src/.f5.tmp && mv src/.f5.tmp src/f5.c
expect "$(changes)" 'M README
A made/dir/
R src/deep/ -> moved/
D src/f1.c
M src/f3.c
M src/f4.c
A src/new.c
R src/f2.c -> src/renamed.c'

step 'diff'
expect_match "$(hif diff README)" '\+more'
expect_match "$(hif diff src/f4.c)" 'FILE FOUR'
echo filled >src/nothing
expect_match "$(hif diff src/nothing)" '--- a/src/nothing'
: >src/nothing

step 'edits survive unmount'
cd /
hif unmount "$work/app"
[ ! -e "$work/app/README" ] || fail 'still mounted'
hif mount "--$front" acme/app "$work/app"
cd "$work/app"
expect "$(tail -n 1 README)" more
expect "$(cat moved/er/leaf)" x

step 'land'
cp -a . "$work/copy"
expect_match "$(hif land --dry-run 'try')" 'Would land'
hif land 'edit things' | tee "$work/landed"
expect_match "$(cat "$work/landed")" 'Landing position: 2'
expect "$(changes)" 'no changes against @2'
same_tree "$work/copy" .
fails_with 5 'nothing to land' hif land again

step 'log'
expect_match "$(hif log acme/app)" 'edit things'
expect "$(hif cat acme/app@2:src/new.c)" new
expect "$(hif cat acme/app@1:README)" hello

step 'a second mount sees what was landed'
cd /
# A file that was written anew with the same content is no change, and its new time does not land.
for f in f5.c nothing; do touch -r "$work/tree/src/$f" "$work/copy/src/$f"; done
hif mount "--$front" acme/app "$work/other" --session other
same_tree "$work/copy" "$work/other"
hif unmount "$work/other"
hif unmount "$work/app"
