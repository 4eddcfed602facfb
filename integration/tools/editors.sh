# editors.sh - every way of saving a file ends as one change of that file.

# A base with a file for each of them.
mkdir "$work/texts"
for f in vim vim-in-place emacs emacs-copy nano sed perl ed plain; do printf 'one\ntwo\n' >"$work/texts/$f"; done
hif project create acme/texts
hif import acme/texts "$work/texts" -m texts >/dev/null
at=$work/edit
hif mount "--$front" acme/texts "$at" >/dev/null
cd "$at"

# None makes a backup below /tmp unless it is told to.
step 'vim: renamed aside and written anew, and in place'
vim -N -u NONE -i NONE -es -c 'set backupskip= backupcopy=no writebackup undofile' -c '%s/two/three/' -c wq vim
vim -N -u NONE -i NONE -es -c 'set backupskip= backupcopy=yes backup backupdir=.' -c '%s/two/three/' -c wq vim-in-place

step 'emacs: backup by renaming, and by copying'
edit_in_emacs() { # edit_in_emacs FILE SETTINGS
	emacs -Q -batch --eval "(progn (setq backup-enable-predicate (lambda (_) t)) $2 (find-file \"$1\")
		(search-forward \"two\") (replace-match \"three\") (save-buffer))" 2>"$work/emacs" ||
		{ cat "$work/emacs"; fail emacs; }
}
edit_in_emacs emacs ''
edit_in_emacs emacs-copy '(setq backup-by-copying t)'

step 'nano, sed -i, perl -i, ed, a shell'
# On the second line: cut it, type another, save, leave. What is typed before it has drawn its screen is lost.
mkfifo "$work/keys"
TERM=xterm timeout 120 script -qfec 'nano -I +2 nano' "$work/screen" <"$work/keys" >/dev/null &
exec 9>"$work/keys"
wait_for 'nano shows nothing' grep -aqs two "$work/screen"
printf '\013three' >&9
wait_for 'nano takes no keys' grep -aqs three "$work/screen"
printf '\017\r' >&9
wait_for 'nano does not save' grep -qx three nano
printf '\030' >&9
wait $!
exec 9>&-
sed -i s/two/three/ sed
perl -pi -e 's/two/three/' perl
printf '2s/two/three/\nw\nq\n' | ed -s ed
printf 'one\nthree\n' >plain

step 'each is one M, and a backup is a new file'
for f in vim vim-in-place emacs emacs-copy nano sed perl ed plain; do expect "$(cat $f)" $'one\nthree'; done
expect "$(changes | LC_ALL=C sort)" 'A .vim.un~
A emacs-copy~
A emacs~
A vim-in-place~
M ed
M emacs
M emacs-copy
M nano
M perl
M plain
M sed
M vim
M vim-in-place'
expect "$(cat emacs~ vim-in-place~)" $'one\ntwo\none\ntwo'

step 'a change that is taken back is none'
rm ./*~ .vim.un~
for f in *; do printf 'one\ntwo\n' >$f; done
expect "$(changes)" 'no changes against @1'

step 'a program that watches the directory is told'
mkdir kept
: >"$work/events"
inotifywait -m -e create,modify,moved_to,delete,delete_self,unmount,attrib --format '%w%f %e' . kept ed >>"$work/events" 2>"$work/watching" &
watcher=$!
until_told() { # until_told LINE
	wait_for "'$1' is not told" grep -qxF "$1" "$work/events"
}
wait_for 'nothing is watched' grep -qs established "$work/watching"
echo new >new && echo more >>new && mv new moved && rm moved
until_told './moved DELETE'
expect "$(uniq "$work/events")" './new CREATE
./new MODIFY
./moved MOVED_TO
./moved DELETE'

step 'it goes on being told, whatever becomes of the server and of the base'
server_dies
: >kept/after-a-death
until_told 'kept/after-a-death CREATE'
echo landed >kept/landed
hif -C "$at" land 'while it is watched' >/dev/null
: >kept/after-a-landing
until_told 'kept/after-a-landing CREATE'
echo more >>ed
until_told 'ed MODIFY'
: >"$work/events"
hif daemon restart >/dev/null
: >kept/after-a-restart && rm kept/after-a-restart
until_told 'kept/after-a-restart DELETE'
expect "$(cat "$work/events")" 'kept/after-a-restart CREATE
kept/after-a-restart DELETE'
kill $watcher
cd /
hif unmount "$at" >/dev/null
