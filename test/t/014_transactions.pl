# However a transaction ends (commit, abort, PREPARE TRANSACTION, savepoints, an error in a trigger), nothing that a session keeps in
# memory outlives it: the next transactions of the same session are right.
use strict;
use warnings;
use RecoTest;
use Test::More;

my $reco = RecoTest->start(services => [qw(postgres)]);
my $log = "$reco->{dir}/postgres.log";
my $now = 'now()';

$reco->sql("INSERT INTO public.products SELECT 'p' || i, 'c' || i % 4 FROM generate_series(1, 20) i");
$reco->sql('CREATE ROLE writer LOGIN; GRANT INSERT ON reco.activity TO writer');
$reco->wait_for('the mirror', 'SELECT count(*) FROM reco.product', 20);

sub views { return "INSERT INTO reco.activity SELECT 'page_view', u, '$_[1]', NULL, $now FROM generate_series(1, $_[0]) u;"; }

sub right
{
	my ($name) = @_;

	is(eval { $reco->sql('SELECT * FROM reco.verify_state(1)') } // $@, '', "$name: reco_verify() finds nothing");
	ok(system('grep', '-q', 'terminated by signal\|PANIC\|TRAP', $log) != 0, "$name: no process crashed");
	return;
}

# What was rolled back to a savepoint does not stand in the way of PREPARE TRANSACTION, and leaves nothing for the session's next
# transactions: above all no keys for the publisher, which the next commit would hand over.
my $session = $reco->session;
$session->say('SET ROLE writer;');
for my $count (3, 300, 200_000)
{
	my $said = eval { $session->say('BEGIN; SAVEPOINT a; ' . views($count, 'p1') . " ROLLBACK TO a; PREPARE TRANSACTION 'x$count';") } // $@;
	is($said, '', "PREPARE TRANSACTION after $count rows that were rolled back");
	$said = eval { $session->say("SELECT 1; COMMIT PREPARED 'x$count';") } // $@;
	is($said, "1\n", 'the session lives on');
	is(eval { $session->say(views(5, "after$count")) } // $@, '', 'and writes');
	right("$count rows");
}
is($reco->sql('SELECT count(*) FROM reco.activity'), 15, 'only what committed is there');

# From here on the clock stands still.
$reco->set('reco.enabled', 'off');
$reco->wait_for('the workers leave', "SELECT count(*) FROM reco.workers() WHERE pid IS NOT NULL", 0);
$reco->sql("DROP EXTENSION reco; CREATE EXTENSION reco; SELECT reco_tick('2100-01-01 12:00Z')");
$reco->sql("INSERT INTO reco.product SELECT 'p' || i, 'c' || i % 4 FROM generate_series(1, 20) i");
$now = "'2100-01-01 12:00Z'";

# An INSERT that an error has ended is no longer under way afterwards, however the transaction ends.
$session->say('RESET ROLE;');
for my $end ('COMMIT', 'ROLLBACK', "PREPARE TRANSACTION 'y'; ROLLBACK PREPARED 'y'")
{
	my $said = $session->say("BEGIN; SAVEPOINT a; INSERT INTO reco.activity SELECT 'page_view', 1 / (3 - i), 'p2', NULL, '2100-01-01 12:00Z' FROM generate_series(1, 3) i; ROLLBACK TO a; $end;");
	like($said, qr/division by zero/, "an error while rows come in, then $end");
	is($session->say('DELETE FROM reco.activity WHERE user_id = 1;'), '', 'DELETE works afterwards');
	right($end);
}

# Nor are a TRUNCATE and a change of products that were rolled back.
for my $change ('TRUNCATE reco.activity', "INSERT INTO reco.product VALUES ('new', 'c1')", 'TRUNCATE reco.product', "DELETE FROM reco.product WHERE product_id = 'p1'")
{
	is($session->say("BEGIN; SAVEPOINT a; $change; ROLLBACK TO a; PREPARE TRANSACTION 'z';"), '', "PREPARE TRANSACTION after $change was rolled back");
	is($session->say("COMMIT PREPARED 'z';" . views(9, 'p3')), '', 'and a view afterwards');
	right($change);
}

# While changes are there, PREPARE TRANSACTION is refused; released savepoints count.
for my $change (views(1, 'p4'), 'SAVEPOINT a; ' . views(1, 'p4') . ' RELEASE a;', "UPDATE reco.product SET category = 'c9' WHERE product_id = 'p4';",
	"SELECT reco_tick('2100-01-01 12:00:01Z');", 'SELECT reco_sweep();')
{
	like($reco->sql_error("BEGIN; $change PREPARE TRANSACTION 'x'"), qr/0A000: .*HINT: /s, "PREPARE TRANSACTION after $change");
}

# A transaction that drops the extension and is prepared may come back: what it had cached is not true then.
my $before = $reco->sql('SELECT next_number FROM reco.state');
is($session->say('BEGIN; ' . views(2, 'mine') . " DROP EXTENSION reco; PREPARE TRANSACTION 'dropped'; ROLLBACK PREPARED 'dropped';"), '', 'DROP EXTENSION in a prepared transaction, which is rolled back');
is($reco->sql('SELECT next_number FROM reco.state'), $before, 'takes its numbers along');
$reco->sql(views(2, 'yours'));
is($session->say(views(2, 'mine')), '', 'the same session goes on');
right('a prepared DROP EXTENSION');

# A DBA's trigger that rolls a subtransaction back does not end what goes on around it.
$reco->sql(<<'END');
CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	BEGIN
		PERFORM 1 / 0;
	EXCEPTION WHEN division_by_zero THEN
		NULL;
	END;
	RETURN CASE WHEN TG_OP <> 'DELETE' THEN NEW END;
END $$;
CREATE TRIGGER zz_fail BEFORE TRUNCATE ON reco.activity FOR EACH STATEMENT EXECUTE FUNCTION fail();
CREATE TRIGGER zz_fail BEFORE INSERT OR UPDATE ON reco.product FOR EACH ROW EXECUTE FUNCTION fail();
CREATE TRIGGER zz_fail_row BEFORE INSERT ON reco.activity FOR EACH ROW EXECUTE FUNCTION fail();
CREATE TRIGGER zz_fail BEFORE INSERT OR UPDATE ON reco.user_state FOR EACH ROW EXECUTE FUNCTION fail();
END
is($session->say(views(3, 'late') . "INSERT INTO reco.product VALUES ('late', 'c2');"), '', 'a product that brings its views along');
my $versions = $reco->sql('SELECT mirror_version FROM reco.state');
is($session->say("BEGIN; INSERT INTO reco.product VALUES ('mine', 'c3'); SELECT mirror_version - $versions FROM reco.state; COMMIT;"), "1\n", 'one change of the mirror is one version');
is($reco->sql("SELECT popularity FROM reco.product WHERE product_id = 'mine'"), 2, 'with the popularity of the product');
is($session->say('BEGIN; ' . views(4, 'mine') . views(4, 'late') . 'COMMIT;'), '', 'users\' rows written twice in a transaction');
right('a trigger with an EXCEPTION clause');
is($reco->sql_error('TRUNCATE reco.activity'), '', 'TRUNCATE');
is($reco->sql('SELECT count(*) FROM reco.user_state'), 0, 'takes everything derived');
right('TRUNCATE beside such a trigger');
$session->close;

# The workers leave and come back for an extension that is created, not for one whose creation is rolled back.
$reco->set('reco.enabled', 'on');
my $workers = q(SELECT string_agg(pid::text, ' ' ORDER BY component) FROM reco.workers());
$reco->wait_for('the workers run', 'SELECT count(pid) FROM reco.workers()', 3);
my $pids = $reco->sql($workers);
$reco->sql('BEGIN; SELECT 1; SAVEPOINT a; SELECT reco.announce(); ROLLBACK TO a; COMMIT');
$reco->sql("BEGIN; SAVEPOINT a; SELECT reco.announce(); RELEASE a; ROLLBACK");
my $clock = $reco->sql('SELECT clock FROM reco.state');
$reco->wait_for('the clock runs', "SELECT max(state) IS NOT NULL FROM reco.workers() WHERE pid IS NOT NULL");
is($reco->sql($workers), $pids, 'an announcement that was rolled back');
$reco->sql('BEGIN; SAVEPOINT a; SELECT reco.announce(); RELEASE a; SAVEPOINT b; SELECT 1; ROLLBACK TO b; COMMIT');
$reco->wait_for('one that was released', "SELECT string_agg(pid::text, ' ') <> '$pids' AND count(pid) = 3 FROM reco.workers()");

# The workers write in READ COMMITTED whatever the database's or the role's settings say.
$reco->sql("DROP EXTENSION reco; CREATE EXTENSION reco");
$reco->sql("ALTER DATABASE shop SET default_transaction_isolation = 'serializable'; ALTER ROLE postgres SET default_transaction_isolation = 'repeatable read'");
$reco->sql("SELECT pg_terminate_backend(pid) FROM reco.workers() WHERE pid IS NOT NULL");
$reco->sql("INSERT INTO public.products VALUES ('beside settings', 'c')");
$reco->wait_for('the catalog is followed', "SELECT count(*) FROM reco.product WHERE product_id = 'beside settings'", 1);
$reco->wait_for('the clock runs', "SELECT clock > now() - interval '5 seconds' FROM reco.state");
like($reco->sql_error(views(1, 'p1')), qr/0A000/, 'a client with such settings is refused');
is($reco->sql_error('SET default_transaction_isolation = "read committed"; INSERT INTO reco.activity VALUES (\'page_view\', 1, \'p1\', NULL, now())'), '',
	'and writes with its own');
is($reco->sql('SELECT * FROM reco_verify()'), '', 'all is right');

done_testing;
