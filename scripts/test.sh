#!/bin/bash
# test.sh [ctest option...] - install, build, and run every test: plain, then with sanitizers.
#
# `scripts/test.sh -R land` runs the tests whose name matches. docs/testing.md tells what there is.
set -eu
cd "$(dirname "$0")/.."
scripts/install.sh test
jobs=$(nproc)

echo 'building ...'
scripts/build.sh build -DHIF_TESTS=ON
failed=
ctest --test-dir build --output-on-failure --no-tests=error -j "$jobs" "$@" || failed="$failed build"

echo 'building with AddressSanitizer and UndefinedBehaviorSanitizer ...'
scripts/build.sh build-sanitize -DCMAKE_C_COMPILER=clang -DCMAKE_BUILD_TYPE=Debug \
	-DHIF_SANITIZE=address,undefined
ctest --test-dir build-sanitize --output-on-failure --no-tests=ignore -LE 'integration|plain' -j "$jobs" "$@" ||
	failed="$failed build-sanitize"
[ -z "$failed" ] || { echo "tests failed in:$failed; run one again with: ctest --test-dir DIR -R NAME --output-on-failure"; exit 1; }
