# The config file: every mistake names file, line and key.
. "${0%/*}/lib.sh"

config=$HOME/.config/hif/config
mkdir -p "${config%/*}"

wrong() {
        printf '%b' "$1" >"$config"
        fails 1 "$2" project list
}

wrong '[cache]\nram-max = lots\n' "$config:2: \"lots\" is no value for ram-max in [cache]"
wrong '# x\n\n[store]\nurll = x\n' "$config:4: there is no setting \"urll\" in section [store]"
wrong 'url = x\n' "$config:1: there is no setting \"url\" in section []"
wrong '[mount]\nfront-end = ftp\n' 'auto, nfs or fuse'
wrong '[mount]\ndurability = maybe\n' 'process or power'
wrong '[uploads]\nahead = perhaps\n' 'auto, on or off'
wrong '[uploads]\nafter = 0\n' 'a number of seconds, from 1 to 3600'
wrong '[session]\npublish = often\n' 'auto or manual'
wrong '[daemon]\nthreads = 257\n' 'a number from 0 to 256'
wrong '[daemon]\nthreads = -1\n' 'a number from 0 to 256'
wrong '[cache]\nssd-max = 99999999999T\n' 'powers of 1024'
wrong '[store]\nnonsense\n' "$config:2: this is neither"
wrong "[store]\nurl = $(printf 'x%.0s' $(seq 300))\n" "$config:2: the line is too long"
wrong '[store]\nurl = \0x\n' "$config:2: the line holds a zero byte"
fails_json 1 EINVAL project list

# What is right: sections in any order, comments, blanks, a continuation that is none.
cat >"$config" <<EOF
; a comment
[cache]
        ram-max = 64M
ssd-max = 1G ; and another
[mount]
front-end = fuse
durability = power
[session]
publish = manual
[user]
author = Ada Lovelace <ada@example.org>
[store]
   url = file://$scratch/store
[uploads]
ahead = off
after = 30
[daemon]
threads = 2
loops = 1
EOF
ok project create a/b
[ -d store/projects/a/b ] || fail "the store of the config file"
ok --json log a/b
json 0.author "Ada Lovelace <ada@example.org>"
HIF_AUTHOR='Grace <grace@example.org>' ok project create a/c
ok --json log a/c
json 0.author "Grace <grace@example.org>"

# A config file that cannot be read is an error; none is not.
rm "$config"
mkdir "$config"
fails 1 "cannot read the config file $config" project list
rmdir "$config"
ok --store "$scratch/store" project list
