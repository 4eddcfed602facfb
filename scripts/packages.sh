# packages.sh - Debian 12 packages by what they are for. Sourced.
BUILD_PACKAGES="build-essential cmake ninja-build pkg-config libzstd-dev libsqlite3-dev libfuse3-dev libtirpc-dev fuse3
	libjansson-dev libinih-dev libseccomp-dev libgit2-dev libssl-dev libcurl4-openssl-dev libexpat1-dev git
	ca-certificates"
DEMO_PACKAGES="dpkg apt"
TEST_PACKAGES="clang clang-format libclang-rt-14-dev libcmocka-dev gcovr libnfs-dev rpcsvc-proto
	user-mode-linux busybox-static iproute2 util-linux procps strace jq sqlite3 zstd time
	ceph-mon ceph-osd radosgw ceph-common curl
	vim emacs-nox nano ed perl patch rsync zip unzip ccache inotify-tools python3-venv
	openssl e2fsprogs"
# For tests that run a program from npm. Other builds of node bring an npm along, and Debian's conflicts with them: only
# where there is none.
NPM_PACKAGES="nodejs npm"
