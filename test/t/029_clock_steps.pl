# The server's clock is set ahead by an hour and back, as NTP or the resume of a machine does: reco's own time waits, nothing else does.
use strict;
use warnings;
use IPC::Run;
use RecoTest;
use Test::More;

my $reco = RecoTest->start(partitions => 1);
my $clock = "$reco->{dir}/clock";
my @as_postgres = $> == 0 ? qw(runuser -u postgres --) : ();

sub step_clock
{
	my ($seconds) = @_;

	open my $file, -e $clock ? '+<' : '>', $clock or die $!;
	syswrite $file, pack('q', $seconds) or die $!;
	close $file;
}

sub in_redis { my ($user) = @_; return $reco->redis('GET', $user) // ''; }

# An event is ingested and its list published; a change of the catalog is followed.
sub all_goes_on
{
	my ($name, $user, $product) = @_;

	$reco->sql("INSERT INTO public.products VALUES ('$product', 'c')");
	$reco->produce(event('page_view', $user, 'a'));
	$reco->wait_for("$name: the catalog is followed, and the event counts",
		"SELECT '$product' = ANY (recommended_products) FROM reco.user_recommendations WHERE user_id = $user", 't', 20);
	$reco->wait_until("$name: Redis has the list", sub { in_redis($user) =~ /"\Q$product\E"/ });
	is($reco->sql(q{SELECT count(*) FROM reco_status() WHERE component IN ('follow', 'publish') AND health <> 'ok'}), 0, "$name: the workers are well");
}

$reco->sql("INSERT INTO public.products VALUES ('a', 'c')");
$reco->down('postgres');
step_clock(0);
RecoTest::_run([ 'cc', '-Wall', '-shared', '-fPIC', '-o', "$reco->{dir}/stepped_clock.so", "$RecoTest::lib/stepped_clock.c" ]);
RecoTest::_run([ @as_postgres, 'env', "LD_PRELOAD=$reco->{dir}/stepped_clock.so", "STEPPED_CLOCK=$clock", 'pg_ctl', '-D', "$reco->{dir}/data", '-l', "$reco->{dir}/postgres.log", '-o', "-p $ENV{PGPORT}", '-w', 'start' ]);
symlink 'data/postmaster.pid', "$reco->{dir}/postgres.pid" or die $!;		# by which the services know it
all_goes_on('before', 1, 'p1');
my $before = $reco->sql('SELECT extract(epoch FROM clock)::bigint FROM reco.state');

step_clock(3600);
$reco->wait_for('the clock follows the wall clock ahead', "SELECT extract(epoch FROM clock) >= $before + 3600 FROM reco.state");
all_goes_on('ahead', 2, 'p2');
my $ahead = $reco->sql('SELECT clock FROM reco.state');

step_clock(0);
all_goes_on('back', 3, 'p3');
is($reco->sql("SELECT clock >= '$ahead' FROM reco.state"), 't', "reco's own clock never goes back");
$reco->wait_for('and the status says that it waits', <<'END');
SELECT health = 'waiting' AND state ~ 'clock in reco.state is ahead' OR last_error ~ 'clock in reco.state is ahead' FROM reco_status() WHERE component = 'ingest'
END
all_goes_on('back for a while', 4, 'p4');
step_clock(-86400);
all_goes_on('a day back', 5, 'p5');
$reco->down('postgres');
$reco->up('postgres');
all_goes_on('the clock as it was', 6, 'p6');
done_testing;
