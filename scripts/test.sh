#!/bin/bash
# test.sh [ctest option...] - install, build, and run every test: plain, then with sanitizers.
#
# `scripts/test.sh -R land` runs the tests whose name matches. docs/testing.md tells what there is.
set -eu
cd "$(dirname "$0")/.."
scripts/install.sh test

echo 'building ...'
scripts/build.sh build -DHIF_TESTS=ON

# Meanwhile, in what the tests leave of the processors: many of them wait, for a guest kernel, a timeout, S3.
nice -n 19 scripts/build.sh build-sanitize -DCMAKE_C_COMPILER=clang -DCMAKE_BUILD_TYPE=Debug -DCMAKE_C_FLAGS_DEBUG="-O1 -g1" \
	-DHIF_SANITIZE=address,undefined >build-sanitize.out.log 2>&1 &
sanitized=$!

# For the same reason more tests run at once than there are processors.
jobs=$(($(nproc) + 2))
failed=
ctest --test-dir build --output-on-failure --no-tests=error -j $jobs "$@" || failed="$failed build"

echo 'building with AddressSanitizer and UndefinedBehaviorSanitizer ...'
wait $sanitized || { cat build-sanitize.out.log; exit 1; }
rm -f build-sanitize.out.log
ctest --test-dir build-sanitize --output-on-failure --no-tests=ignore -LE 'integration|plain' -j $jobs "$@" ||
	failed="$failed build-sanitize"
[ -z "$failed" ] || { echo "tests failed in:$failed; run one again with: ctest --test-dir DIR -R NAME --output-on-failure"; exit 1; }
