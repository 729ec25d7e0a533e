# Who answers in Redis's place may say anything, or nothing: the publisher's memory and patience are bounded, what it says
# is fit to be shown, and when Redis is back the publisher goes on without a restart.
use strict;
use warnings;
use RecoTest;
use IPC::Run;
use Test::More;

my $reco = RecoTest->start(services => [qw(postgres redis)], settings => { 'reco.popularity_interval' => '1h' });
my ($in, $ports) = ('', '');
my $fakes = IPC::Run::start([ "$RecoTest::lib/fake_redis.py" ], '<', \$in, '>', \$ports);
my $secret = 'open sesame';
my $password_file = "$reco->{dir}/password";

$fakes->pump until $ports =~ /\n\n/;
my %port = $ports =~ /^(\w+) (\d+)$/mg;

$reco->sql(q{INSERT INTO public.products SELECT 'p' || i, 'category ' || i % 10 FROM generate_series(1, 100) i});
$reco->wait_for('the mirror', 'SELECT count(*) FROM reco.product', 100);
$reco->sql(q{INSERT INTO reco.activity SELECT 'page_view', i, 'p' || 1 + i % 100, NULL, now() FROM generate_series(1, 500) i});
$reco->verify('published');

open(my $out, '>', $password_file) or die;
print $out "$secret\n";
close $out;
chmod 0600, $password_file;
chown((getpwnam('postgres'))[2], -1, $password_file) if $> == 0;

sub slurp
{
	open(my $file, '<:raw', shift) or die;
	local $/;
	return scalar <$file>;
}

sub publish_says { return $reco->sql(q{SELECT last_error FROM reco_status() WHERE component = 'publish'}); }

# The greatest memory that the running publisher has had, in kB.
my $most = 0;

sub note_memory
{
	my $pid = $reco->sql(q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'reco publish'});

	return unless $pid && open(my $status, '<', "/proc/$pid/status");
	for (<$status>) { $most = $1 if /^RssAnon:\s+(\d+)/ && $1 > $most; }
}

# What each must be answered with.
my $protocol = qr/invalid reply from Redis/;
my %expected = (
	(map { $_ => $protocol } qw(bulk_without_end bulk_announced elements_without_end line_without_end nested_without_end
		huge_array huge_number negative_length negative_count no_number push resp3_map garbage tls http says_hello
		integer array array_of_arrays)),
	replies_without_end => qr/more than was asked for|reply without a command|unexpected type|invalid reply|closed/,
	drip => qr/answers too slowly|no answer/,
	silent => qr/no answer within/,
	not_utf8 => qr/ERR \?\? caf(\xc3\xa9)/,
	cut_character => qr/ERR (\xc3\xa9){90,100}(;|$)/,
	repeats_command => qr/repeats the password/,
	half => qr/closed the connection/,
	closes => qr/closed the connection|reset by peer/);

for my $name (sort keys %expected)
{
	$reco->set('reco.redis_password_file', $name eq 'repeats_command' ? $password_file : '');
	$reco->set('reco.redis_url', "redis://127.0.0.1:$port{$name}/1");
	$reco->wait_until("$name: reco_status() says so", sub { note_memory(); publish_says() =~ /^(?=.*:$port{$name}\b).*$expected{$name}/ }, 40);
}
unlike(slurp("$reco->{dir}/postgres.log"), qr/\Q$secret\E|^FATAL:  forged|\x1b|PANIC|terminated by signal/m, 'the log is clean');
cmp_ok($most, '<', 200 * 1024, "the publisher's memory is bounded ($most kB)");

# A client's own connection: the same bounds, and it can be interrupted.
for my $name (qw(silent drip))
{
	$reco->set('reco.redis_url', "redis://127.0.0.1:$port{$name}/1");
	like($reco->sql_error("SET statement_timeout = '2s'; SELECT count(*) FROM reco_redis_verify()"), qr/57014/,
		"$name: reco_redis_verify() can be interrupted");
}

# Values of 8 MB for 64 users and a window: what differs is shown, all of it is kept nowhere.
$reco->set('reco.enabled', 'off');
$reco->sql('DELETE FROM reco.activity WHERE user_id > 64');
$reco->set('reco.redis_url', "redis://127.0.0.1:$port{long_values}");
my ($shown, $kept) = split /\n/, $reco->sql(q{SELECT replace(min(found), repeat('x', 8192), 'the beginning') || ' ' || count(*) FROM reco_redis_verify() WHERE key ~ '^\d+$';
	SELECT substring(pg_read_file('/proc/self/status') from 'VmHWM:\s+(\d+)')});
like($shown, qr/^the beginning\.\.\. \(8000000 bytes\) 64$/, 'a long value is shown by its beginning');
cmp_ok($kept, '<', 200 * 1024, "the memory of reco_redis_verify() is bounded ($kept kB)");
$reco->set('reco.enabled', 'on');

$reco->set('reco.redis_url', "redis://127.0.0.1:$ENV{REDIS_PORT}");
$reco->verify('Redis again', 60);

$fakes->kill_kill;
done_testing;
