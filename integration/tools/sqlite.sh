# sqlite.sh - a database with a rollback journal and one with a write-ahead log, several writers, and a server that dies.

command -v sqlite3 >/dev/null || fail 'sqlite3 is not installed'

# Each transaction moves something from one account to another; what was committed is printed.
writer() { # writer DATABASE NUMBER TRANSACTIONS
	{
		echo '.timeout 60000'
		echo '.bail on'
		for i in $(seq "$3"); do
			echo 'begin immediate;'
			echo "update account set amount = amount - $i where id = $(((i + $2) % 8));"
			echo "update account set amount = amount + $i where id = $(((i * 3 + $2 + 1) % 8));"
			echo "insert into done values ($2, $i, hex(randomblob(600)));"
			echo 'commit;'
			echo ".print $2 $i"
		done
	} | sqlite3 "$1" >>"$work/committed-$1"
}

# Sound, balanced, and holding what was said to be committed.
check_database() {
	expect "$(sqlite3 "$1" 'pragma integrity_check; select sum(amount) from account')" 'ok
8000'
	sort -u "$work/committed-$1" >"$work/said"
	sqlite3 -separator ' ' "$1" 'select writer, number from done' | sort -u >"$work/there"
	expect "$(comm -23 "$work/said" "$work/there")" ''
}

modes='delete truncate wal' count=15
[ -z "$short" ] || modes='delete wal' count=5

for mode in $modes; do
	step "$mode: three writers, and a reader that sees whole transactions"
	db=db-$mode
	sqlite3 $db "pragma journal_mode=$mode; create table account(id integer primary key, amount);
		create table done(writer, number, filler);
		with recursive n(i) as (select 0 union all select i + 1 from n where i < 7)
		insert into account select i, 1000 from n;" >/dev/null
	: >"$work/committed-$db"
	writers=
	for w in 1 2 3; do
		writer $db $w $count &
		writers="$writers $!"
	done
	for _ in 1 2 3; do
		expect "$(sqlite3 -cmd '.timeout 60000' $db 'select sum(amount) from account')" 8000
	done
	wait $writers
	expect "$(wc -l <"$work/committed-$db")" $((3 * count))
	check_database $db
done

step 'the server dies under writers'
# They wait, and go on.
for mode in delete wal; do
	for w in 4 5; do writer db-$mode $w $((2 * count)) & done
done
sleep 0.3
server_dies
wait $(jobs -p) || fail 'a writer failed'
for mode in delete wal; do check_database db-$mode; done

step 'and after all of it, unmounted and mounted'
remount
for mode in $modes; do
	check_database db-$mode
	sqlite3 db-$mode 'vacuum; pragma wal_checkpoint(truncate)' >/dev/null
	check_database db-$mode
done
