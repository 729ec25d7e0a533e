# What Redis refuses, who else writes to it, other settings: the publisher says why, loses nothing, and needs no restart.
use strict;
use warnings;
use RecoTest;
use Test::More;

my $reco = RecoTest->start(services => [qw(postgres redis)], settings => { 'reco.popularity_interval' => '1h' });

$reco->sql(q{INSERT INTO public.products SELECT 'p' || i, 'category ' || i % 10 FROM generate_series(1, 100) i});
$reco->wait_for('the mirror', 'SELECT count(*) FROM reco.product', 100);

sub view
{
	my ($user, $product) = @_;

	$reco->sql("INSERT INTO reco.activity VALUES ('page_view', $user, '$product', NULL, now())");
}

sub status_of_publish { return $reco->sql("SELECT $_[0] FROM reco_status() WHERE component = 'publish'"); }

sub resyncs { return $reco->sql("SELECT value FROM reco.counters() WHERE name = 'publish.resyncs'"); }

sub wait_for_error
{
	my ($name, $pattern) = @_;

	return $reco->wait_until($name, sub { status_of_publish('last_error') =~ $pattern });
}

view($_, 'p' . $_ % 100) for 1 .. 20;
$reco->verify('published');
my $sent = resyncs();

# A publisher that dies goes on where it was.
$reco->sql('SELECT pg_terminate_backend(' . status_of_publish('pid') . ')');
view(1, 'p50');
$reco->verify('publisher ended');
is(resyncs(), $sent, 'a new publisher goes on without sending everything');

# Refusals: nothing is dropped.
$reco->redis(qw(REPLICAOF 127.0.0.1 1));
view(2, 'p51');
wait_for_error('a replica refuses writes', qr/READONLY/);
$reco->redis(qw(REPLICAOF NO ONE));
$reco->verify('writable again');

$reco->redis(qw(CONFIG SET maxmemory 1));
view(3, 'p52');
wait_for_error('a full Redis refuses writes', qr/OOM/);
$reco->redis(qw(CONFIG SET maxmemory 0));
$reco->verify('room again');

# A password comes from a file, and stands nowhere else.
my $file = "$reco->{dir}/password";
open(my $out, '>', $file) or die;
print $out "open sesame\n";
close $out;
chmod 0600, $file;
chown((getpwnam('postgres'))[2], -1, $file) if $> == 0;
$reco->redis(qw(CONFIG SET requirepass), 'open sesame');
{
	local $ENV{REDISCLI_AUTH} = 'open sesame';
	$reco->redis(qw(CLIENT KILL TYPE normal SKIPME yes));
	wait_for_error('a password is missed', qr/NOAUTH/);
	$reco->set('reco.redis_password_file', $file);
	view(4, 'p53');
	$reco->verify('with the password');
	$reco->redis(qw(CONFIG SET requirepass), '');
	$reco->set('reco.redis_password_file', '');
}
like($reco->sql_error("ALTER SYSTEM SET reco.redis_url = 'redis://me:secret\@127.0.0.1:$ENV{REDIS_PORT}'"),
	qr/invalid value for parameter "reco.redis_url"\nDETAIL:  A Redis URL must not hold a password/, 'a password in the URL is refused');
like($reco->sql_error("ALTER SYSTEM SET reco.redis_url = 'http://127.0.0.1'"), qr/begins with redis:/, 'so is another scheme');

# Other keys, another database.
$reco->set('reco.redis_user_key', 'shop:{user_id}[list]');
$reco->verify('another template');
like($reco->redis('GET', 'shop:4[list]'), qr/^\{"user_id":4,"recommended_products":\["/, 'its keys are there');
$reco->redis('SET', 'shop:99[list]', '{"user_id":99,"recommended_products":["gone"]}');
is($reco->sql('SELECT key, found FROM reco_redis_verify()'), 'shop:99[list]|{"user_id":99,"recommended_products":["gone"]}',
	'a key left over is found by the template');
$reco->redis('DEL', 'reco:stamp');
$reco->wait_until('and goes when everything is sent', sub { $reco->redis('EXISTS', 'shop:99[list]') eq '0' });
$reco->set('reco.redis_user_key', '{user_id}');
$reco->set('reco.redis_url', "redis://127.0.0.1:$ENV{REDIS_PORT}/1");
$reco->verify('another database');
is($reco->redis('-n', 1, 'EXISTS', 4), '1', 'it holds the keys');

# An older copy that became the primary; a server that was promoted.
$reco->set('reco.redis_url', "redis://127.0.0.1:$ENV{REDIS_PORT}");
$reco->verify('back');
$sent = resyncs();
my ($system, $timeline, $counter) = split /:/, $reco->redis('GET', 'reco:stamp');
$reco->redis('SET', 'reco:stamp', join(':', $system, $timeline, $counter - 1_000_000));
$reco->wait_until('an older copy is noticed, and everything sent', sub { resyncs() > $sent });
$reco->verify('an older copy');
$reco->redis('SET', 'reco:stamp', join(':', $system, $timeline + 1, $counter));
wait_for_error('a publisher on a newer timeline stops this one', qr/newer timeline/);
view(5, 'p54');
$reco->redis('SET', 'reco:stamp', join(':', $system, $timeline, 1));
$reco->verify('alone again', 60);

# A client that changes many lists at once.
$reco->sql(q{INSERT INTO reco.activity SELECT 'page_view', i, 'p' || i % 100, NULL, now() FROM generate_series(1, 20000) i});
$reco->verify('a large transaction', 60);

done_testing;
