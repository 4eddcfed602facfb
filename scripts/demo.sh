#!/bin/bash
# demo.sh [SOURCE-TREE] - install, build, and do the main job once, in a directory of its own.
#
# Without an argument the tree is the source of Go as Debian packages it (about 11,000 files). Nothing
# outside the demo's directory is touched, and nothing stays mounted.
set -eu
cd "$(dirname "$0")/.."
scripts/install.sh build
echo 'building ...'
scripts/build.sh build -DHIF_TESTS=OFF
PATH=$PWD/build/cli:$PATH

work=$(mktemp -d "${TMPDIR:-/tmp}/hif-demo.XXXXXX")
export HOME=$work/home XDG_RUNTIME_DIR=$work/run
mkdir -p "$HOME" "$XDG_RUNTIME_DIR"
finish() {
	cd /
	hif daemon stop >/dev/null 2>&1 || true
	rm -rf --one-file-system "$work"
}
trap finish EXIT
run() {
	printf '\n$ %s\n' "$*"
	"$@"
}

if [ $# -gt 0 ]; then
	tree=$(realpath "$1")
else
	echo 'fetching a source tree ...'
	(cd "$work" && apt-get download -q golang-1.19-src >/dev/null && dpkg -x golang-1.19-src_*.deb unpacked)
	tree=$work/unpacked/usr/share/go-1.19
fi
echo "the tree: $(find "$tree" -type f | wc -l) files, $(du -sh "$tree" | cut -f1)"

run hif project create demo/tree
run hif import demo/tree "$tree" -m 'import the source tree'
run hif mount demo/tree "$work/mount"
cd "$work/mount"
run sh -c 'find . | wc -l'
file=$(find . -name '*.go' -size -8k -type f 2>/dev/null | sort | head -n 1)
[ -n "$file" ] || file=$(find . -type f | sort | head -n 1)
run sh -c "echo '// edited through the mount' >>$file"
run sh -c 'mkdir notes && echo "what to do next" >notes/todo.md'
run hif status
run hif diff
run hif land 'note what to do next'
run hif log demo/tree
cd /
run hif unmount "$work/mount"
