# Each message takes effect exactly once: over a clean restart, a crash (the state is rebuilt from Kafka and the catalog), a crash
# in the middle of a load, a broker that dies, and a topic that gets more partitions.
use strict;
use warnings;
use RecoTest;
use Test::More;

my $reco = RecoTest->start(settings => { 'reco.popularity_interval' => '1s' });
my $sent = 0;

# n page views of some users and products, in the last hours
sub views
{
	my ($n) = @_;

	$sent += $n;
	return map { event('page_view', 1 + int(rand(300)), 'p' . (1 + int(rand(rand(200)))), 60 + int(rand(8 * 3600))) } 1 .. $n;
}

# All that must come back, once lists have the last popularity: no view ages within the test's time.
sub state { return $reco->trending . "\n" . $reco->lists; }

sub settled
{
	my ($name) = @_;

	# a popularity begins a generation, which then comes to the lists
	$reco->wait_for("$name: popularity is that of all views",
		q{SELECT coalesce(sum(popularity), 0) = (SELECT count(*) FROM reco.activity a JOIN reco.product p USING (product_id)) FROM reco.product});
	$reco->wait_for("$name: every list is of the last generation",
		'SELECT count(*) FROM reco.user_state u, reco.state s WHERE u.generation <> s.generation', 0);
}

$reco->sql(q{INSERT INTO public.products SELECT 'p' || i, 'category ' || i % 17 FROM generate_series(1, 200) i});
$reco->produce(views(5000));
$reco->wait_for_ingest;
is($reco->sql('SELECT count(*) FROM reco.activity'), $sent, 'every message is one row');
settled('before');
$reco->verify('before');

my $before = state();
$reco->down('postgres');
$reco->produce(views(100));
$reco->up('postgres');
$reco->wait_for_ingest('after a clean restart ingestion goes on');
is($reco->sql('SELECT count(*) FROM reco.activity'), $sent, 'a clean restart loses nothing and replays nothing');
like($reco->sql('SELECT sum(next_offset) FROM reco.offsets'), qr/^$sent$/, 'offsets went on');
settled('restarted');
$reco->verify('restarted');

$before = state();
$reco->crash('postgres');
$reco->up('postgres');
$reco->wait_for_ingest('after a crash everything is read again');
is($reco->sql('SELECT count(*) FROM reco.activity'), $sent, 'each message once');
settled('crashed');
is(state(), $before, 'the state is what it was before the crash');
$reco->verify('crashed');

$reco->produce(views(20000));
$reco->crash('postgres');
$reco->up('postgres');
$reco->wait_for_ingest('after a crash under load everything is read again');
is($reco->sql('SELECT count(*) FROM reco.activity'), $sent, 'each message once');
$reco->verify('crashed under load');

my $pid = $reco->sql("SELECT pid FROM pg_stat_activity WHERE backend_type = 'reco ingest'");
like($pid, qr/^\d+$/, 'the worker shows itself in pg_stat_activity');
$reco->topic(4);
$reco->produce(map { { value => $_, partition => 3 } } views(200));
$reco->wait_for_ingest('a new partition is read from its beginning');
is($reco->sql("SELECT pid FROM pg_stat_activity WHERE backend_type = 'reco ingest'"), $pid, 'without a restart of the worker');

# A DBA audits the offsets, and holds on to them.
$reco->sql(<<'END');
CREATE TABLE audit (next_offset bigint);
GRANT INSERT ON audit TO PUBLIC;
CREATE FUNCTION audit() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO public.audit VALUES (NEW.next_offset); RETURN NULL; END $$;
CREATE TRIGGER audit AFTER UPDATE ON reco.offsets FOR EACH ROW EXECUTE FUNCTION audit();
END
my $dba = $reco->session;
$dba->say('BEGIN; UPDATE reco.offsets SET next_offset = next_offset;');
$reco->produce(views(200));
$reco->wait_for('ingestion waits for a transaction that changes offsets',
	"SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = $pid");
$dba->say('COMMIT;');
$dba->close;
$reco->wait_for_ingest('and goes on after it');
is($reco->sql("SELECT pid FROM pg_stat_activity WHERE backend_type = 'reco ingest'"), $pid, 'without a restart of the worker');
is($reco->sql('SELECT (SELECT count(*) FROM audit) > (SELECT count(*) FROM reco.offsets)'), 't', 'the trigger fired for both');
$reco->sql('DROP FUNCTION audit() CASCADE; DROP TABLE audit');

# A DBA's triggers, constraints and columns of reco.activity have their say; first triggers of one partition only.
my $leaf = $reco->sql("SELECT tableoid::regclass FROM reco.activity GROUP BY 1 ORDER BY count(*) DESC LIMIT 1");
my $held = $reco->sql("SELECT count(*) FROM $leaf");
$reco->sql(<<"END");
CREATE TABLE seen (relation text, rows bigint);
GRANT INSERT ON seen TO PUBLIC;
CREATE FUNCTION see_row() RETURNS trigger LANGUAGE plpgsql AS \$\$ BEGIN INSERT INTO public.seen VALUES ('partition', 1); RETURN NULL; END \$\$;
CREATE FUNCTION see_rows() RETURNS trigger LANGUAGE plpgsql AS \$\$ BEGIN INSERT INTO public.seen SELECT 'all', count(*) FROM new_rows; RETURN NULL; END \$\$;
CREATE TRIGGER see AFTER INSERT ON $leaf FOR EACH ROW EXECUTE FUNCTION see_row();
ALTER TABLE reco.activity ADD CONSTRAINT no_robots CHECK (user_id <> 666);
END
$reco->produce(views(400), event('page_view', 666, 'p1'));
$reco->wait_for_ingest;
is($reco->sql(q{SELECT count(*) FROM seen WHERE relation = 'partition'}), $reco->sql("SELECT count(*) - $held FROM $leaf"), 'a trigger of a partition fires for its rows');
like($reco->sql('SELECT reason FROM reco.rejected'), qr/violates check constraint "no_robots"/, 'a constraint rejects');
is($reco->sql('SELECT count(*) FROM reco.activity'), $sent, 'and only that');
$reco->verify('a trigger of a partition');
$reco->sql(<<'END');
CREATE TRIGGER see AFTER INSERT ON reco.activity REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION see_rows();
ALTER TABLE reco.activity ADD COLUMN arrived timestamptz DEFAULT now();
END
$reco->produce(views(400));
$reco->wait_for_ingest;
is($reco->sql(q{SELECT sum(rows) FROM seen WHERE relation = 'all'}), 400, 'a trigger of the table sees all rows');
is($reco->sql(q{SELECT count(DISTINCT arrived) > 1 FROM reco.activity}), 't', 'a column has its default');
is($reco->sql('SELECT count(*) FROM reco.activity'), $sent, 'each message once');
$reco->verify('a trigger and a column of the table');

$reco->crash('kafka');
$reco->up('kafka');
$reco->produce(views(500));
$reco->wait_for_ingest('a broker that died and came back');
is($reco->sql('SELECT count(*) FROM reco.activity'), $sent, 'each message once');
$reco->verify('broker back');

done_testing;
