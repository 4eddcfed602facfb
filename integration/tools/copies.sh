# copies.sh - programs that copy trees: what comes out is what went in, and a second time there is nothing to do.

make_tree "$work/tree"
ln "$work/tree/README" "$work/tree/src/hard"
long=$(printf 'l%.0s' $(seq 200))
mkdir -p "$work/tree/$long/$long"
echo deep >"$work/tree/$long/$long/$(printf 'f%.0s' $(seq 255))"
printf 'odd\n' >"$work/tree/$(printf 'new\nline \xff\\')"
truncate -s 3M "$work/tree/sparse" && printf end | dd of="$work/tree/sparse" bs=1 seek=2000000 conv=notrunc status=none
chmod 640 "$work/tree/src/f7.c"
touch -h -d '2001-02-03 04:05:06.123456789' "$work/tree/src/link"

same() { # same A B: as same_tree, and which files are one
	same_tree "$1" "$2"
	expect "$(stat -c %h "$2/README")" 2
}

step 'rsync -a there and back, a second time nothing, and into files that are there'
rsync -aH "$work/tree/" there
same "$work/tree" there
rsync -aH there/ "$work/back"
same "$work/tree" "$work/back"
expect "$(rsync -aHi "$work/tree/" there; rsync -aHi there/ "$work/back")" ''
printf changed | dd of="$work/tree/big.bin" bs=1 seek=5000000 conv=notrunc status=none
touch -d '2020-02-03 04:05:07' "$work/tree/big.bin"
expect_match "$(rsync -aH --inplace --no-whole-file --stats "$work/tree/" there)" 'files transferred: 1'
same "$work/tree" there
rsync -a --delete "$work/tree/src/" there/src

step 'also when it was unmounted between'
rsync -aH "$work/tree/" there
remount
expect "$(rsync -aHi "$work/tree/" there)" ''

step 'cp -a, with and without reflinks and holes'
cp -a --reflink=auto there copy
same "$work/tree" copy
cp -a --sparse=always copy holes
same "$work/tree" holes
rm -r holes

step 'tar: hard links, long names, holes; in and out'
tar -C "$work/tree" --format=posix -cf "$work/t.tar" .
mkdir from-tar && tar -xf "$work/t.tar" -C from-tar
same "$work/tree" from-tar
tar --format=posix -cSzf "$work/back.tgz" from-tar
mkdir "$work/untarred" && tar -xzf "$work/back.tgz" -C "$work/untarred"
same "$work/tree" "$work/untarred/from-tar"
tar --compare -f "$work/t.tar" -C from-tar

if [ "$front" = nfs ] && [ -n "$short" ]; then # what follows starts many programs
	cd "$m"
	rm -r copies/*
	return 0
fi

step 'zip and unzip, made on the mount'
(cd copy && zip -qry ../copy.zip src bin README)
mkdir unzipped && unzip -q copy.zip -d unzipped
diff -r --no-dereference copy/src unzipped/src
[ -x unzipped/bin/tool ] || fail 'no longer executable'

step 'diff and patch'
cp -r copy/src new
sed -i 's/file/FILE/' new/f1.c new/f30.c && rm new/f2.c && echo added >new/added
(cd copy && diff -ruN --no-dereference src ../new >../changes.patch) || true
(cd copy/src && patch -s -p1 <../../changes.patch)
diff -r --no-dereference copy/src new

step 'find, grep -r, du, xargs'
expect "$(grep -rl FILE copy/src | sort)" 'copy/src/f1.c
copy/src/f30.c'
expect "$(find from-tar -type f | wc -l)" "$(find "$work/tree" -type f | wc -l)"
expect "$(find from-tar -newermt '2020-02-03 04:05:06.5' ! -newermt '2020-02-03 04:05:06.9' -name README)" from-tar/README
find from-tar -name 'f*.c' -print0 | xargs -0 rm
expect "$(find from-tar -name 'f*.c' | wc -l)" 0
cd "$m"
rm -r copies/*
