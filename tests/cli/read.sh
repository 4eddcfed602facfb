# log, ls and cat: what they show, and what they say when there is nothing to show.
. "${0%/*}/lib.sh"

ok project create acme/app
mkdir -p src/b/c
printf 'one\n' >src/a
printf 'two\n' >src/b/f
printf 'three\n' >src/b/c/g
ok import acme/app src -m 'first'
printf 'uno\n' >src/a
rm src/b/f
ok import acme/app src -m "$(printf 'second\nwith details\033[31m')"

# log: newest first, as many as wanted, from where one wants.
ok log acme/app
grep -E '^@' out | tr '\n' ' ' | grep -q '^@2 .*@1 .*@0 ' || fail "newest first"
says '@2  second'
says '    with details\x1b[31m'
ok log acme/app -n 1
says '@2'
says_not '@1'
ok log acme/app@1
says_not '@2'
ok --json log -n 2 acme/app --verbose
json "" 2
json 0.position 2
json 0.base 1
json 0.paths 2
json 0.paths.0.status M
json 0.paths.0.path a
json 0.paths.1.status D
json 1.goal first
json 1.paths 5
ok log --stat -n 1 acme/app
says '    M a'
says '    D b/f'

# ls: a directory, a file, everything below, details, an older state.
ok ls acme/app
prints 'a
b/'
ok ls acme/app b
prints 'c/'
ok ls acme/app@1 b/
prints 'c/
f'
ok ls acme/app@1:b
prints 'c/
f'
ok ls acme/app a
prints 'a'
ok ls -R acme/app
prints 'a
b/
b/c/
b/c/g'
ok ls -R acme/app b
prints 'c/
c/g'
ok ls -l acme/app a
grep -qE '^-rw-r--r-- +4 [0-9-]{10} [0-9:]{5} a$' out || fail "details"
ok ls acme/app@0
[ ! -s out ] || fail "the empty project"
ok --json ls acme/app@0
json "" 0

# cat.
ok cat acme/app:a
prints uno
ok cat acme/app@1:a
prints one
ok cat acme/app b/c/g
prints three
ok --json cat acme/app:a
json content uno
json kind file
printf '\377\0' >src/bytes
ok import acme/app src
ok --json cat acme/app:bytes
json content_bytes ff00

# What is not there.
fails 6 'has no position @9 yet' log acme/app@9
fails 6 'has no position @9 yet' ls acme/app@9
fails 6 'there is no nope in acme/app@3' ls acme/app nope
fails 6 'there is no nope in acme/app@3' cat acme/app:nope
fails 6 'hif project create acme/none' log acme/none
fails_json 6 ENOENT cat acme/app:nope
fails 1 'b is a directory' cat acme/app:b
fails 2 'is no position' ls acme/app@x
fails 2 'is no position' ls acme/app@9999999999999
fails 2 'is no path inside a project' cat acme/app:a/../b
fails 2 'is no path inside a project' ls acme/app b//c
fails 6 'no project was named' log
fails 6 'no project was named' -C / ls
ln -s a src/link
ok import acme/app src
fails 1 'is a symbolic link, to a' cat acme/app:link

# Colour only on a terminal.
ok log acme/app
grep -q "$(printf '\033')" out && fail "no escapes in a file"
if command -v script >/dev/null; then
        script -qec "$HIF log acme/app -n 1" /dev/null </dev/null >out 2>err
        grep -q "$(printf '\033')" out || fail "colour on a terminal"
        NO_COLOR=1 script -qec "$HIF log acme/app -n 1" /dev/null </dev/null >out 2>err
        grep -q "$(printf '\033')" out && fail "NO_COLOR"
fi
exit 0
