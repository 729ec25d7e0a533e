# One Redis, several who would publish to it: one does, the others say whose it is and leave it alone; who is gone is
# followed by another without being asked. A database that takes another's place is another state.
use strict;
use warnings;
use RecoTest;
use IO::Socket::INET;
use IPC::Run;
use Test::More;

my @names = qw(PGHOST PGPORT PGUSER PGDATABASE PGDATA PATH);
my $first = RecoTest->start(services => [qw(postgres redis)], settings => { 'reco.popularity_interval' => '1h', 'max_wal_senders' => 4 });
my $redis_port = $ENV{REDIS_PORT};
my $settings = { 'reco.popularity_interval' => '1h', 'reco.redis_url' => "redis://127.0.0.1:$redis_port/0" };

# The rest is done on a server.
sub on
{
	my ($server, $do) = @_;

	local @ENV{@names} = @{ $server->{place} };
	return $do->();
}

sub note_place { my ($server) = @_; $server->{place} = [ @ENV{@names} ]; return $server; }

sub fill
{
	my ($server, $from, $to) = @_;

	$server->sql("INSERT INTO reco.activity SELECT 'page_view', i, 'p' || 1 + i % 100, NULL, now() FROM generate_series($from, $to) i");
}

sub add_products
{
	my ($server) = @_;

	$server->sql(q{INSERT INTO public.products SELECT 'p' || i, 'category ' || i % 10 FROM generate_series(1, 100) i});
	$server->wait_for('the mirror', 'SELECT count(*) FROM reco.product', 100);
}

sub publish { my ($server, $what) = @_; return $server->sql("SELECT $what FROM reco_status() WHERE component = 'publish'"); }

sub counted { my ($server, $name) = @_; return $server->sql("SELECT value FROM reco.counters() WHERE name = 'publish.$name'"); }

sub system_of { return shift->sql('SELECT system_identifier FROM pg_control_system()'); }

sub without_workers
{
	my ($server, $do) = @_;

	$server->set('reco.enabled', 'off');
	$server->wait_until('the workers leave', sub
	{
		$server->sql(q{SELECT count(*) FROM pg_stat_activity WHERE datname = 'shop' OR backend_type ~ 'reco (ingest|follow|publish)'}, 'postgres') eq '0'
	});
	$do->();
	$server->sql("ALTER SYSTEM SET reco.enabled = 'on'", 'postgres');
	$server->sql('SELECT pg_reload_conf()', 'postgres');
}

note_place($first);

# 1. Another database under the name: a copy made before is put in its place.
add_products($first);
fill($first, 1, 50);
$first->verify('published');
without_workers($first, sub { $first->sql('CREATE DATABASE copy TEMPLATE shop', 'postgres') });
fill($first, 51, 100);
$first->verify('more');
is($first->redis('EXISTS', 77), 1, 'a list that the copy does not have');
without_workers($first, sub
{
	$first->sql('DROP DATABASE shop', 'postgres');
	$first->sql('ALTER DATABASE copy RENAME TO shop', 'postgres');
});
$first->wait_until('the keys of the database before are gone', sub { $first->redis('EXISTS', 77) eq '0' });
is($first->redis('EXISTS', 33), 1, 'those of the present one are there');
$first->verify('another database');

# The same oids, another state: created again with the oid of the one before.
without_workers($first, sub { $first->sql('CREATE DATABASE copy TEMPLATE shop', 'postgres') });
fill($first, 101, 150);
$first->verify('more again');
without_workers($first, sub
{
	my $oid = $first->sql(q{SELECT oid FROM pg_database WHERE datname = 'shop'}, 'postgres');

	$first->sql('DROP DATABASE shop', 'postgres');
	$first->sql("CREATE DATABASE shop TEMPLATE copy OID $oid", 'postgres');
});
$first->wait_until('an equal oid does not deceive', sub { $first->redis('EXISTS', 133) eq '0' });
$first->verify('the same oid');

# 2. Another system: it stops, says whose Redis is, and touches nothing.
my $second = note_place(RecoTest->start(services => ['postgres'], settings => $settings));
my $resyncs = on($first, sub { counted($first, 'resyncs') });

add_products($second);
fill($second, 501, 520);
my $system = on($first, sub { system_of($first) });
$second->wait_until('the second one stops and says whose Redis is',
	sub { publish($second, 'last_error') =~ /database "shop" of system identifier $system since 20\d\d-.*UTC.*hint: / });
is(publish($second, 'health'), 'failing', 'its health says so');
$second->wait_until('it goes on looking', sub { publish($second, 'clock_timestamp() > last_error_at + interval \'8 s\' OR lag_seconds > 8') eq 't' });
is(counted($second, 'published'), 0, 'it has sent nothing');
is($first->redis('EXISTS', 33, 501), 1, 'only lists of the first one are there');
on($first, sub
{
	is(counted($first, 'resyncs'), $resyncs, 'the first one was not disturbed');
	fill($first, 161, 170);
	$first->verify('the first one goes on');
});

# 3. Who is gone is followed, and finds another when it comes back.
on($first, sub { $first->down('postgres') });
$second->wait_until('the second one takes over', sub { $second->redis('EXISTS', 501) eq '1' }, 60);
$second->verify('taken over');
is($second->redis('EXISTS', 33), 0, 'keys of who is gone are removed');
is(publish($second, 'health'), 'ok', 'its health says so');
on($first, sub
{
	my $other = on($second, sub { system_of($second) });

	$first->up('postgres');
	note_place($first);
	$first->wait_until('the first one comes back and stops', sub { publish($first, 'last_error') =~ /system identifier $other/ }, 60);
});

# A crash: the server knows its own place again, before the other takes over.
$second->crash('postgres');
$second->up('postgres');
note_place($second);
add_products($second) if $second->sql('SELECT count(*) FROM public.products') eq '0';
fill($second, 601, 610);
$second->wait_until('after a crash it goes on', sub { $second->redis('EXISTS', 601) eq '1' }, 30);
$second->verify('after a crash');
on($first, sub { is(counted($first, 'published'), 0, 'the first one still waits'); $first->down('postgres') });

# 4. A copy of the server itself, with its system identifier; and one that is promoted.
my @clones;

sub clone
{
	my ($name, @options) = @_;
	my $clone = bless { dir => $second->{dir}, data => "$second->{dir}/$name" }, 'RecoTest';
	my @as = $> == 0 ? (qw(runuser -u postgres --)) : ();
	my $port = 1 + $ENV{PGPORT} + @clones;
	my ($out, $err);

	$port++ while IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port);
	IPC::Run::run([ @as, 'pg_basebackup', '-D', $clone->{data}, '-c', 'fast', '-X', 'stream', @options ], '>', \$out, '2>', \$err)
	  or die $err;
	my $conf = "$clone->{data}/postgresql.auto.conf";
	open(my $file, '>>', $conf) or die;
	print $file "port = $port\nreco.enabled = on\n";
	close $file;
	IPC::Run::run([ @as, 'pg_ctl', '-D', $clone->{data}, '-w', '-l', "$clone->{data}.log", 'start' ], '>', '/dev/null', '2>&1') or die;
	push @clones, $clone;
	$clone->{stop} = sub { IPC::Run::run([ @as, 'pg_ctl', '-D', $clone->{data}, '-w', '-m', 'fast', 'stop' ], '>', '/dev/null') };
	$clone->{promote} = sub { IPC::Run::run([ @as, 'pg_ctl', '-D', $clone->{data}, '-w', 'promote' ], '>', '/dev/null') };
	$clone->{place} = [ @ENV{qw(PGHOST)}, $port, @ENV{qw(PGUSER PGDATABASE)}, $clone->{data}, $ENV{PATH} ];
	return $clone;
}

END { my $status = $?; -e "$_->{data}/postmaster.pid" && $_->{stop}->() for @clones; $? = $status; }

my $own = system_of($second);
my $copy = clone('copy');
on($copy, sub
{
	$copy->wait_until('a copy of the server stops', sub { publish($copy, 'last_error') =~ /system identifier $own, a copy of this one/ }, 60);
	is(counted($copy, 'published'), 0, 'and has sent nothing');
});
fill($second, 611, 620);
$second->verify('beside its copy');
$copy->{stop}->();

my $standby = clone('standby', '-R');
$standby->{promote}->();
on($standby, sub { $standby->wait_until('one that is promoted takes over', sub { counted($standby, 'resyncs') > 0 }, 60); });
$second->wait_until('the one that was left behind stops', sub { publish($second, 'last_error') =~ /newer timeline.*timeline 2/ });
$standby->{stop}->();
$second->wait_until('and goes on when the other is gone', sub { publish($second, 'health') eq 'ok' }, 60);
fill($second, 621, 630);
$second->verify('alone again');

# 5. A publisher that was stopped for long looks before it writes.
my $pid = publish($second, 'pid');
on($first, sub { $first->up('postgres'); note_place($first); $first->wait_for('the first one waits again', "SELECT health FROM reco_status() WHERE component = 'publish'", 'failing') });
kill 'STOP', $pid;
on($first, sub { $first->wait_until('the first one takes over', sub { publish($first, 'health') eq 'ok' }, 60); fill($first, 701, 710); $first->verify('the first one') });
fill($second, 631, 640);
my $sent = counted($second, 'published');
kill 'CONT', $pid;
$second->wait_until('the one that was stopped gives way', sub { publish($second, 'last_error') =~ /system identifier $system/ });
is(counted($second, 'published'), $sent, 'and has sent nothing');
on($first, sub { $first->verify('the first one goes on') });

done_testing;
