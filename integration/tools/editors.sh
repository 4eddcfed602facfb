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
# On the second line: cut it, type another, save, leave.
{ sleep 0.5; printf '\013three'; sleep 0.2; printf '\017\r\030'; sleep 0.5; } |
	TERM=xterm timeout 20 script -qec 'nano -I +2 nano' /dev/null >/dev/null
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
inotifywait -q -m -e create,modify,moved_to,delete --format '%e %f' . >"$work/events" 2>/dev/null &
watcher=$!
for _ in $(seq 50); do ls -l /proc/$watcher/fd 2>/dev/null | grep -q inotify && break; sleep 0.1; done
sleep 0.3
echo new >new && echo more >>new && mv new moved && rm moved
for _ in $(seq 50); do grep -q 'DELETE moved' "$work/events" && break; sleep 0.1; done
kill $watcher
expect "$(uniq "$work/events")" 'CREATE new
MODIFY new
MOVED_TO moved
DELETE moved'
cd /
hif unmount "$at" >/dev/null
