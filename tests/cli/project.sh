# Creating and listing projects, and where the store is.
. "${0%/*}/lib.sh"

# Nothing there yet: what it is, and what to do.
fails 6 'hif project create ORG/NAME' project list
fails_json 6 ENOENT project list

# The default store is in the data directory.
ok project create acme/app
says "Created acme/app in file://$HOME/.local/share/hif/store"
[ -f "$HOME/.local/share/hif/store/projects/acme/app/format" ] || fail "a project in the store"
ok --json project create acme/lib
json project acme/lib
json position 0
json store "file://$HOME/.local/share/hif/store"
ok project list
prints "acme/app
acme/lib"
ok --json project list
json "" 2
json 1.project acme/lib
fails 1 'exists already' project create acme/app
fails_json 1 EEXIST project create acme/app

# Names that are none.
for name in app a/b/c /a a/ 'a/..' '../a' 'a/b c' "a/$(printf 'x%.0s' $(seq 65))" 'a/-b'; do
        fails 2 'is not a project name' project create -- "$name"
done
[ "$(ls "$HOME/.local/share/hif/store/projects")" = acme ] || fail "nothing was made for them"

# --store goes before HIF_STORE, that before the config file, that before the default.
mkdir -p "$HOME/.config/hif"
printf '[store]\nurl = file://%s/by-config\n' "$scratch" >"$HOME/.config/hif/config"
ok project create from/config
[ -d by-config/projects/from/config ] || fail "the config file's store"
HIF_STORE=file://$scratch/by-env ok project create from/env
[ -d by-env/projects/from/env ] || fail "HIF_STORE"
HIF_STORE=/nowhere ok project create from/option --store "file://$scratch/by-option"
[ -d by-option/projects/from/option ] || fail "--store"
HIF_STORE=/nowhere ok --store "file://$scratch/by-option" project list
prints "from/option"
ok project create from/relative --store relative
[ -d relative/projects/from/relative ] || fail "a relative directory"

# Directories follow the XDG specification; a relative one is ignored.
rm "$HOME/.config/hif/config"
XDG_DATA_HOME=$scratch/data ok project create x/y
[ -d data/hif/store/projects/x/y ] || fail "XDG_DATA_HOME"
XDG_DATA_HOME=data2 ok project create x/y
[ ! -d data2 ] || fail "a relative XDG_DATA_HOME is ignored"
[ "$(stat -c %a "$HOME/.local/share/hif")" = 700 ] || fail "a private data directory"

# Stores that do not work.
for command in "list" "create a/b"; do
        hif --store gopher://x project $command
        [ "$code" != 0 ] || fail "should fail"
        grep -qF 'gopher://x' err || fail "the store is named"
done
fails 6 'cannot create the store directory /proc/x' --store /proc/x project create a/b
touch file
fails 1 "$scratch/file" --store "$scratch/file" project create a/b
if [ "$(id -u)" != 0 ]; then
        mkdir -m 555 locked
        fails 1 'permission denied' --store "$scratch/locked/store" project create a/b
        fails 1 'permission denied' --store "$scratch/locked" project create a/b
fi
