# The follow worker finds its start point and reads on while others create, alter and drop tables.
use strict;
use warnings;
use RecoTest;
use Test::More;
use Time::HiRes qw(sleep time);

my $seconds = $ENV{RECO_TEST_SECONDS} // 24;
my $reco = RecoTest->start(services => [qw(postgres)]);
my $log = "$reco->{dir}/postgres.log";
my $follow = q(SELECT pid FROM pg_stat_activity WHERE backend_type = 'reco follow');

sub logged { my ($what) = @_; return 0 + `grep -c '$what' $log`; }

# Ends the worker; another one starts within a second or two.
sub restart { $reco->sql("SELECT pg_terminate_backend(pid) FROM ($follow) f"); return; }

my $postmaster = $reco->sql('SELECT pg_postmaster_start_time()');
$reco->wait_for('the worker follows', 'SELECT reco_follow_position() IS NOT NULL');

# A table that is committed while the start point is searched for makes the decoder invalidate its caches: in a subtransaction of the
# transaction in which the slot is made, which must not decide where the decoding context lives.
my ($first, $second) = ($reco->session, $reco->session);
for my $round (1 .. 3)
{
	my $points = logged('initial starting point');

	$first->say("BEGIN; CREATE TABLE first_$round (i int);");
	restart();
	$reco->wait_until('the search for the start point has begun', sub { logged('initial starting point') > $points });
	$second->say("BEGIN; CREATE TABLE second_$round (i int);");
	$first->say('COMMIT;');
	$second->say("CREATE TABLE third_$round (i int); COMMIT;");
	$reco->sql("INSERT INTO public.products VALUES ('product $round', 'c')");
	$reco->wait_for('it is followed', 'SELECT count(*) FROM reco.product', $round);
}
$_->close for $first, $second;

# The same without an order: DDL without end, the worker ended every 2 s.
my $ddl = <<'END';
SET client_min_messages = error;
SELECT format('CREATE TABLE x%1$s_%2$s (i int PRIMARY KEY); ALTER TABLE x%1$s_%2$s ADD j text; DROP TABLE x%1$s_%2$s', :n, i)
FROM generate_series(1, 1000000) i \gexec
END
my @busy = map { IPC::Run::start([ qw(psql -Xq -d shop -v), "n=$_" ], '<', \$ddl, '>', '/dev/null', '2>', "$reco->{dir}/ddl$_.log") } 1 .. 3;
my ($end, $n) = (time + $seconds, 0);
while (time < $end)
{
	my $next = time + 2;

	restart();
	$reco->sql(sprintf("INSERT INTO public.products VALUES ('busy %d', 'c')", ++$n));
	sleep 0.05 while time < $next;
}
$_->kill_kill for @busy;
$reco->wait_for('all is followed', 'SELECT count(*) FROM reco.product', 3 + $n, 60);
is($reco->sql('SELECT * FROM reco_verify()'), '', 'reco_verify() finds nothing');
is($reco->sql('SELECT pg_postmaster_start_time()'), $postmaster, 'the server is the same');
is(logged('terminated by signal'), 0, 'no process crashed');
cmp_ok(logged('initial starting point'), '>', 4, 'start points were searched for');

done_testing;
