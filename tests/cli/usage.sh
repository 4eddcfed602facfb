# Finding commands, asking for help, and being told what was wrong with a command line.
. "${0%/*}/lib.sh"

# Without a command, help; every command is listed and tells about itself.
ok
says "Usage: hif COMMAND"
for command in project import mount unmount status diff land log ls cat session daemon help version; do
        ok help
        says "$command"
        ok help "$command"
        says "Usage: hif $command"
        ok "$command" --help
        says "Usage: hif $command"
done
ok project create --help
says "Usage: hif project create"
ok --help
says "--json"

ok version
grep -qE '^hif [0-9]+\.[0-9]+\.[0-9]+$' out || fail "a version"
cp out first
ok --version
cmp -s first out || fail "--version should say the same"

# JSON everywhere.
ok --json version
[ -n "$("$JSON_GET" version <out)" ] || fail "a version"
ok --json help
json 0.name project
ok help --json
json 0.name project

# A name that is nearly right is guessed; one that is not, is not.
fails 2 'did you mean "hif project"?' projcet
fails 2 'did you mean "hif import"?' imp
fails 2 'did you mean "hif project create"?' project crate
fails 2 '"hif help" lists them' frobnicate
fails 2 '"hif project help" lists them' project
fails_json 2 USAGE frobnicate

# argp's own complaints.
fails 2 'which project?' project create
fails 2 'which directory?' import a/b
fails 2 'unrecognized option' log --frob
fails 2 'wants a number' log a/b -n x
fails 2 'Too many arguments' project list a
fails 2 'which file' cat a/b
fails 2 'wants a URL' --store= project list

# Output that cannot be written is a failure.
if [ -w /dev/full ]; then
        last="hif help >/dev/full"
        "$HIF" help >/dev/full 2>err
        code=$?
        : >out
        [ "$code" = 1 ] || fail "exit code should be 1"
        grep -qF 'cannot write the output: no space left' err || fail "stderr should say why"
fi
