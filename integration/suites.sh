#!/bin/bash
# suites.sh - run an installed test suite for file systems on a mount.
#
#	suites.sh nfs|fuse pjdfstest DIR [TEST...]	DIR: a built pjdfstest; tests: rename, rename/24.t ... (all)
#	suites.sh nfs|fuse cthon04 DIR [TEST...]	DIR: a built cthon04; tests: basic general special lock (all)
#
# HIF: the program to test. Needs root, as the suites do. For the kernel's NFS client run it in a guest:
#
#	integration/uml/guest.sh --timeout 1500 --mem 4G -- env HIF=$PWD/build/cli/hif integration/suites.sh nfs ...
#
# Neither suite is part of this project, nor is a way to get one. docs/testing.md has what they say.
. "$(dirname "$0")/lib.sh"

suite=${2:?usage: $0 nfs|fuse pjdfstest|cthon04 DIR [TEST...]}
dir=$(realpath "${3:?usage: $0 nfs|fuse pjdfstest|cthon04 DIR [TEST...]}")
shift 3
at=$work/m

mount_project() {
	step "mount through $front"
	# The suites change users, and read what an administrator would: all of the way to the mount.
	chmod 755 "$work"
	umask 022
	hif project create acme/suite
	hif mount "--$front" acme/suite "$at" --allow-other
}

run_pjdfstest() {
	local tests=()
	[ -x "$dir/pjdfstest" ] || fail "$dir/pjdfstest is not there: build it, and give its directory"
	[ $# -gt 0 ] || set -- .
	for test in "$@"; do tests+=("$dir/tests/$test"); done
	mount_project
	step 'pjdfstest'
	# In its root: some tests use paths as long as they may be.
	(cd "$at" && prove -Q -r -j "${JOBS:-4}" "${tests[@]}")
}

run_cthon04() {
	[ -x "$dir/basic/test1" ] || fail "$dir/basic/test1 is not there: build it, and give its directory"
	[ $# -gt 0 ] || set -- basic general special lock
	mount_project
	# Its scripts write beside themselves.
	cp -r "$dir" "$work/cthon"
	for test in "$@"; do
		step "cthon04 $test"
		(cd "$work/cthon/$test" && NFSTESTDIR=$at/suite sh ./runtests -t >"$work/log" 2>&1) || { cat "$work/log" >&2; fail "$test"; }
		grep -E ' ok\.|completed|Congratulations|results:|WARNING' "$work/log" || true
		echo "cthon04 $test: passed"
		rm -rf "$at/suite"
	done
}

case $suite in
pjdfstest) run_pjdfstest "$@" ;;
cthon04) run_cthon04 "$@" ;;
*) fail "no suite '$suite': pjdfstest or cthon04" ;;
esac
