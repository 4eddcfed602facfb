# basics.sh - what every program takes for granted.

step 'cp, diff, rm'
cp -r "$here" copy
diff -r "$here" copy
rm -rf copy
[ ! -e copy ] || fail 'still there'

step 'replaced while open'
printf 'one\n' >doc
printf 'two\n' >doc.tmp && mv doc.tmp doc
expect "$(cat doc)" two
exec 9<doc && rm doc && expect "$(cat <&9)" two
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

step 'extended attributes are refused, and not lost in silence'
expect_match "$(/usr/bin/python3 -c 'import os; os.setxattr("ro2", "user.colour", b"red")' 2>&1)" 'Operation not supported'

step 'locks between processes'
: >lock
flock lock -c 'flock -n lock -c true && exit 1; exit 0' || fail 'flock let two in'
for i in 1 2 3 4; do
	for j in 1 2 3 4 5; do flock lock -c 'n=$(cat count 2>/dev/null || echo 0); echo $((n + 1)) >count'; done &
done
wait $(jobs -p)
expect "$(cat count)" 20

step 'many names in one directory'
mkdir many && (cd many && seq 1 3000 | xargs touch)
expect "$(ls many | wc -l)" 3000
(cd many && seq 1 2 3000 | xargs rm)
expect "$(ls many | wc -l)" 1500
expect "$(ls many | sort -u | wc -l)" 1500

step 'the room that there is'
size() { df -BM --output=size "$1" | tail -n 1; }
expect "$(size .)" "$(size "$HOME/.local/state/hif")"
