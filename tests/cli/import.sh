# Importing a directory tree: what is kept, what is left out, what is refused.
. "${0%/*}/lib.sh"

ok project create acme/app
mkdir -p src/dir/deep src/empty src/build src/sub
printf 'hello\n' >src/file
printf '#!/bin/sh\n' >src/run
chmod 755 src/run
: >src/nothing
printf 'x' >src/dir/deep/x
ln -s ../file src/dir/link
ln -s nowhere src/dangling
ln src/file src/hardlink
printf 'a b' >"src/with space"
printf 'n' >"$(printf 'src/new\nline')"
printf 'u' >"$(printf 'src/not-utf8-\377')"
mkfifo src/fifo
printf '*.o\nbuild/\n' >src/.gitignore
printf '!keep.o\n' >src/sub/.hifignore
touch src/a.o src/sub/b.o src/sub/keep.o src/build/out
mkdir -p src/.git && touch src/.git/config
dd if=/dev/zero bs=1M count=9 status=none | tr '\0' 'z' >src/large
touch -d '2001-02-03 04:05:06.123456789 UTC' src/file src/empty src/run
touch -h -d '2002-02-03 04:05:06 UTC' src/dangling

ok --json import acme/app src -m 'first light'
json position 1
json files 12
json directories 4
json symlinks 2
json skipped 1
json resumed false
grep -qF 'left out fifo' err || fail "the fifo is named"

ok --json log acme/app -n 1
json 0.goal 'first light'
json 0.position 1
json 0.path_count 18

# Kinds, modes, times, targets.
ok ls -R acme/app
for path in .gitignore dangling dir/ dir/deep/ dir/deep/x dir/link empty/ file hardlink large 'new\nline' \
        'not-utf8-\xff' nothing run sub/ sub/.hifignore sub/keep.o 'with space'; do
        grep -qxF -- "$path" out || fail "$path should be there"
done
[ "$(wc -l <out)" = 18 ] || fail "and nothing else"
ok --json ls acme/app file
json 0.kind file
json 0.mtime 2001-02-03T04:05:06.123456789Z
ok --json ls acme/app run
json 0.kind executable
ok --json ls acme/app dangling
json 0.kind symlink
json 0.target nowhere
json 0.mtime 2002-02-03T04:05:06.000000000Z
ok ls acme/app empty
[ ! -s out ] || fail "an empty directory"
ok --json ls acme/app
grep -qF '"path_bytes": "6e6f742d757466382dff"' out || fail "the exact bytes of a name"

# Contents.
for path in file run nothing dir/deep/x hardlink 'with space' large; do
        ok cat "acme/app:$path"
        cmp -s out "src/$path" || fail "the content of $path"
done

# Again: nothing to do. Then only what changed lands.
fails 5 'nothing to import: acme/app holds what is in src already, at @1' import acme/app src
fails_json 5 ENOTHING import acme/app src
touch src/file
fails 5 'nothing to import' import acme/app src
printf 'hullo\n' >src/hardlink
rm -r src/dir
printf 'now a file\n' >src/dir
rm src/nothing
mkdir src/nothing
chmod 644 src/run
ok import acme/app src
says 'Landing position: 2'
grep -qE '^Landed session [0-9a-f]{32}$' out || fail "the session"
ok log -v -n 1 acme/app
cp out paths
for line in 'M file' 'M hardlink' 'M dir' 'M nothing' 'M run' 'D dir/deep/x' 'D dir/link'; do
        grep -qxF "    $line" paths || fail "log should say: $line"
done
ok cat acme/app:dir
prints 'now a file'
ok cat acme/app@1:dir/deep/x

# Ignored paths that a project has stay as they are.
printf 'file\n' >>src/.gitignore
rm src/file
ok import acme/app src
ok cat acme/app:file
prints hullo

# Rules can be set aside, but for our own.
ok project create acme/all
ok --json import acme/all src --no-ignore
json ignored 1
ok ls -R acme/all
grep -qxF a.o out && grep -qxF build/out out || fail "what is ignored"
grep -q '^\.git/' out && fail "but not .git"
ok project create acme/none
mkdir shy && printf '*\n' >shy/.gitignore && touch shy/x
fails 5 'but for 2 ignored name(s); --no-ignore takes them too' import acme/none shy

# Same size, same time, other content: content decides.
printf 'AAAA' >src/same
touch -d @1000000000 src/same
ok import acme/app src
printf 'BBBB' >src/same
touch -d @1000000000 src/same
ok import acme/app src
ok cat acme/app:same
[ "$(cat out)" = BBBB ] || fail "the new content"

# Who imports, and what for.
HIF_AUTHOR='Ada <ada@example.org>' ok project create acme/two
HIF_AUTHOR='Ada <ada@example.org>' ok import acme/two src/sub
ok --json log acme/two -n 1
json 0.author 'Ada <ada@example.org>'
json 0.goal 'Import sub'
fails 2 'the goal is too long' import acme/two src/sub -m "$(printf 'x%.0s' $(seq 4097))"

# An empty directory is a tree, too.
mkdir nil
ok import acme/two nil
ok ls acme/two
[ ! -s out ] || fail "nothing is left"

# What cannot be imported.
fails 6 'cannot import missing: no such file or directory' import acme/app missing
fails 1 'cannot import src/large: not a directory' import acme/app src/large
fails 6 'hif project create acme/nil' import acme/nil src
fails 2 'is not a project name' import acme src
fails 1 'lies in the store itself' import acme/app "$HOME/.local/share/hif/store/projects"
fails 1 'is the store itself' import acme/app "$HOME"
printf 'store/\n' >"$HOME/.local/share/hif/.hifignore"
ok import acme/two "$HOME/.local"
if [ "$(id -u)" != 0 ]; then
        mkdir secret && printf s >secret/s && chmod 000 secret/s
        fails 1 'make it readable, or name it in a .hifignore file' import acme/app secret
fi
