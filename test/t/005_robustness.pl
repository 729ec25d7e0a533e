# What a DBA may do to the extension, its tables and its settings gives a right result or a clear error, never a crash.
use strict;
use warnings;
use RecoTest;
use Test::More;

my $reco = RecoTest->start(services => [qw(postgres redis)], settings => { 'reco.popularity_interval' => '1h' });
my $postmaster = $reco->sql('SELECT pg_postmaster_start_time()');
my $log = "$reco->{dir}/postgres.log";

# Within the last 800 s: the shortest retention below is 15 min.
sub fill
{
	$reco->sql("INSERT INTO reco.activity SELECT 'page_view', i % 50, 'p' || i % 40, NULL, now() - i * interval '0.8 second' FROM generate_series(1, 1000) i");
}

sub workers { return 'SELECT count(*) FROM pg_stat_activity WHERE datname = \'shop\' AND backend_type LIKE \'reco%\''; }

sub logged { return system('grep', '-q', $_[0], $log) == 0; }

$reco->sql("INSERT INTO public.products SELECT 'p' || i, 'c' || i % 4 FROM generate_series(1, 45) i");
$reco->wait_for('three workers', workers(), 3);
$reco->wait_for('the mirror', 'SELECT count(*) FROM reco.product', 45);
fill();
$reco->verify('filled');

# 1. Writers
like($reco->sql_error("BEGIN; INSERT INTO reco.activity VALUES ('page_view', 1, 'p1', NULL, now()); PREPARE TRANSACTION 'x'"),
	qr/0A000: .*HINT: /s, 'PREPARE TRANSACTION gets a clear error');
like($reco->sql_error('UPDATE reco.activity SET user_id = 2'), qr/ERROR: +\w{5}: .*reco\.activity/s, 'UPDATE is refused');
my $leaf = $reco->sql("SELECT inhrelid::regclass FROM pg_inherits WHERE inhparent = 'reco.activity'::regclass LIMIT 1");
like($reco->sql_error("DELETE FROM $leaf"), qr/ERROR: +\w{5}: /, 'a write to a partition by name is refused');
like($reco->sql_error("INSERT INTO reco.activity VALUES ('page_view', 1, 'p1', NULL, now() - interval '1 year')"), qr/23514/, 'an event out of range is PostgreSQL\'s error');
like($reco->sql_error("INSERT INTO reco.activity VALUES ('page_view', 1, NULL, NULL, now())"), qr/23514/, 'so is one without a product');
$reco->sql("SET session_replication_role = replica; INSERT INTO reco.activity VALUES ('page_view', 1, 'p1', NULL, now())");
like($reco->sql_error("BEGIN ISOLATION LEVEL REPEATABLE READ; INSERT INTO reco.activity VALUES ('page_view', 1, 'p2', NULL, now())"),
	qr/0A000: .*HINT: /s, 'a REPEATABLE READ writer gets a clear error');
$reco->sql("BEGIN; INSERT INTO reco.activity VALUES ('page_view', 1, 'p3', NULL, now()); SAVEPOINT s; INSERT INTO reco.activity VALUES ('page_view', 1, 'p7', NULL, now()); ROLLBACK TO s; COMMIT");
$reco->sql('DELETE FROM reco.activity WHERE user_id < 10');
$reco->sql('VACUUM FULL reco.user_state');
$reco->sql('VACUUM FULL reco.product');
fill();
$reco->verify('writers');
$reco->sql('TRUNCATE reco.activity');
is($reco->sql('SELECT count(*) FROM reco.user_recommendations'), 0, 'TRUNCATE of the activity takes everything derived');
is($reco->sql('SELECT count(*) FROM reco.trending_products'), 0, 'trending too');
fill();
$reco->verify('truncated');

# The ingest worker waits for reco's lock while TRUNCATE has the table and waits, too
my $ingest = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'reco ingest'";
my $worker = $reco->sql($ingest);
my $sweeper = $reco->session;
$sweeper->say('BEGIN; SELECT reco_sweep();');
$reco->wait_for('the ingest worker waits for a session', "SELECT count(*) FROM pg_locks WHERE NOT granted AND pid = ($ingest)", 1);
my $said = '';
my $truncating = IPC::Run::start([ qw(psql -XqtA -d shop -c), 'TRUNCATE reco.activity' ], '>', \$said, '2>&1');
$reco->wait_for('TRUNCATE waits', "SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE query = 'TRUNCATE reco.activity' AND NOT granted", 1);
$sweeper->say('COMMIT;');
$truncating->finish;
is($said, '', 'both go on');
is($reco->sql($ingest), $worker, 'and the worker is the same');
$sweeper->close;
fill();
$reco->verify('truncated beside the worker');

my $blocker = $reco->session;
$blocker->say("BEGIN; INSERT INTO reco.activity VALUES ('page_view', 1, 'p1', NULL, now()); SELECT FROM reco.apply_events();");
my $blocking = $reco->sql("SELECT pid FROM pg_stat_activity WHERE state = 'idle in transaction'");
$reco->wait_for('a session that sits on the lock is named', "SELECT count(*) > 0 FROM reco_status() WHERE $blocking = ANY (blocked_by)");
$blocker->say('COMMIT;');
$blocker->close;

# 2. Settings
for my $bad (['reco.trending_window', '-5'], ['reco.trending_window', '0'], ['reco.recent_window', 'soon'], ['reco.redis_url', 'http://127.0.0.1'],
	['reco.redis_user_key', 'constant'], ['reco.redis_trending_key', ''], ['reco.catalog_columns', 'price=cost'], ['reco.max_recommendations', '-1'], ['reco.kafka_topic', ''])
{
	my ($name, $value) = @$bad;
	my $before = $reco->sql("SHOW $name");

	like($reco->sql_error("ALTER SYSTEM SET $name = '$value'"), qr/22023/, "$name = '$value' is refused");
	system("echo \"$name = '$value'\" >>$reco->{dir}/data/postgresql.conf");
	$reco->set('log_min_duration_statement', '1h');
	is($reco->sql("SHOW $name"), $before, 'and by reload; the old value stays');
	system('sed', '-i', '$d', "$reco->{dir}/data/postgresql.conf");
}
ok(logged('invalid value for parameter "reco.redis_url"'), 'the log says why');
$reco->set('reco.max_recommendations', 2);
$reco->wait_for('another limit of the lists', 'SELECT max(array_length(recommended_products, 1)) FROM reco.user_recommendations', 2);
$reco->verify('limit');
$reco->set('reco.trending_window', '10min');
$reco->wait_for('another window', 'SELECT trending_window FROM reco.state', '00:10:00');
$reco->verify('window');
$reco->set('reco.recent_window', '5min');
$reco->wait_for('a shorter memory', 'SELECT recent_window FROM reco.state', '00:05:00');
$reco->verify('memory');
is($reco->sql(q{SELECT count(*) FROM reco.user_views WHERE viewed_at <= now() - interval '6 minutes'}), 0, 'older views are forgotten');

# 3. The extension
$reco->sql('DROP EXTENSION reco');
$reco->wait_for('without the extension no worker', workers(), 0);
is($reco->sql(q{SELECT count(*) FROM pg_class WHERE relnamespace = to_regnamespace('reco')}), 0, 'nothing is left of it');
is($reco->sql('SELECT count(*) FROM pg_replication_slots'), 0, 'no slot either');
$reco->sql('CREATE EXTENSION reco');
$reco->wait_for('CREATE EXTENSION wakes the workers', workers(), 3, 5);
$reco->wait_for('the mirror is there again', 'SELECT count(*) FROM reco.product', 45);
fill();
$reco->verify('created again');
$reco->sql('BEGIN; DROP EXTENSION reco; CREATE EXTENSION reco; COMMIT');
$reco->wait_for('dropped and created in one transaction', 'SELECT count(*) FROM reco.product', 45);
fill();
$reco->verify('dropped and created in one transaction');
my $other = $reco->session;
$other->say('SELECT count(*) FROM reco.activity;');
$reco->sql('DROP EXTENSION reco; CREATE EXTENSION reco');
$reco->wait_for('dropped and created in one go', 'SELECT count(*) FROM reco.product', 45);
my $answer = $other->say("INSERT INTO reco.activity VALUES ('page_view', 1, 'p1', NULL, now());");
is($answer, '', 'a session from before it writes');
$other->close;
fill();
$reco->verify('dropped and created in one go');

$reco->sql('CREATE DATABASE other');
$reco->sql('CREATE EXTENSION reco', 'other');
my $event = q{INSERT INTO reco.activity (event_type, user_id, product_id) VALUES ('page_view', 1, 'p1')};
like($reco->sql_error($event, 'other'), qr/55000: .*HINT: /s, 'nobody inserts where time stands still unseen');
like($reco->sql_error("COPY reco.activity FROM stdin;\npage_view\t1\tp1\t\\N\t" . iso(time) . "\n\\.\n", 'other'), qr/55000: /, 'by COPY neither');
$reco->set('reco.enabled', 'off');
$reco->sql("SELECT reco_tick(now()); $event", 'other');
is($reco->sql('SELECT count(*) FROM reco.trending_products', 'other'), 1, 'where reco is off, a second database maintains its own state');
$reco->set('reco.enabled', 'on');
$reco->wait_for('and on', workers(), 3);
$reco->sql($event);
$reco->verify('another database does not disturb');
$reco->sql('DROP DATABASE other');

$reco->set('reco.enabled', 'off');
$reco->wait_for('reco.enabled = off', workers(), 0);
is($reco->sql_error('DROP DATABASE shop', 'postgres'), '', 'DROP DATABASE goes through');
$reco->sql("ALTER SYSTEM SET reco.enabled = 'on'", 'postgres');
$reco->sql('SELECT pg_reload_conf()', 'postgres');
$reco->sql('CREATE DATABASE shop', 'postgres');
$reco->sql('CREATE TABLE public.products (product_id text PRIMARY KEY, category text); CREATE EXTENSION reco');
$reco->wait_for('in a new database of the same name', workers(), 3);
is($reco->sql('SELECT pg_postmaster_start_time()'), $postmaster, 'the server is the same');
ok(!logged('terminated by signal'), 'no process crashed');
ok(!logged('PANIC\|TRAP'), 'no panic');

# 4. The library
$reco->down('postgres');
$reco->up('postgres', '-c', 'shared_preload_libraries=');
$reco->sql('CREATE DATABASE bare', 'postgres');
like($reco->sql_error('CREATE EXTENSION reco', 'bare'), qr/shared_preload_libraries/, 'a library that is not preloaded gets a clear error');
like($reco->sql_error("INSERT INTO reco.activity VALUES ('page_view', 1, 'p1', NULL, now())"), qr/shared_preload_libraries/, 'a writer too');

done_testing;
