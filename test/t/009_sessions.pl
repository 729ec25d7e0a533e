# What a session has cached, and what its snapshot shows, never gives wrong lists: several sessions, the clock stands still.
use strict;
use warnings;
use RecoTest;
use Test::More;

my $reco = RecoTest->start(services => [qw(postgres)], settings => { 'reco.enabled' => 'off' });

sub anew
{
	$reco->sql("DROP EXTENSION IF EXISTS reco; CREATE EXTENSION reco; SELECT reco_tick('2100-01-01 12:00Z')");
	$reco->sql("INSERT INTO reco.product VALUES ('a', 'x'), ('b', 'x')");
}

sub view { return join(', ', map { "('page_view', $_[0], '$_', NULL, '2100-01-01 12:00Z')" } @_[1 .. $#_]); }
sub list { return "SELECT string_agg(product_id, ' ' ORDER BY rank) FROM reco_for_user($_[0]);"; }
sub says { my ($session, $user) = @_; return $session->say(list($user)) =~ s/\n\z//r; }
sub right { is($reco->sql('SELECT * FROM reco.verify_state(1)'), '', "$_[0]: reco_verify() finds nothing"); return; }

my $writer = $reco->session;

# A REPEATABLE READ or SERIALIZABLE transaction writes nothing: it could not see what others have written since its snapshot.
for my $level ('REPEATABLE READ', 'SERIALIZABLE')
{
	anew();
	$writer->say("BEGIN ISOLATION LEVEL $level; SELECT count(*) FROM reco.product;");
	$reco->sql('INSERT INTO reco.activity VALUES ' . view(1, 'a', 'unseen'));
	like($writer->say("\\set VERBOSITY verbose\nINSERT INTO reco.activity VALUES " . view(1, 'b') . ';'),
		qr/0A000: cannot change reco's tables in a $level transaction.*HINT: /s, "a $level writer is refused");
	$writer->say('ROLLBACK;');
	right("beside a $level writer");
}

# Its reader sees lists, products, windows and parameters of one moment, whatever others do meanwhile and whatever it has cached.
my $trending = q(SELECT string_agg(product_id || ' ' || view_count, ', ' ORDER BY product_id) FROM reco.trending_products;);
anew();
$reco->sql('INSERT INTO reco.activity VALUES ' . view(1, 'a'));
is(says($writer, 1), 'b', 'a list is cached');
$writer->say('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM reco.product;');
$reco->sql("UPDATE reco.product SET category = 'y' WHERE product_id = 'b'; INSERT INTO reco.product VALUES ('new', 'x')");
$reco->sql('INSERT INTO reco.activity VALUES ' . view(2, 'a', 'later'));
is(says($writer, 1), 'b', 'a REPEATABLE READ reader sees the list of its time');
is($writer->say('SELECT because FROM reco_for_user(1);'), "x\n", 'and the category of its time');
is($writer->say($trending), "a 1\n", 'and the top of its time');
is($writer->say('SELECT product_id, view_count FROM reco_trending();'), "a|1\n", 'and so by reco_trending()');
is($writer->say('SELECT * FROM reco.verify_state(1);'), '', 'in which all is right');
$writer->say('COMMIT;');
is(says($writer, 1), 'new', 'afterwards it sees what is new');

# A DBA's triggers fire, and leave nothing behind.
anew();
$reco->sql(<<'END');
CREATE TABLE audit (name text);
GRANT INSERT ON audit TO PUBLIC;
CREATE FUNCTION audit() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO public.audit VALUES (TG_TABLE_NAME); RETURN NULL; END $$;
CREATE TRIGGER a AFTER INSERT OR UPDATE OR DELETE ON reco.window_top FOR EACH ROW EXECUTE FUNCTION audit();
CREATE TRIGGER a AFTER INSERT OR UPDATE OR DELETE ON reco.user_state FOR EACH ROW EXECUTE FUNCTION audit();
END
is($writer->say('INSERT INTO reco.activity VALUES ' . view($_, 'a', 'b') . ';'), '', 'a write beside triggers') for 1, 2;
is($reco->sql('SELECT name, count(*) FROM audit GROUP BY name ORDER BY name'), "user_state|2\nwindow_top|2", 'triggers of rows fire');
right('tables with triggers');
$reco->sql('DROP FUNCTION audit() CASCADE; DROP TABLE audit');

# A number that is given free and used again stands for the old product where an old snapshot shows the old list.
anew();
$reco->sql('INSERT INTO reco.activity VALUES ' . view(1, 'a'));
is(says($writer, 1), 'b', 'a list is cached');
$writer->say('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM reco.product;');
$reco->sql("DELETE FROM reco.product WHERE product_id = 'b'");
$reco->sql('SELECT reco.reclaim()');
is($reco->sql('SELECT count(*) FROM reco.free_number'), 1, 'a number is given free');
$reco->sql("INSERT INTO reco.product VALUES ('w', 'x')");
is(says($writer, 1), 'b', 'the old snapshot shows the old list');
is($reco->sql(list(1)), 'w', 'others the new one');
is($reco->sql('SELECT count(*) FROM reco.free_number'), 0, 'the number is used again');
is(says($writer, 1), 'b', 'and the snapshot still shows what it stood for');
$writer->say('COMMIT;');
is(says($writer, 1), 'w', 'afterwards it sees the new list');
$reco->sql("INSERT INTO reco.product VALUES ('z', 'x')");
is(says($writer, 1), 'w z', 'and so on');
right('numbers given free');

# A damaged dictionary is healed for all sessions.
$reco->sql('INSERT INTO reco.activity VALUES ' . view(2, 'a'));
$writer->say('INSERT INTO reco.activity VALUES ' . view(3, 'a') . ';');
$reco->sql('DELETE FROM reco.product_number; SELECT reco_rebuild()');
$writer->say('INSERT INTO reco.activity VALUES ' . view(4, 'a') . ';');
is($reco->sql(list(4)), 'w z', 'a session from before the rebuild writes what is right');
right('a damaged dictionary');
$reco->sql("TRUNCATE reco.state, reco.product_number; SELECT reco_tick('2100-01-01 12:00Z'); SELECT reco_rebuild()");
is($writer->say('INSERT INTO reco.activity VALUES ' . view(5, 'a') . ';'), '', 'a session from before writes');
is($reco->sql(list(5)), 'w z', 'so it does when the state was lost with it');
is(says($writer, 5), 'w z', 'and reads it');

# An ERROR while a list is computed leaves nothing behind.
anew();
$reco->sql("INSERT INTO reco.product SELECT 'p' || i, 'c' || i % 500 FROM generate_series(1, 4000) i");
$reco->sql('UPDATE reco.state SET mirror_version = mirror_version + 1');
my $limited = $reco->session;
$limited->say("SET work_mem = '64kB'; SET temp_file_limit = 0;");
like($limited->say("INSERT INTO reco.activity SELECT 'page_view', 1, 'p' || i, NULL, '2100-01-01 12:00Z' FROM generate_series(1, 150) i;"),
	qr/temp_file_limit/, 'loading the mirror fails');
$limited->say('RESET work_mem; RESET temp_file_limit;');
$limited->say('INSERT INTO reco.activity VALUES ' . view(2, map { "p$_" } 1 .. 5) . ';');
right('after an error');

# Numbers tell nothing to those who may not see lists.
$reco->sql('CREATE ROLE stranger');
like($reco->sql_error("SET ROLE stranger; SELECT reco.list_products('{1}')"), qr/42501/, 'a stranger may not ask for products by number');
$reco->sql('GRANT SELECT ON reco.user_recommendations TO stranger');
is($reco->sql("SET ROLE stranger; SELECT reco.list_products('{1}')"), '{a}', 'who reads lists may');

# All sessions take over the order that a popularity leaves, and nothing of one that is rolled back.
anew();
$reco->sql("INSERT INTO reco.product SELECT 'p' || n, 'c' FROM generate_series(1, 150) n");
$writer->say('INSERT INTO reco.activity VALUES ' . view(1, map { "p$_" } 1 .. 120) . ';');
$reco->sql('INSERT INTO reco.activity VALUES ' . view(2, map { "p$_" } 3 .. 6));
is($reco->sql('BEGIN; SELECT reco_take_popularity(); ROLLBACK'), 't', 'a popularity that is rolled back');
$writer->say('INSERT INTO reco.activity VALUES ' . view(3, 'p1') . ';');
like(says($writer, 3), qr/^p10 p100 p101 /, 'the products in their old order');
right('an order that was rolled back');
is($reco->sql('SELECT reco_take_popularity()'), 't', 'a popularity');
$writer->say('INSERT INTO reco.activity VALUES ' . view(4, 'p1') . ';');
like(says($writer, 4), qr/^p3 p4 p5 p6 p10 p100 /, 'the products in their new order');
right('a new order');

# Who holds reco's lock does not wait for who changes products, and so may wait for that lock.
anew();
my $shop = $reco->session;
$shop->say('BEGIN; LOCK TABLE reco.product IN ROW EXCLUSIVE MODE;');
$writer->say('BEGIN; INSERT INTO reco.activity VALUES ' . view(1, 'a') . '; SELECT FROM reco.apply_events();');
like($writer->say('SELECT reco_take_popularity();'), qr/could not obtain the locks to compute the popularity/, 'a popularity that would wait with the lock held');
$writer->say('ROLLBACK;');
$shop->say('COMMIT;');
like($writer->say('BEGIN; INSERT INTO reco.activity VALUES ' . view(1, 'a') . '; SELECT reco_take_popularity(); COMMIT;'), qr/^f$/m, 'one that need not, before the event takes effect');
is($reco->sql('SELECT reco_take_popularity()'), 't', 'and after it');
right('popularity after an event');

# Neither reco's lock nor the activity is waited for with the other held: by one who reads both, and one who truncates.
sub beside
{
	my ($holder, @waiting) = @_;
	anew();
	$reco->sql('INSERT INTO reco.activity VALUES ' . view(1, 'a'));
	$shop->say("BEGIN; $holder;");
	my (@running, @said);
	for my $n (0 .. $#waiting)
	{
		push @running, IPC::Run::start([ qw(psql -XqtA -d shop -c), $waiting[$n] ], '>', \$said[$n], '2>&1');
		$reco->wait_for("$waiting[$n] waits", 'SELECT count(DISTINCT pid) FROM pg_locks WHERE NOT granted', $n + 1);
	}
	is($shop->say('TRUNCATE reco.activity;'), '', "TRUNCATE by who began with $holder") if $holder =~ /INSERT/;
	$shop->say('COMMIT;');
	$_->finish for @running;
	unlike("@said", qr/ERROR/, "$holder; then @waiting");
	right("@waiting");
	return;
}
my @readers = ('SELECT reco_rebuild()', "SELECT reco_tick('2100-01-01 12:00:01Z')", "SELECT reco_tick('2100-01-01 22:00Z')");
for my $reader (@readers)
{
	beside('SELECT reco_sweep()', $reader, 'TRUNCATE reco.activity');
	beside('INSERT INTO reco.activity VALUES ' . view(1, 'a') . '; SELECT FROM reco.apply_events()', $reader);
	beside('LOCK TABLE reco.activity', $reader, 'DELETE FROM reco.activity');
}

# Who took reco's lock in a subtransaction that was rolled back takes it again, and waits for it.
anew();
$shop->say('BEGIN; SAVEPOINT a; INSERT INTO reco.activity VALUES ' . view(1, 'a') . '; SELECT FROM reco.apply_events(); ROLLBACK TO a;');
$writer->say(q(BEGIN; INSERT INTO reco.activity VALUES ('page_view', 2, 'a', NULL, '2099-12-31 12:00:01Z'); SELECT FROM reco.apply_events();));
$shop->{in} .= "SELECT reco_tick('2100-01-01 12:00:02Z');\n";
$shop->{run}->pump_nb;
$reco->wait_for('it waits', 'SELECT count(*) FROM pg_locks WHERE NOT granted', 1);
$writer->say('COMMIT;');
$shop->say('COMMIT;');
right('a lock that was rolled back');

# A table that is altered while somebody waits for it is not read by the types that it had.
anew();
$reco->sql("INSERT INTO reco.product VALUES ('c', 'y')");
$shop->say('INSERT INTO reco.activity VALUES ' . view(1, 'a') . ';');
$reco->sql('UPDATE reco.state SET mirror_version = mirror_version + 1');
$writer->say('BEGIN; ALTER TABLE reco.product DROP CONSTRAINT category_not_empty, ALTER category TYPE bigint USING 5;');
$shop->{out} = '';
$shop->{in} .= "\\set VERBOSITY verbose\nINSERT INTO reco.activity VALUES " . view(1, 'c') . ";\n\\echo over\n";
$shop->{run}->pump_nb;
$reco->wait_for('who builds the version of the mirror that is missing waits', 'SELECT count(*) FROM pg_locks WHERE NOT granted', 1);
$writer->say('COMMIT;');
$shop->{run}->pump until $shop->{out} =~ /^over$/m;
like($shop->{out}, qr/55000: table reco.product has been altered/, 'and learns that the table is another one');

$_->close for $writer, $limited, $shop;
done_testing;
