# build.sh - make and ninja: nothing is built again without need, and everything that has to be.

# A small real project: the room src/base of this one.
mkdir "$work/project"
sources='arena buf map siphash err log' many=20 ninja=yes
# cmake looks at the compiler with a hundred programs: in a guest that takes half a minute.
[ "$front" = fuse ] || [ -z "$short" ] || ninja=
[ -z "$short" ] || sources='arena map siphash' many=2
cp $(printf "$here/../src/base/%s.h " arena buf err log map siphash) $(printf "$here/../src/base/%s.c " $sources) \
	"$work/project"
cp "$here"/../src/base/{cleanup,env}.h "$work/project"
cat >"$work/project/Makefile" <<'M'
OBJ := $(patsubst %.c,out/make/%.o,$(wildcard *.c))
out/make/libbase.a: $(OBJ)
	ar rc $@ $^
out/make/%.o: %.c
	@mkdir -p out/make
	$(CC) -D_GNU_SOURCE -I.. -I. -Isrc -MMD -c -o $@ $<
-include $(OBJ:.o=.d)
M
cat >"$work/project/CMakeLists.txt" <<'M'
cmake_minimum_required(VERSION 3.20)
project(base C)
file(GLOB sources *.c)
add_library(base ${sources})
target_compile_definitions(base PRIVATE _GNU_SOURCE)
target_include_directories(base PRIVATE . src)
M
mkdir "$work/project/src" && ln -s .. "$work/project/src/base"
echo out/ >"$work/project/.gitignore"
hif project create acme/build
hif import acme/build "$work/project" -m project >/dev/null
at=$work/build
mount_build() { hif mount "--$front" acme/build "$at" >/dev/null; }
mount_build

up_to_date() {
	expect_match "$(make -C "$at")" 'is up to date'
	[ -z "$ninja" ] || expect_match "$(ninja -C "$at/out/ninja")" 'no work to do'
}
# What make and ninja build now, sorted.
built() {
	make -C "$at" | sed -n 's/.* -c -o out\/make\/\([^ ]*\)\.o .*/make \1/p'
	[ -z "$ninja" ] || ninja -v -C "$at/out/ninja" | sed -n 's/.* -c [^ ]*\/\([a-z]*\)\.c$/ninja \1/p'
}
changes_of_build() { changes "$at"; }

step 'make -j, cmake and ninja'
make -s -j4 -C "$at"
[ -z "$ninja" ] || { cmake -G Ninja -S "$at" -B "$at/out/ninja" && ninja -C "$at/out/ninja"; } >/dev/null
up_to_date
expect "$(changes_of_build)" 'no changes against @1'

step 'nothing to build after unmount and mount, after a landing, after the server died'
hif unmount "$at" >/dev/null
mount_build
up_to_date
echo '/* more */' >>"$at/map.c"
expect "$(built | sort)" "make map${ninja:+
ninja map}"
hif -C "$at" land 'more of map' >/dev/null
up_to_date
server_dies
up_to_date

step 'what others have landed is built, and nothing else'
# They were written before we built last, and landed after that.
hif mount "--$front" acme/build "$work/other" --session other >/dev/null
echo '/* theirs */' >>"$work/other/siphash.c"
echo '/* theirs */' >>"$work/other/arena.h"
touch -d '1 hour ago' "$work/other/siphash.c" "$work/other/arena.h"
hif -C "$work/other" land 'one source and one header' >/dev/null
hif unmount "$work/other" >/dev/null
echo mine >"$at/notes"
hif -C "$at" land 'notes' >/dev/null
expect_match "$(tail -n 1 "$at/siphash.c")" theirs
built | sort >"$work/built"
grep -lE '"(base/)?arena\.h"' "$at"/*.c | sed 's/.*\///; s/\.c$//' | cat - <(echo siphash) | sort -u >"$work/which"
expect "$(cat "$work/built")" "$(sed 's/^/make /' "$work/which"; [ -z "$ninja" ] || sed 's/^/ninja /' "$work/which")"
up_to_date

step 'a compiler cache on the mount'
[ -n "$short" ] || (
	export CCACHE_DIR=$at/out/ccache
	for _ in 1 2; do
		rm -f "$at"/out/make/*.o
		make -s -C "$at" CC='ccache cc'
	done
	expect_match "$(ccache -s)" 'Hits: +[1-9]'
)

step 'a build directory with many files is no change and is not looked at'
mkdir "$at/out/many"
(cd "$at/out/many" && for d in $(seq $many); do mkdir "$d" && (cd "$d" && seq 1 1000 | xargs touch); done)
expect "$(changes_of_build)" 'no changes against @4'
echo more >>"$at/notes"
expect_match "$(hif -C "$at" land --json 'next to a large build' | jq -c '[.paths, .position]')" '^\[1,5\]$'
hif unmount "$at" >/dev/null
