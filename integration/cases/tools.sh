#!/bin/bash
# Programs that expect a directory: git, make, sqlite, tar, rsync, editors' ways of saving.
. "$(dirname "$0")/../lib.sh"

step 'an empty project'
hif project create acme/tools
hif mount "--$front" acme/tools "$work/m"
cd "$work/m"

step 'cp, diff, rm'
cp -r "$here" copy
diff -r "$here" copy
rm -rf copy
[ ! -e copy ] || fail 'still there'

step 'git'
mkdir repo && cd repo
git init -q . && git config user.email t@example.org && git config user.name T
for i in $(seq 1 50); do echo "line $i" >"file$i"; done
git add -A && git commit -qm one
git checkout -qb side && echo side >>file1 && git commit -qam side
git checkout -q - && echo main >>file2 && git commit -qam main && git merge -q side -m merge
git gc -q
git fsck --full --strict
expect "$(git status --porcelain)" ''
cd ..

step 'make, and nothing to rebuild after a remount'
mkdir proj && cd proj
cat >Makefile <<'M'
OBJ := a.o b.o
prog: $(OBJ)
	cc -o $@ $^
M
echo 'int f(void); int main(void) { return f(); }' >a.c
echo 'int f(void) { return 0; }' >b.c
make -s && ./prog
cd /
hif unmount "$work/m"
hif mount "--$front" acme/tools "$work/m"
cd "$work/m/proj"
expect_match "$(make)" 'up to date'
cd ..

step 'sqlite, rollback journal and WAL'
if command -v sqlite3 >/dev/null; then
	for mode in delete wal; do
		sqlite3 db-$mode "pragma journal_mode=$mode; create table t(a); insert into t values (1),(2);
			insert into t select a+2 from t;" >/dev/null
		expect "$(sqlite3 db-$mode 'pragma integrity_check; select count(*) from t')" 'ok
4'
	done
else
	fail 'sqlite3 is not installed'
fi

step 'saving as editors do'
printf 'one\n' >doc
printf 'two\n' >doc.tmp && mv doc.tmp doc
expect "$(cat doc)" two
sed -i s/two/three/ doc
expect "$(cat doc)" three
exec 9<doc && rm doc && expect "$(cat <&9)" three
exec 9<&-

step 'modes, links, times, sparse files'
echo x >ro && chmod 444 ro && expect "$(stat -c %a ro)" 444
ln ro ro2 && expect "$(stat -c %h ro2)" 2
rm ro && expect "$(cat ro2)" x
touch -d '1999-12-31 23:59:59.123456789' old && expect "$(stat -c %.Y old)" 946684799.123456789
truncate -s 1G sparse && expect "$(stat -c %s sparse)" 1073741824
printf end | dd of=sparse bs=1 seek=1000000000 conv=notrunc status=none
expect "$(dd if=sparse bs=1 skip=1000000000 count=3 status=none)" end
rm sparse
mkfifo pipe && [ -p pipe ]

step 'many names in one directory'
mkdir many && (cd many && seq 1 3000 | xargs touch)
expect "$(ls many | wc -l)" 3000
(cd many && seq 1 2 3000 | xargs rm)
expect "$(ls many | wc -l)" 1500
expect "$(ls many | sort -u | wc -l)" 1500

step 'tar round trip'
tar cf "$work/t.tar" repo && mkdir x && tar xf "$work/t.tar" -C x && diff -r repo x/repo
cd /
hif unmount "$work/m"
