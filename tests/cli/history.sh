# log by path, author and range over a history long enough for derived records, and maintain, which
# makes, compares and rebuilds them.
. "${0%/*}/lib.sh"

landings=105
ok project create acme/app
mkdir -p src/deep/er
printf 'rare\n' >src/rare
printf 'x\n' >src/deep/er/leaf
HIF_AUTHOR='Ada <ada@example.org>' ok import acme/app src -m 'by Ada'
printf 'gone\n' >src/deep/gone
ok import acme/app src -m 'comes'
rm src/deep/gone
ok import acme/app src -m 'goes'
for i in $(seq 4 $landings); do
        echo "$i" >src/often
        hif import acme/app src -m "landing $i"
        [ "$code" = 0 ] || fail "landing $i"
done

# The landing that completed the window made its record.
records=$HOME/.local/share/hif/store/projects/acme/app
[ -s "$records/bloom-index/level-1/000000000000" ] || fail 'a lander should have made a rollup'
[ ! -e "$records/bloom-index/level-1/000000000100" ] || fail 'a rollup of an incomplete window'

# One path: a file, what is gone, a directory with all below it, what never was.
check_paths() {
        ok log acme/app --path rare
        [ "$(grep -c '^@' out)" = 1 ] || fail 'one landing'
        says '@1  by Ada'
        ok log acme/app --path deep/gone --stat
        [ "$(grep -c '^@' out)" = 2 ] || fail 'two landings'
        says '    D deep/gone'
        says '    A deep/gone'
        ok log acme/app --path deep
        [ "$(grep '^@' out | cut -d' ' -f1 | tr '\n' ' ')" = '@3 @2 @1 ' ] || fail 'three landings'
        ok log acme/app --path often -n 0
        [ "$(grep -c '^@' out)" = $((landings - 3)) ] || fail 'all the others'
        ok log acme/app --path /often/ -n 2
        [ "$(grep '^@' out | cut -d' ' -f1 | tr '\n' ' ')" = "@$landings @$((landings - 1)) " ] ||
                fail 'the last two'
        ok log acme/app@50 --path often -n 1
        says '@50  landing 50'
        ok log acme/app --path never
        [ ! -s out ] || fail 'nothing'
        grep -qF "no landing up to @$landings has changed never" err || fail 'should say so'
}
check_paths

# Author, range, and all together, as text and JSON.
ok log acme/app --author ADA -n 0
[ "$(grep -c '^@' out)" = 1 ] || fail 'one landing by Ada'
ok log acme/app@20 --since @17
[ "$(grep '^@' out | cut -d' ' -f1 | tr '\n' ' ')" = '@20 @19 @18 ' ] || fail 'three landings'
ok --json log acme/app --path rare --author ada --since @0 -v
json "" 1
json 0.position 1
json 0.member 0
ok --json log acme/app --path never
json "" 0
fails 2 'is no position' log acme/app --since yesterday
fails 2 '--path wants something inside' log acme/app --path /
fails 2 '--follow goes with --path' log acme/app --follow

# maintain: what is missing, once.
rm "$records/bloom-index/level-1/000000000000"
check_paths
ok maintain acme/app
says 'level-1          1 complete window, 1 made'
ok --json maintain acme/app
json project acme/app
json position $landings
json records.level-1.windows 1
json records.level-1.present 1
json records.level-1.made 0
json records.segments.windows 0
check_paths

# Bit for bit, whoever makes it; damage is told, and no answer depends on it.
cp "$records/bloom-index/level-1/000000000000" first
ok maintain acme/app --rebuild
cmp -s first "$records/bloom-index/level-1/000000000000" || fail 'the same bytes'
ok maintain acme/app --verify
says '1 the same, 0 different'
printf 'X' | dd of="$records/bloom-index/level-1/000000000000" bs=1 seek=300 conv=notrunc 2>dd
check_paths
hif maintain acme/app --verify
[ "$code" = 1 ] || fail 'should find the damage'
says 'bloom-index/level-1/000000000000: its bytes are not what is made of its window'
says 'run "hif maintain --rebuild acme/app"; no landing is affected'
hif --json maintain acme/app --verify
[ "$code" = 1 ] || fail 'should find the damage'
json records.level-1.different 1
json differences.0.kind level-1
ok maintain acme/app --rebuild
ok maintain acme/app --verify
fails 2 'do not go together' maintain acme/app --verify --rebuild
fails 2 'without a position or a path' maintain acme/app@3
fails 6 'no project' maintain acme/none
