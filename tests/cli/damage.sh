# Objects that were cut, changed or lost, and a disk that is full: said so, never served.
. "${0%/*}/lib.sh"

ok project create acme/app
mkdir src
head -c 300000 /dev/urandom >src/blob
printf 'small\n' >src/small
ok import acme/app src
objects=$HOME/.local/share/hif/store/projects/acme/app

damage() {
        local file=$1 how=$2
        cp "$file" saved
        chmod u+w "$file"
        case $how in
        cut) truncate -s -1 "$file" ;;
        flip) printf '\1' | dd of="$file" bs=1 seek=$(($(stat -c %s "$file") / 2)) conv=notrunc status=none ;;
        gone) rm "$file" ;;
        empty) : >"$file" ;;
        esac
        cmp -s saved "$file" && printf '\2' | dd of="$file" bs=1 \
                seek=$(($(stat -c %s "$file") / 2)) conv=notrunc status=none
}

restore() {
        rm -f "$1"
        cp saved "$1"
}

for how in cut flip gone empty; do
        for kind in blobs packs trees; do
                for file in $(find "$objects/$kind" -type f); do
                        damage "$file" $how
                        for path in blob small; do
                                hif cat "acme/app:$path"
                                if [ "$code" = 0 ]; then
                                        cmp -s out "src/$path" || fail "wrong bytes ($how $kind)"
                                else
                                        [ -s err ] || fail "an error ($how $kind)"
                                        [ "$code" -lt 128 ] || fail "a crash ($how $kind)"
                                fi
                        done
                        restore "$file"
                done
        done
        for file in format landing-log/000000000001; do
                damage "$objects/$file" $how
                hif log acme/app
                # Neither has a name that could tell of a changed bit, but each ends in a checksum.
                # Without its last slot, a log is a shorter log.
                case $file,$how in
                landing-log/*,gone) ;;
                *) [ "$code" != 0 ] || fail "a damaged $file ($how)" ;;
                esac
                [ "$code" -lt 128 ] || fail "a crash ($how $file)"
                restore "$objects/$file"
        done
        # head is a hint: slots count.
        damage "$objects/head" $how
        ok cat acme/app:small
        prints small
        restore "$objects/head"
done

# No bit of the format or of the newest slot can change unseen: another one of every third byte.
for file in format landing-log/000000000001; do
        cp "$objects/$file" saved
        rm "$objects/$file"
        size=$(stat -c %s saved)
        at=0
        while [ $at -lt "$size" ]; do
                cp saved flipped
                chmod u+w flipped
                byte=$(od -An -tu1 -j $at -N 1 saved)
                printf "\\$(printf %o $((byte ^ 1 << at / 3 % 8)))" |
                        dd of=flipped bs=1 seek=$at conv=notrunc status=none
                cp flipped "$objects/$file"
                hif cat acme/app:small
                [ "$code" = 1 ] || fail "a flipped bit of byte $at of $file"
                [ ! -s out ] || fail "stdout should be empty (byte $at of $file)"
                [ -s err ] || fail "an error (byte $at of $file)"
                rm "$objects/$file"
                at=$((at + 3))
        done
        restore "$objects/$file"
done
ok cat acme/app:small

# A full disk: nothing lands, and with room it does.
if [ "$(id -u)" = 0 ] && unshare -m true 2>/dev/null; then
        mkdir disk big
        head -c 6000000 /dev/urandom >big/file
        cat >full.sh <<EOF
mount -t tmpfs -o size=4m none disk || exit 77
"$HIF" --store "$scratch/disk" project create acme/full || exit 1
"$HIF" --store "$scratch/disk" import acme/full big
code=\$?
[ \$code = 1 ] || exit 2
"$HIF" --store "$scratch/disk" log acme/full -n 1 | grep -q '^@0' || exit 3
mount -o remount,size=40m disk
"$HIF" --store "$scratch/disk" import acme/full big || exit 4
"$HIF" --store "$scratch/disk" cat acme/full:file | cmp - big/file || exit 5
EOF
        last="import on a full disk"
        unshare -m sh full.sh >out 2>err
        code=$?
        [ $code = 77 ] || [ $code = 0 ] || fail "step $code on a full disk"
        [ $code = 77 ] || grep -q 'no space left' err || fail "the reason"
fi
