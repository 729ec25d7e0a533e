# A library of another version than the extension's objects: the workers wait and say for what, everything else gets an error that does.
use strict;
use warnings;
use RecoTest;
use Test::More;

my $reco = RecoTest->start(extension => 0);
my $version = RecoTest::default_version();
my $workers = q{('ingest', 'follow', 'publish')};
my $update = qr/55000: .*has version 0\.9, but the server has loaded the library of version \Q$version\E\n(CONTEXT.*\n)?HINT:  Run ALTER EXTENSION reco UPDATE in this database\./;
my $restart = qr/55000: .*has version 9\.0, but the server has loaded the library of version \Q$version\E\n(CONTEXT.*\n)?HINT:  Restart the server/;

sub logged { local (@ARGV, $/) = "$reco->{dir}/postgres.log"; return scalar(() = <> =~ /$_[0]/g); }

# All parts say what they wait for
sub wait_for_waiting
{
	my ($name, $what) = @_;

	$reco->wait_for("$name: the workers wait", "SELECT count(*) FROM reco_status() WHERE component IN $workers AND health = 'waiting' AND state = 'waiting for $what'", 3);
	$reco->wait_for("$name: none runs for long", "SELECT count(*) FROM reco_status() WHERE component IN ('follow', 'publish') AND pid IS NOT NULL", 0);
	is($reco->sql(q{SELECT health || ': ' || state FROM reco_status() WHERE component = 'state'}), "waiting: waiting for $what", "$name: nobody moves the clock");
	return;
}

sub refused
{
	my ($name, $error, $what) = @_;

	like($reco->sql_error($_), $error, "$name: $_")
	  for q{INSERT INTO reco.activity VALUES ('page_view', 1, 'a', NULL, now())}, 'DELETE FROM reco.activity', 'TRUNCATE reco.activity',
	  q{INSERT INTO reco.product VALUES ('x', 'y')}, 'UPDATE reco.product SET popularity = 1', 'DELETE FROM reco.product', 'TRUNCATE reco.product',
	  'SELECT reco_tick(now())', 'SELECT reco_take_popularity()', 'SELECT reco_sweep()', 'SELECT reco_rebuild()', 'SELECT reco.reclaim()',
	  'SELECT * FROM reco_for_user(1)', q{SELECT reco.list_products('{1}')}, q{SELECT reco.unpack_views('')}, q{SELECT reco.unpack_counts(0, '')},
	  'SELECT * FROM reco.catalog_rows()', 'SELECT * FROM reco_redis_verify()';
	like($reco->sql_error('SELECT * FROM reco_verify()'), qr/55000: cannot verify: reco waits for $what/, "$name: reco_verify()");
	is($reco->sql_error($_), '', "$name: $_") for 'SELECT * FROM reco_progress(), reco.counters()', 'SELECT reco_follow_position()', 'SELECT reco_follow_wait(10)';
	return;
}

# 1. A new library, before ALTER EXTENSION: packages were upgraded and the server restarted
my $script = RecoTest::script();
my ($start) = $script =~ /\n(-- Start: .*)/s;
$reco->plant('reco--0.9.sql' => $script, "reco--0.9--$version.sql" => $start);
$reco->plant("reco--$version--9.0.sql" => <<'END');
ALTER FUNCTION reco.announce() COST 2;
ALTER TABLE reco.user_state RENAME TO newer_state;
ALTER TABLE reco.rejected RENAME COLUMN payload TO newer_payload;
END
$reco->sql("INSERT INTO products VALUES ('a', 'x'), ('b', 'x')");
$reco->sql("CREATE EXTENSION reco VERSION '0.9'");
wait_for_waiting('an older extension', 'ALTER EXTENSION reco UPDATE');
like($reco->sql(q{SELECT last_error FROM reco_status() WHERE component = 'ingest'}), qr/has version 0\.9, .* of version \Q$version\E/, 'with both versions');
refused('an older extension', $update, 'ALTER EXTENSION reco UPDATE');
$reco->produce(event('page_view', 1, 'a', 10));
my $asked = $reco->sql(q{SELECT last_error_at FROM reco_status() WHERE component = 'ingest'});
$reco->wait_for('ingest looks again', qq{SELECT last_error_at > '$asked' FROM reco_status() WHERE component = 'ingest'});
is(logged('WARNING:  reco ingest: extension "reco" has version 0\.9.*hint: Run ALTER EXTENSION reco UPDATE'), 1, 'the log says it once');
$reco->sql('ALTER EXTENSION reco UPDATE');
$reco->wait_for_ingest('after the update events are read');
$reco->wait_for('and make a list', 'SELECT product_id FROM reco_for_user(1)', 'b');
$reco->verify('after the update');
is(logged("LOG:  reco ingest: the extension has the library's version"), 1, 'the log says that it is over');

# 2. Newer objects, beneath workers and sessions of the older library: the restart is missing
my $session = $reco->session;
is($session->say('SELECT product_id FROM reco_for_user(1);'), "b\n", 'a session has read a list');
is($session->say(q{INSERT INTO reco.activity VALUES ('page_view', 2, 'b', NULL, now());}), '', 'and has written');
$reco->wait_for('Redis has the list', 'SELECT count(*) FROM reco_redis_verify()', 0);
my $value = $reco->redis('GET', 1);
$reco->sql(q{ALTER EXTENSION reco UPDATE TO '9.0'});
like($session->say('SELECT product_id FROM reco_for_user(1);'), qr/Restart the server/, 'it may not read on');
like($session->say(q{INSERT INTO reco.activity VALUES ('page_view', 2, 'b', NULL, now());}), qr/Restart the server/, 'nor write');
wait_for_waiting('a newer extension', 'a restart of the server');
refused('a newer extension', $restart, 'a restart of the server');
like($reco->sql_error("SELECT * FROM $_"), $restart, "a newer extension: $_")
  for qw(reco.user_recommendations reco.trending_products reco.user_views reco.window_count reco_trending());
is($reco->redis('GET', 1), $value, 'Redis serves the list meanwhile');

$reco->sql('ALTER TABLE reco.newer_state RENAME TO user_state; ALTER TABLE reco.rejected RENAME COLUMN newer_payload TO payload');

# 3. Only the version differs: no table or function changes, which would be told to all processes
for (['09.1', 'a restart of the server'], ['0.10', 'ALTER EXTENSION reco UPDATE'])
{
	my ($other, $what) = @$_;

	$reco->sql("UPDATE pg_extension SET extversion = '$version' WHERE extname = 'reco'");
	$reco->produce(event('page_view', 3, 'a', 5));
	$reco->wait_for_ingest("back to $version: the workers go on by themselves");
	$reco->wait_for('all of them', "SELECT count(*) FROM reco_status() WHERE component IN $workers AND health = 'ok'", 3);
	is($session->say(q{INSERT INTO reco.activity VALUES ('page_view', 2, 'b', NULL, now());}), '', 'and the session');
	$reco->sql("UPDATE pg_extension SET extversion = '$other' WHERE extname = 'reco'");
	wait_for_waiting("version $other", $what);
	like($session->say(q{INSERT INTO reco.activity VALUES ('page_view', 2, 'b', NULL, now());}), qr/has version \Q$other\E/, "version $other: the session's writes are refused");
}
$session->close;
$reco->plant("reco--0.10--$version.sql" => $start);
$reco->sql('ALTER EXTENSION reco UPDATE');
$reco->wait_for('the update ends it', "SELECT count(*) FROM reco_status() WHERE component IN $workers AND health = 'ok'", 3);
$reco->verify('at the end');
done_testing;
