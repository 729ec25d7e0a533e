# What kinds of Redis there are: a node of a cluster, a Sentinel, a replica, one that is full, protected, loading, or lets us
# do a part only. The publisher says what is wrong and what to do, sends little meanwhile, and goes on by itself.
use strict;
use warnings;
use RecoTest;
use IO::Socket::INET;
use IPC::Run;
use Test::More;
use Time::HiRes qw(sleep);

my $reco = RecoTest->start(services => [qw(postgres redis)], settings => { 'reco.popularity_interval' => '1h' });
my $lists = 2000;
my @started;

$reco->sql(q{INSERT INTO public.products SELECT 'p' || i, 'category ' || i % 10 FROM generate_series(1, 100) i});
$reco->wait_for('the mirror', 'SELECT count(*) FROM reco.product', 100);
$reco->sql("INSERT INTO reco.activity SELECT 'page_view', i, 'p' || 1 + i % 100, NULL, now() FROM generate_series(1, $lists) i");
$reco->verify('published');

sub publish { my ($what) = @_; return $reco->sql("SELECT $what FROM reco_status() WHERE component = 'publish'"); }

sub says
{
	my ($name, $pattern, $seconds) = @_;

	return $reco->wait_until("$name: reco_status() says so", sub { publish("health || ' ' || last_error") =~ /^(failing|waiting) .*$pattern/ }, $seconds // 40);
}

# Commands that the server at hand has been sent by name.
sub calls
{
	my ($command) = @_;

	return $reco->redis(qw(INFO commandstats)) =~ /cmdstat_\Q$command\E:calls=(\d+)/ ? $1 : 0;
}

# Another redis-server with these options; returns its port.
sub server
{
	my ($name, @options) = @_;
	my $dir = "$reco->{dir}/$name";
	my $port;

	do { $port = 20000 + int rand 5000 } while (IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port));
	mkdir $dir or die;
	push @started, IPC::Run::start([ 'redis-server', @options, '--port', $port, '--bind', '127.0.0.1', '--dir', $dir, '--save', '' ],
		'<', '/dev/null', '>', "$dir/log", '2>&1');
	local $ENV{REDIS_PORT} = $port;
	sleep 0.05 until eval { $reco->redis('PING') } || $@ =~ /NOAUTH|DENIED/;
	return $port;
}

END { my $status = $?; $_->kill_kill for @started; $? = $status; }

# How often the log says that Redis is right again.
sub answers_again { my ($path, $count) = ("$reco->{dir}/postgres.log", 0); open(my $log, '<', $path) or die $!; /Redis answers again/ && $count++ while <$log>; return $count; }

sub use_redis { my ($port, $rest) = @_; $reco->set('reco.redis_url', "redis://127.0.0.1:$port" . ($rest // '')); }

# 1. Not to be published to at all.
my $port = server('cluster', qw(--cluster-enabled yes));
use_redis($port);
says('a cluster', qr/node of a Redis Cluster.*hint: .*Cluster/);
{
	local $ENV{REDIS_PORT} = $port;
	is(calls('set') + calls('getset'), 0, 'a cluster: nothing is written');
}
like($reco->sql_error("SET statement_timeout = '50s'; SELECT count(*) FROM reco_redis_verify()"), qr/0A000:.*node of a Redis Cluster/,
	'reco_redis_verify() says so too');

my $conf = "$reco->{dir}/sentinel.conf";
open(my $file, '>', $conf) or die;
close $file;
use_redis(server('sentinel', $conf, '--sentinel'));
says('a Sentinel', qr/Redis Sentinel.*hint: .*primary/);

# 2. It refuses for now: one command finds out, the lists are not sent again and again.
$port = server('other');
use_redis($port);
{
	local $ENV{REDIS_PORT} = $port;
	$reco->verify('another Redis', 60);

	$reco->redis(qw(CONFIG SET maxmemory 1));
	$reco->sql("INSERT INTO reco.activity SELECT 'page_view', i, 'p' || 2 + i % 90, NULL, now() FROM generate_series(1, $lists) i");
	says('full', qr/OOM.*hint: Raise/);
	my $before = calls('set');
	$reco->sql('SELECT pg_reload_conf()') for 1 .. 3;    # each ends the pause after failures
	my $errors = publish(q{(detail->>'failures')::int});
	$reco->wait_until('it tries again', sub { publish(q{(detail->>'failures')::int}) > 2 });
	cmp_ok(calls('set') - $before, '<', 50, 'full: hardly anything is sent again');
	$reco->redis(qw(CONFIG SET maxmemory 0));
	$reco->verify('room again', 60);

	# A replica.
	$reco->redis('REPLICAOF', '127.0.0.1', $port == 1 ? 2 : 1);
	$reco->sql(q{INSERT INTO reco.activity VALUES ('page_view', 1, 'p50', NULL, now())});
	says('a replica', qr/READONLY.*hint: .*primary/);
	$reco->redis(qw(REPLICAOF NO ONE));
	$reco->verify('a primary again', 60);

	# Disk errors.
	$reco->redis(qw(CONFIG SET min-replicas-to-write 1));
	says('too few replicas', qr/NOREPLICAS.*hint: /);
	$reco->redis(qw(CONFIG SET min-replicas-to-write 0));
	$reco->verify('enough again', 60);

	# Keys of another type give way, the stamp's too, which makes everything be sent again.
	for my $key ('reco:stamp', 77)
	{
		$reco->redis('EVAL', "redis.call('DEL', KEYS[1]) return redis.call('RPUSH', KEYS[1], 'x')", 1, $key);
	}
	$reco->wait_until('a list of another type gives way', sub { $reco->redis('TYPE', 77) eq 'string' });
	is($reco->redis('TYPE', 'reco:stamp'), 'string', 'so does the stamp');
	$reco->verify('keys of ours are right', 60);
}

# 3. Rights: one that lacks a command sends what it may once, not each time.
my $rights = '+auth +select +get +getset +mget +set +del +hset +hgetall +type +ttl +expire +multi +exec';
my $password_file = "$reco->{dir}/password";
open($file, '>', $password_file) or die;
print $file "pw\n";
close $file;
chmod 0600, $password_file;
chown((getpwnam('postgres'))[2], -1, $password_file) if $> == 0;
$port = server('acl');
{
	local $ENV{REDIS_PORT} = $port;
	$reco->redis(qw(ACL SETUSER reco on >pw ~* -@all), split / /, $rights);
	$reco->set('reco.redis_password_file', $password_file);
	$reco->set('reco.redis_url', "redis://reco\@127.0.0.1:$port");
	says('no right to SCAN', qr/NOPERM.*hint: .*ACL/);
	$reco->sql('SELECT pg_reload_conf()');
	$reco->wait_until('it tries again', sub { publish(q{(detail->>'failures')::int}) > 2 });
	cmp_ok(calls('set'), '<', 1.5 * $lists, 'everything is sent once');
	cmp_ok(calls('set'), '>=', $lists, 'all of it');
	$reco->sql(q{INSERT INTO reco.activity VALUES ('page_view', 987654, 'p50', NULL, now())});
	$reco->wait_until('what changes is still published', sub { $reco->redis('EXISTS', 987654) eq '1' });
	$reco->redis(qw(ACL SETUSER reco +scan));
	$reco->verify('with the rights that the documentation names', 60);

	$reco->redis(qw(ACL SETUSER reco resetkeys ~reco:*));
	$reco->sql("INSERT INTO reco.activity SELECT 'page_view', i, 'p' || 2 + i % 80, NULL, now() FROM generate_series(1, $lists) i");
	my $before = calls('set');
	says('no right to the keys', qr/NOPERM/);
	$reco->sql('SELECT pg_reload_conf()');
	$reco->wait_until('it tries again', sub { publish(q{(detail->>'failures')::int}) > 2 });
	$reco->redis(qw(ACL SETUSER reco allkeys));
	$reco->verify('all keys again', 60);

	# windows may be written, lists may not: what is refused is not over while it waits
	$reco->wait_until('the log has no warning that is so new that another would be left out',
		sub { publish(q{last_error_at < clock_timestamp() - interval '11 s'}) eq 't' });
	my $over = answers_again();
	$reco->redis(qw(ACL SETUSER reco -set));
	$reco->sql(q{INSERT INTO reco.activity SELECT 'page_view', i, 'p60', NULL, now() FROM generate_series(1, 5) i});
	says('no right to SET', qr/NOPERM/);
	$reco->sql('SELECT pg_reload_conf()');
	$reco->wait_until('it tries again', sub { publish(q{(detail->>'failures')::int}) > 2 });
	is(answers_again() - $over, 0, 'the log does not say that it is over');
	$reco->redis(qw(ACL SETUSER reco +set));
	$reco->verify('SET again', 60);
	is(answers_again() - $over, 1, 'but when it is');

	$reco->redis(qw(ACL SETUSER reco off));
	$reco->redis(qw(CLIENT KILL TYPE normal SKIPME yes));
	says('a user that is disabled', qr/WRONGPASS.*hint: .*password_file/);
	$reco->redis(qw(ACL SETUSER reco on));
	$reco->verify('enabled again', 60);
}

# 4. Protected mode and a version that is too old are told by what they say.
my ($in, $ports) = ('', '');
push @started, IPC::Run::start([ "$RecoTest::lib/fake_redis.py", qw(protected loading too_old) ], '<', \$in, '>', \$ports);
$started[-1]->pump until $ports =~ /\n\n/;
my %port = $ports =~ /^(\w+) (\d+)$/mg;
$reco->set('reco.redis_password_file', '');
use_redis($port{protected});
says('protected mode', qr/DENIED.*hint: Redis is in protected mode/);
use_redis($port{loading});
says('loading', qr/LOADING.*hint: /);
use_redis($port{too_old});
says('too old', qr/too old.*hint: Use Redis 4/);

use_redis($ENV{REDIS_PORT});
$reco->verify('the first Redis again', 60);

done_testing;
