# A client's transaction that inserts events commits like any other: it is on disk, and at the synchronous standbys, when
# the client learns of it; but nobody waits for its disk or its standby with it. One that waits too long for reco's lock,
# or is cancelled while it does, is rolled back whole. COPY of many events needs little memory.
use strict;
use warnings;
use IPC::Run;
use RecoTest;
use Test::More;

my $reco = RecoTest->start(services => [qw(postgres)],
	settings => { 'reco.popularity_interval' => '1h', 'wal_writer_delay' => '10s', 'wal_writer_flush_after' => '1GB', 'fsync' => 'on' });
$reco->sql("INSERT INTO public.products SELECT 'p' || i, 'c' || i % 4 FROM generate_series(1, 20) i");
$reco->sql('CREATE TABLE orders (id int)');
$reco->wait_for('the mirror', 'SELECT count(*) FROM reco.product', 20);

sub view { my ($user) = @_; return "INSERT INTO reco.activity VALUES ('page_view', $user, 'p1', NULL, now());"; }

# When COMMIT returns, WAL has been flushed that far, although nothing else flushes it for 10 s.
my $session = $reco->session;
my ($client) = $session->say('SELECT pg_backend_pid();') =~ /(\d+)/;
for my $number (1 .. 5)
{
	is($session->say('BEGIN; ' . view(1) . " INSERT INTO orders VALUES ($number); SELECT pg_current_wal_insert_lsn() AS written \\gset\n COMMIT; SELECT pg_current_wal_flush_lsn() >= :'written';"),
		"t\n", "commit $number is flushed");
}
is($session->say("SET synchronous_commit = off; SELECT pg_current_wal_flush_lsn() AS flushed \\gset\nBEGIN; " . view(1) . " INSERT INTO orders VALUES (6); COMMIT; SHOW synchronous_commit; SELECT pg_current_wal_flush_lsn() = :'flushed';"),
	"off\nt\n", 'with synchronous_commit = off it is not');
is($session->say('SET synchronous_commit = on; BEGIN; SET LOCAL synchronous_commit = local; ' . view(1) . ' COMMIT; SHOW synchronous_commit;'), "on\n",
	'the setting is as it was, after COMMIT');
is($session->say('BEGIN; ' . view(1) . ' INSERT INTO orders VALUES (7); ROLLBACK; SHOW synchronous_commit;'), "on\n", 'and after ROLLBACK');

# It waits for a standby that is not there, with its locks released.
my $lock = q{SELECT count(*) FROM pg_locks WHERE locktype = 'object' AND classid = 'pg_extension'::regclass AND mode = 'ExclusiveLock' AND granted};
$reco->set('synchronous_standby_names', 'nobody');
$session->{in} .= 'BEGIN; ' . view(2) . " INSERT INTO orders VALUES (8); COMMIT;\n\\echo over\n";
$session->{out} = '';
$session->{run}->pump_nb;
$reco->wait_for('COMMIT waits for the standby', "SELECT wait_event FROM pg_stat_activity WHERE pid = $client", 'SyncRep');
is($reco->sql('SELECT pid FROM pg_locks WHERE pid = ' . $client . q( AND locktype = 'object')), '', 'without a lock');
is($reco->sql('SET synchronous_commit = local; ' . view(3) . ' SELECT count(*) FROM reco.user_state WHERE user_id IN (2, 3)'), 2, 'others commit, and see it');
$reco->sql("SELECT pg_cancel_backend($client)");
$session->{run}->pump until $session->{out} =~ /^over$/m;
like($session->{out}, qr/WARNING: +canceling wait for synchronous replication/, 'and may be told not to wait');
$reco->set('synchronous_standby_names', '');
is($reco->sql('SELECT count(*) FROM reco_verify()'), 0, 'reco_verify() finds nothing');

# What a client was told is there after a crash.
$session->say('BEGIN; ' . view(2) . ' INSERT INTO orders VALUES (9); COMMIT;');
$reco->crash('postgres');
eval { $session->close };
$reco->up('postgres');
is($reco->sql('SELECT count(*) FROM orders WHERE id = 9'), 1, 'an order after a crash');
$reco->wait_for('the mirror', 'SELECT count(*) FROM reco.product', 20);

# The lock is waited for as long as the client likes.
$session = $reco->session;
my $holder = $reco->session;
$holder->say('BEGIN; SELECT reco_sweep();');
my $said = $session->say("SET lock_timeout = '200ms'; BEGIN; " . view(4) . ' INSERT INTO orders VALUES (10); COMMIT;');
like($said, qr/canceling statement due to lock timeout.*CONTEXT: +recommendations brought up to date at commit/s, 'a lock that takes too long');
is($reco->sql('SELECT count(*) FROM orders WHERE id = 10') . $reco->sql('SELECT count(*) FROM reco.activity WHERE user_id = 4'), '00', 'and nothing of it stays');
($client) = $session->say('SET lock_timeout = 0; SELECT pg_backend_pid();') =~ /(\d+)/;
$session->{in} .= 'BEGIN; ' . view(4) . " INSERT INTO orders VALUES (10); COMMIT;\n\\echo over\n";
$session->{out} = '';
$session->{run}->pump_nb;
$reco->wait_for('it waits', "SELECT count(*) FROM pg_locks WHERE pid = $client AND NOT granted", 1);
$reco->sql("SELECT pg_cancel_backend($client)");
$session->{run}->pump until $session->{out} =~ /^over$/m;
like($session->{out}, qr/canceling statement due to user request/, 'and is cancelled');
$holder->say('COMMIT;');
is($session->say('SHOW search_path; SELECT current_user = session_user;'), qq("\$user", public\nt\n), 'the session is what it was');
is($session->say(view(4)), '', 'and goes on');

# A million events, most of which wait in a file.
$session->say("SET work_mem = '1MB'; SET temp_file_limit = -1;");
$said = $session->say(q{BEGIN; INSERT INTO reco.activity SELECT 'page_view', i % 1000, 'p' || i % 20 + 1, NULL, now() FROM generate_series(1, 1000000) i;
	SELECT sum(total_bytes) < 20000000 FROM pg_backend_memory_contexts; COMMIT;});
is($said, "t\n", 'a million events need little memory');
is($reco->sql('SELECT sum(view_count) FROM reco.window_count'), 1000001, 'all of them count');
is($reco->sql('SELECT count(*) FROM reco_verify()'), 0, 'reco_verify() finds nothing');
is($reco->sql("SELECT count(*) FROM pg_ls_tmpdir()"), 0, 'no file is left behind');

$_->close for $session, $holder;
done_testing;
