# reco_status() tells the truth whatever is stopped, away, blocked or wrong, and the log has a line at the begin and the end of it.
use strict;
use warnings;
use IO::Socket::INET;
use RecoTest;
use Test::More;
use Time::HiRes qw(sleep time);

my $reco = RecoTest->start(settings => { 'reco.redis_ttl' => '0' });
my $log = "$reco->{dir}/postgres.log";

sub status { return $reco->sql("SELECT $_[1] FROM reco_status() WHERE component = '$_[0]'"); }
sub pid { return $reco->sql("SELECT pid FROM reco_status() WHERE component = '$_[0]'"); }
sub service_pid { open my $file, '<', "$reco->{dir}/$_[0].pid" or die; chomp(my $pid = <$file>); return $pid; }
sub logged { my ($pattern) = @_; open my $file, '<', $log or die; return scalar grep { /$pattern/ } <$file>; }

sub health
{
	my ($component, $health, $name, $seconds) = @_;

	return $reco->wait_for($name, "SELECT health FROM reco_status() WHERE component = '$component'", $health, $seconds // 20);
}

sub all_ok { return $reco->wait_for($_[0], q{SELECT string_agg(component || ' ' || health, ', ') FROM reco_status() WHERE health <> 'ok'}, '', $_[1] // 40); }

# The lag in seconds gets larger while nothing moves.
sub lag_grows
{
	my ($component, $name) = @_;
	my $first;

	return $reco->wait_until("$name: the lag grows", sub {
		my $lag = status($component, 'lag_seconds');
		$first = $lag if !defined $first || $lag eq '' || $first eq '';
		return $lag ne '' && $lag > 1 && $lag > $first + 1;
	});
}

$reco->sql("INSERT INTO public.products SELECT 'p' || i, 'c' || i % 4 FROM generate_series(1, 20) i");
$reco->produce(map { event('page_view', $_, "p$_") } 1 .. 10);
$reco->wait_for_ingest;
all_ok('all is well');
is(status('ingest', 'lag_messages'), 0, 'nothing is left to read');
ok(logged('reco ingest: caught up'), 'the log says that the past has been read');
is($reco->sql("SELECT bool_and(last_error IS NULL) FROM reco_status()"), 't', 'nothing went wrong');

# D1: a process that is stopped
for my $component (qw(ingest follow publish))
{
	my $pid = pid($component);

	kill 'STOP', $pid;
	$reco->sql("INSERT INTO reco.activity VALUES ('page_view', 1, 'p2', NULL, now())") if $component eq 'publish';
	health($component, 'failing', "$component is stopped");
	like(status($component, 'state'), qr/does not answer for \d+ s/, 'it says so');
	lag_grows($component, $component);
	kill 'CONT', $pid;
	all_ok("$component goes on");
}

# D1, D5: locks
for my $table (qw(reco.state reco.activity reco.user_state reco.product reco.offsets reco.rejected pg_catalog.pg_extension))
{
	my $session = $reco->session;

	$session->say("BEGIN; LOCK TABLE $table IN ACCESS EXCLUSIVE MODE;");
	is($reco->sql("SET statement_timeout = '2s'; SELECT count(*) FROM reco_status()"), 6, "it answers while $table is locked");
	$session->say('ROLLBACK;');
	$session->close;
}
my $session = $reco->session;
$session->say("BEGIN; SELECT reco_sweep();");
my $blocker = $reco->sql("SELECT pid FROM pg_stat_activity WHERE state = 'idle in transaction'");
health('ingest', 'waiting', 'ingest waits for a lock');
is(status('ingest', 'blocked_by'), "{$blocker}", 'and for whom');
like(status('ingest', 'state'), qr/waits for .*pid $blocker/, 'with a name');
lag_grows('ingest', 'a lock is held');
is(status('state', 'blocked_by'), "{$blocker}", 'who holds reco\'s lock');
health('state', 'waiting', 'the clock stands', 30);
$session->say('COMMIT;');
$session->close;
all_ok('the lock is released');

# D1: a commit in the catalog that nobody can see yet
$session = $reco->session;
$reco->set('synchronous_standby_names', 'nobody');
$session->{in} .= "UPDATE public.products SET category = 'other' WHERE product_id = 'p1';\n";
$session->{run}->pump_nb;
health('follow', 'waiting', 'a commit waits for a synchronous standby');
like(status('follow', 'state'), qr/synchronous standby/, 'it says so');
lag_grows('follow', 'a commit that waits');
$reco->set('synchronous_standby_names', '');
$session->close;
all_ok('the commit is done');

# D1, D4: Redis hangs, is away, comes back
my $redis = service_pid('redis');
kill 'STOP', $redis;
$reco->sql("INSERT INTO reco.activity VALUES ('page_view', 2, 'p3', NULL, now())");
health('publish', 'waiting', 'Redis hangs');
lag_grows('publish', 'Redis hangs');
kill 'CONT', $redis;
all_ok('Redis answers');

my ($warned, $over) = (logged('WARNING:  reco publish'), logged('LOG:  reco publish: Redis answers again'));
$reco->down('redis');
$reco->sql("INSERT INTO reco.activity VALUES ('page_view', 3, 'p4', NULL, now())");
health('publish', 'waiting', 'Redis is away');
$reco->wait_for('keys are waiting', q{SELECT lag_messages > 0 FROM reco_status() WHERE component = 'publish'});
lag_grows('publish', 'Redis is away');
like(status('publish', 'last_error'), qr/Redis/, 'the error');
is(status('publish', 'last_error_over'), 'f', 'is not over');
$reco->wait_for('failures are counted', q{SELECT errors > 1 FROM reco_status() WHERE component = 'publish'});
$reco->up('redis');
all_ok('Redis is back');
is(status('publish', 'last_error_over'), 't', 'the error is over');
is(logged('WARNING:  reco publish') - $warned, 1, 'one warning, however often it tried');
is(logged('LOG:  reco publish: Redis answers again') - $over, 1, 'one line at the end');

# D1, D4: Kafka likewise
my $kafka = service_pid('kafka');
($warned, $over) = (logged('WARNING:  reco ingest'), logged('LOG:  reco ingest: Kafka answers again'));
kill 'STOP', $kafka;
health('ingest', 'waiting', 'Kafka hangs');
is(status('ingest', 'lag_messages'), '', 'how many messages there are is not known');
lag_grows('ingest', 'Kafka hangs');
kill 'CONT', $kafka;
all_ok('Kafka answers');
is(logged('WARNING:  reco ingest') - $warned, 1, 'one warning');
is(logged('LOG:  reco ingest: Kafka answers again') - $over, 1, 'one line at the end');
$reco->wait_until('and one when it has caught up', sub { logged('LOG:  reco ingest: caught up') > 1 });

$reco->crash('kafka');
health('ingest', 'waiting', 'Kafka is away');
lag_grows('ingest', 'Kafka is away');
$reco->up('kafka');
all_ok('Kafka is back');

# D2, D4: what the broker allows
sub acl { my (@words) = @_; RecoTest::_run([ "$ENV{PWD}/test/services/kafka", $reco->{dir}, 'run', 'org.apache.kafka.tools.AclCommand', @words ]); }
acl('--add', '--deny-principal', 'User:ANONYMOUS', '--operation', 'All', '--group', '*');
$reco->set('reco.kafka_brokers', $ENV{KAFKA} . ',' . $ENV{KAFKA});
$reco->produce(event('page_view', 4, 'p1'));
$reco->wait_for_ingest('without the right to any group messages are read');
all_ok('and nothing is the matter');
is(status('ingest', "last_error ~* 'group auth'"), 'f', 'nor was it');

($warned, $over) = (logged('WARNING:  reco ingest.*authorization'), logged('LOG:  reco ingest: all partitions'));
acl('--add', '--allow-principal', 'User:*', '--operation', 'Write', '--operation', 'Describe', '--topic', $reco->{topic});
$reco->produce(event('page_view', 4, 'p2'));
health('ingest', 'failing', 'the topic may not be read', 30);
like(status('ingest', 'last_error'), qr/authorization failed/i, 'the error says so');
lag_grows('ingest', 'the topic may not be read');
acl('--add', '--allow-principal', 'User:*', '--operation', 'Read', '--topic', $reco->{topic});
all_ok('it may be read again', 60);
is(logged('WARNING:  reco ingest.*authorization') - $warned, 1, 'one warning');
is(logged('LOG:  reco ingest: all partitions') - $over, 1, 'one line at the end');
$reco->wait_for_ingest;

# D3: messages that nobody can use
$warned = logged('WARNING:  reco ingest: .*rejected or below retention');
$reco->produce((map { qq({"type":"page_view","userId":"$_","productId":1}) } 1 .. 120), map { event('page_view', $_, 'p1', 200 * 3600) } 1 .. 100);
health('ingest', 'rejecting', 'too many messages are rejected');
like(status('ingest', 'state'), qr/2\d\d of the last 2\d\d messages were rejected or below retention, most often: \w.*; see reco\.rejections/,
	'how many, and the most frequent reason');
is($reco->sql('SELECT messages FROM reco.rejections'), 120, 'reco.rejections counts them');
is(logged('WARNING:  reco ingest: .*rejected or below retention') - $warned, 1, 'one warning');

# An error of the worker's own
$reco->sql('ALTER TABLE reco.rejected RENAME reason TO other');
$reco->produce('nonsense');
health('ingest', 'failing', 'a worker fails');
like(status('ingest', 'last_error'), qr/"reason"/, 'with the reason');
$reco->sql('ALTER TABLE reco.rejected RENAME other TO reason');
$reco->wait_for_ingest;
$reco->wait_for('its error is over', q{SELECT last_error_over FROM reco_status() WHERE component = 'ingest'}, 't', 60);
my $errors = status('publish', 'errors');
$reco->sql("SELECT pg_terminate_backend(pid) FROM reco_status() WHERE component = 'publish'");
health('publish', 'ok', 'one that a DBA ends is there again');
ok(status('publish', 'errors') > $errors, 'and it has been counted');

# Foreign bytes
my $liar = IO::Socket::INET->new(Listen => 5, LocalAddr => '127.0.0.1') or die;
my $child = fork;
if (!$child)
{
	while (my $client = $liar->accept)
	{
		sysread $client, my $request, 1000;
		syswrite $client, "-ERR \xff\xfe\x01\xc3" . ("\xc3\xa9" x 300) . "\r\n";
	}
	POSIX::_exit(0);
}
my $url = $reco->sql('SHOW reco.redis_url');
$reco->set('reco.redis_url', 'redis://127.0.0.1:' . $liar->sockport . '/0');
health('publish', 'failing', 'Redis says strange things');
is($reco->sql(q{SELECT convert_from(convert_to(last_error, 'UTF8'), 'UTF8') = last_error AND last_error !~ '[[:cntrl:]]' AND last_error LIKE '%?%'
	FROM reco_status() WHERE component = 'publish'}), 't', 'what is shown of it is clean');
kill 'KILL', $child;
waitpid $child, 0;
$reco->set('reco.redis_url', $url);

# What the settings do not ask for is no trouble
$reco->set('reco.catalog_table', 'public.nothing');
health('follow', 'failing', 'a catalog that is not there');
$reco->set('reco.catalog_table', '');
health('follow', 'ok', 'none is asked for');
$reco->set('reco.catalog_table', 'public.products');
$reco->set('reco.kafka_config', '/no/such/file');
health('ingest', 'failing', 'a file that is not there');
my $secrets = "$reco->{dir}/kafka.conf";
open(my $properties, '>', $secrets) or die;
print $properties "client.id = status\n";
close $properties;
chmod 0644, $secrets;
chown((getpwnam('postgres'))[2], -1, $secrets) if $> == 0;
my $warning = 'WARNING:  configuration file "[^"]*kafka.conf" has group or world access';
$reco->set('reco.kafka_config', $secrets);
all_ok('a file of which others may know', 60);
is(logged($warning), 0, 'without a secret');
open($properties, '>>', $secrets) or die;
print $properties "sasl.password = open sesame\n";
close $properties;
$reco->set('reco.kafka_config', '');
$reco->set('reco.kafka_config', $secrets);
$reco->wait_until('and with one', sub { logged($warning) > 0 });
$reco->set('reco.kafka_config', '');
$reco->wait_for('it is not asked for', q{SELECT health <> 'failing' FROM reco_status() WHERE component = 'ingest'});

# Somewhere else
$reco->sql('CREATE DATABASE other');
$reco->sql('CREATE EXTENSION reco', 'other');
is($reco->sql(q{SELECT count(*) FROM reco_status() WHERE state LIKE 'not in this database%"shop"%' AND health = 'off'}, 'other'), 4, 'another database is told');
$reco->sql('DROP DATABASE other');

# D5: a standby
my $standby = "$reco->{dir}/standby";
my $port = $ENV{PGPORT} + 1;
my @as = $> == 0 ? qw(runuser -u postgres --preserve-environment --) : ();
RecoTest::_run([ 'chmod', 'o+x', $reco->{dir} ]);
RecoTest::_run([ @as, 'pg_basebackup', '-D', $standby, '-R', '-c', 'fast', '-X', 'stream' ]);
RecoTest::_run([ @as, 'pg_ctl', '-D', $standby, '-w', '-l', "$standby/log", '-o', "-p $port", 'start' ]);
{
	local $ENV{PGPORT} = $port;
	is($reco->sql(q{SELECT string_agg(component || ' ' || health, ', ' ORDER BY component) FROM reco_status()}),
		'follow off, ingest off, publish off, role off, snapshot ok, state off', 'a standby says what it is');
	like($reco->sql(q{SELECT state FROM reco_status() WHERE component = 'ingest'}), qr/standby/, 'in words');
	like($reco->sql_error("SELECT * FROM $_"), qr/ERROR:  0A000: cannot read reco's unlogged tables during recovery\nHINT:  Ask the primary/, "$_ says what to do")
	  for 'reco_verify()', 'reco_redis_verify()', 'reco_for_user(1)';
}
RecoTest::_run([ @as, 'pg_ctl', '-D', $standby, '-w', '-m', 'immediate', 'stop' ]);

# The last minute's messages are good
my $n = 0;
$reco->wait_until('a minute of good messages ends it', sub {
	$reco->produce(event('page_view', $n % 50, 'p' . ($n++ % 20 + 1)));
	return status('ingest', 'health') eq 'ok';
}, 120);
ok(logged('LOG:  reco ingest: hardly any message is rejected'), 'the log says so');

# Off, and without the library
$reco->set('reco.enabled', 'off');
$reco->wait_for('off', q{SELECT bool_and(health = 'off') FROM reco_status() WHERE component IN ('ingest', 'follow', 'publish', 'state')});
$reco->set('reco.enabled', 'on');
all_ok('on');
$reco->verify('at the end');
$reco->down('postgres');
$reco->up('postgres', '-c', 'shared_preload_libraries=');
like($reco->sql_error('SELECT * FROM reco_status()'), qr/55000: .*shared_preload_libraries/s, 'without the library there is a clear error');

done_testing;
