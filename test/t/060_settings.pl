# What ALTER DATABASE says to sessions does not reach the workers; a database that they cannot enter is waited for quietly.
use strict;
use warnings;
use RecoTest;
use Test::More;

my $reco = RecoTest->start(services => ['postgres'], extension => 0, settings => {
	'reco.trending_window' => '2s', 'reco.recent_window' => '10s', 'reco.max_future' => '10s' });
my $among_workers = q{datname = 'shop' AND backend_type ~ '^reco (ingest|follow|publish)'};
my $workers = "SELECT count(*) FROM pg_stat_activity WHERE $among_workers";
my $pids = "SELECT string_agg(pid::text, ',' ORDER BY backend_type) FROM pg_stat_activity WHERE $among_workers";

# Lines of the server's log that match.
sub logged
{
	my $pattern = shift;
	open my $file, '<', "$reco->{dir}/postgres.log" or die $!;
	return scalar grep { /$pattern/ } <$file>;
}

sub restart_workers
{
	$reco->set('reco.enabled', 'off');
	$reco->wait_for('the workers leave', $workers, 0);
	$reco->set('reco.enabled', 'on');
	$reco->wait_for('and come', $workers, 3);
}

# 1. Settings of the database; the test's own role has them as they were
$reco->sql(<<'END');
DROP TABLE public.products;
CREATE TABLE public.products (product_id date PRIMARY KEY, category text);
CREATE EXTENSION reco;
CREATE ACCESS METHOD columnar TYPE TABLE HANDLER heap_tableam_handler;
CREATE ROLE observer SUPERUSER LOGIN;
CREATE ROLE nobody;
END
my %hostile = (
	statement_timeout => '1ms', lock_timeout => '1ms', transaction_timeout => '100ms',
	idle_in_transaction_session_timeout => '1ms', idle_session_timeout => '1ms',
	default_transaction_read_only => 'on', default_transaction_isolation => 'serializable', default_transaction_deferrable => 'on',
	exit_on_error => 'on', session_replication_role => 'replica', row_security => 'off', search_path => 'nowhere', role => 'nobody',
	DateStyle => 'German', IntervalStyle => 'sql_standard', TimeZone => 'Asia/Tokyo', bytea_output => 'escape', extra_float_digits => -15,
	quote_all_identifiers => 'on', standard_conforming_strings => 'off', transform_null_equals => 'on', array_nulls => 'off',
	default_table_access_method => 'columnar', default_tablespace => 'gone', temp_tablespaces => 'gone', work_mem => '64kB', temp_file_limit => '1kB',
	enable_indexscan => 'off', enable_bitmapscan => 'off', enable_seqscan => 'off', enable_hashjoin => 'off', enable_nestloop => 'off');
my @known = grep { $_ eq 'role' || $reco->sql("SELECT count(*) FROM pg_settings WHERE name = '$_'") } sort keys %hostile;
$reco->sql("ALTER ROLE observer SET $_ FROM CURRENT", 'postgres') for @known;
$reco->sql("ALTER DATABASE shop SET $_ = '$hostile{$_}'", 'postgres') for @known;
$ENV{PGUSER} = 'observer';
is($reco->sql("SELECT concat_ws(' ', current_user, current_setting('DateStyle'))"), 'observer ISO, MDY', 'the test has none of them');
restart_workers();
my $running = $reco->sql($pids);
$reco->sql("INSERT INTO public.products VALUES ('2020-02-03', 'c'), ('2020-02-04', 'c')");
$reco->wait_for('the catalog is followed, its keys written as ever', 'SELECT count(*) FROM reco.product WHERE product_id LIKE \'2020-02-0_\'', 2);
$reco->sql(q{INSERT INTO public.products SELECT date '1900-01-01' + i, 'c' FROM generate_series(1, 20000) i});
$reco->wait_for('a catalog that does not fit into memory is followed, too', 'SELECT count(*) FROM reco.product', 20002);
my $leaves = "SELECT max(inhrelid::bigint) FROM pg_inherits WHERE inhparent = 'reco.activity'::regclass";
my $newest = $reco->sql($leaves);
$reco->wait_for('partitions are made', "SELECT ($leaves) > $newest");
is($reco->sql("SELECT count(*) FROM pg_class JOIN pg_am a ON relam = a.oid WHERE relname LIKE 'activity\\_2%' AND amname <> 'heap' AND relkind = 'r'"), 0, 'of the access method that reco knows');
$reco->sql(q{INSERT INTO reco.activity SELECT 'page_view', i, '2020-02-03', NULL, now() FROM generate_series(1, 100) i});
$reco->wait_for('lists', 'SELECT count(*) FROM reco.user_recommendations', 100);
$reco->verify('among hostile settings');
$reco->wait_for('they go by themselves', 'SELECT count(*) FROM reco.user_recommendations', 0);
is($reco->sql($pids), $running, 'by the same workers');
is($reco->sql('SELECT count(*) FROM reco_status() WHERE last_error IS NOT NULL'), 0, 'none has had an error');

# 2. A database that nobody can enter
sub is_waited_for
{
	my ($what, $close, $open) = @_;
	my $lines;

	$reco->set('reco.enabled', 'off');
	$reco->wait_for("$what: the workers leave", $workers, 0);
	$lines = logged('FATAL');
	$reco->sql($close, 'postgres');
	$reco->sql($_, 'postgres') for "ALTER SYSTEM SET reco.enabled = 'on'", 'SELECT pg_reload_conf()';
	$reco->wait_until("$what: the launcher says so", sub { logged("LOG:  reco is waiting.*$what") });
	$reco->sql($open, 'postgres');
	$reco->wait_for("$what: the workers are back", $workers, 3);
	is(logged('FATAL'), $lines, "$what: nobody tried in vain");
}

is_waited_for('does not accept connections', 'ALTER DATABASE shop ALLOW_CONNECTIONS false', 'ALTER DATABASE shop ALLOW_CONNECTIONS true');
is_waited_for('for database', 'ALTER DATABASE shop RENAME TO other', 'ALTER DATABASE other RENAME TO shop');
is_waited_for('was interrupted', "UPDATE pg_database SET datconnlimit = -2 WHERE datname = 'shop'", "UPDATE pg_database SET datconnlimit = -1 WHERE datname = 'shop'");

# 3. One that only the attempt tells about: as where its tablespace is not there
my $version = "$reco->{dir}/data/base/" . $reco->sql(q{SELECT oid FROM pg_database WHERE datname = 'shop'}) . '/PG_VERSION';
$reco->set('reco.enabled', 'off');
$reco->wait_for('the workers leave once more', $workers, 0);
rename $version, "$version.away" or die $!;
$reco->sql($_, 'postgres') for "ALTER SYSTEM SET reco.enabled = 'on'", 'SELECT pg_reload_conf()';
$reco->wait_until('a worker fails again and again', sub { logged('reco ingest FATAL:.*base') >= 4 });
rename "$version.away", $version or die $!;
my @at = map { /:(\d\d):([\d.]+) /; 60 * $1 + $2 } grep { /reco ingest FATAL:.*base/ } do { open my $file, '<', "$reco->{dir}/postgres.log" or die $!; <$file> };
ok(($at[3] - $at[2]) % 3600 >= 1.5 * (($at[1] - $at[0]) % 3600), 'each time after a longer pause') or diag("@at");
$reco->wait_for('then it starts', $workers, 3);
like($reco->sql(q{SELECT last_error FROM reco_status() WHERE component = 'ingest'}), qr/base/, 'reco_status() knows why it did not');

# 4. Off again at any moment of their start
my $switch = sub { my ($to, $after) = @_; return "ALTER SYSTEM SET reco.enabled = '$to'; SELECT pg_reload_conf(), pg_sleep($after);\n"; };
$reco->set('reco.enabled', 'off');
for my $ms (0 .. 24)
{
	$reco->sql($switch->('on', $ms / 1000) . $switch->('off', 0));
	$reco->wait_for("off after $ms ms: the workers leave", $workers, 0) or last;
}
done_testing;
