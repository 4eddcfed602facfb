# git.sh - a repository on the mount: a real history, every kind of work, and an index that stays true.

git config --global user.email t@example.org
git config --global user.name T
git config --global init.defaultBranch main
git config --global advice.detachedHead false
git config --global safe.directory '*'

# This project's own history where it is at hand, else one that is made.
commits=60
[ -z "$short" ] || commits=10
history() { # history BARE
	[ -n "$short" ] || ! git clone -q --bare --no-local "$here/.." "$1" 2>/dev/null || return 0
	git init -q "$work/made"
	(
		cd "$work/made"
		for i in $(seq "$commits"); do
			mkdir -p d$((i % 7)) && seq "$i" $((i * 40)) >d$((i % 7))/f"$i" && echo "$i" >>log
			git add -A && git commit -qm "commit $i"
		done
	)
	git clone -q --bare "$work/made" "$1"
}

# By what the index holds of each file (times, inode, size), nothing has to be read again.
index_is_true() { git diff-files --quiet || fail "$1: the index has to be refreshed"; }

step 'clone, fsck'
history "$work/bare.git"
git clone -q "$work/bare.git" repo
cd repo
git checkout -qB main
git fsck --full --no-progress
expect "$(git status --porcelain)" ''
index_is_true 'after a clone'

step 'commit, merge'
first=$(git rev-parse HEAD)
git checkout -qb side
for i in 1 2 3 4; do echo "$i" >side$i && git add side$i && git commit -qm "side $i"; done
git checkout -q main && echo main >mine && git add mine && git commit -qm mine
git merge -q side -m merge
expect "$(git rev-list --count "$first"..HEAD)" 6

step 'rebase: one squashed, two exchanged, a command after each'
cat >"$work/sequence" <<'E'
#!/bin/sh
awk '$1 == "pick" { pick[++n] = $0 } END { print pick[1]; sub("^pick", "fixup", pick[2]); print pick[2]
	for (i = 4; i >= 3; i--) print pick[i] "\nexec git diff --quiet && echo done >>../execs" }' "$1" >"$1.new"
mv "$1.new" "$1"
E
chmod +x "$work/sequence"
git checkout -q side --
GIT_SEQUENCE_EDITOR=$work/sequence git rebase -qi "$first" 2>/dev/null
expect "$(git log --format=%s "$first"..)" 'side 3
side 4
side 1'
expect "$(cat side[1-4] ../execs)" '1
2
3
4
done
done'
git checkout -q main

step 'worktrees, and a stash'
git worktree add -q ../tree side
echo there >../tree/there && git -C ../tree add there && git -C ../tree commit -qm there
git worktree remove ../tree
expect "$(git log -1 --format=%s side --)" there
echo changed >>mine && echo loose >loose
git stash push -q -u && [ ! -e loose ] && git stash pop -q
expect "$(git status --porcelain)" ' M mine
?? loose'
git checkout -q mine && rm loose

step 'several at once: the index lock lets one in at a time'
for w in 1 2 3; do
	for i in 1 2 3; do
		until git commit -q --allow-empty -m "from $w" 2>/dev/null; do sleep 0.05; done
	done &
done
wait $(jobs -p)
expect "$(git log --format=%s | grep -c '^from ')" 9

step 'gc, and fsck of what is left'
git gc -q --prune=now
git fsck --full --strict --no-progress >/dev/null 2>"$work/fsck" || { cat "$work/fsck"; fail 'fsck'; }
expect "$(find .git/objects -type f -path '*/??/*' | wc -l)" 0

step 'push, and the same comes back'
git push -q "$work/bare.git" main:landed
git clone -q -b landed "$work/bare.git" "$work/again"
git ls-files -z | xargs -0 sha256sum >"$work/sums"
(cd "$work/again" && sha256sum --quiet -c "$work/sums")
index_is_true 'after all that'

step 'the index stays true: unmounted and mounted, landed, killed'
remount
index_is_true 'mounted again'
hif land 'the files, without .git' >/dev/null
index_is_true 'landed'
server_dies
index_is_true 'after the server died'
expect "$(git status --porcelain)" ''
git fsck --connectivity-only --no-progress
cd ..
rm -r "$work/again" "$work/bare.git" repo
