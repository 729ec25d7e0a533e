# What messages may do to the worker and to reco.rejected: characters that the database's encoding lacks cost no batch its transaction,
# refused messages are kept within bounds, and numbers in reco.offsets that no partition has are no index.
use strict;
use warnings;
use RecoTest;
use Test::More;

my $reco = RecoTest->start(services => [qw(kafka postgres)], partitions => 1, extension => 0,
	settings => { 'reco.database' => 'latin', 'reco.max_message_bytes' => '4kB', 'reco.rejected_max_bytes' => '64kB' });

sub latin { return $reco->sql(shift, 'latin'); }

sub arrived
{
	my ($name, $query, $expected, $seconds) = @_;

	return $reco->wait_until($name, sub { latin($query) eq $expected }, $seconds) || diag(latin($query));
}

sub counter { return latin("SELECT value FROM reco.counters() WHERE name = 'ingest.$_[0]'"); }

# 1. A database in LATIN1, one message in 20 with a character that it lacks
$reco->sql("CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0");
latin('CREATE TABLE public.products (product_id text PRIMARY KEY, category text); CREATE EXTENSION reco');
$reco->set('reco.enabled', 'off');
$reco->produce(map { event('page_view', $_, $_ % 20 ? "caf\x{e9} $_" : "\x{20ac} $_") } 1 .. 2000);
$reco->set('reco.enabled', 'on');
arrived('what it has is taken', 'SELECT count(*) FROM reco.activity', 1900);
is(latin("SELECT count(*) FROM reco.activity WHERE product_id = E'caf\\xe9 1'"), 1, 'and converted');
is(latin('SELECT reason || \' \' || count(*) FROM reco.rejected GROUP BY reason'),
	q{product_id holds a character that the database's encoding lacks 100}, 'the others are rejected');
cmp_ok(counter('batches'), '<', 20, 'no batch is halved for them');

# 2. Large messages that are refused
$reco->produce(map { { bytes => 'x' x 100_000 } } 1 .. 300);
arrived('large messages are counted', q{SELECT value FROM reco.counters() WHERE name = 'ingest.rejected'}, 400);
arrived('reco.rejected keeps what its bound in bytes allows, the newest',
	q{SELECT sum(pg_column_size(r.*)) BETWEEN 32768 AND 65536 AND max("offset") = 2299 AND max(octet_length(payload)) = 1024
		AND max(payload_length) = 100000 FROM reco.rejected r}, 't');

# 3. Positions of no partition
like($reco->sql_error("INSERT INTO reco.offsets VALUES ('user_activity', -100000000, 5)", 'latin'), qr/23514/, 'a partition is not negative');
like($reco->sql_error('UPDATE reco.offsets SET next_offset = -5', 'latin'), qr/23514/, 'an offset is not negative');
my $pid = latin("SELECT pid FROM reco.workers() WHERE component = 'ingest'");
$reco->set('reco.enabled', 'off');
arrived('the worker has left', q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'reco ingest'}, 0);
latin(q{ALTER TABLE reco.offsets DROP CONSTRAINT offsets_partition_check, DROP CONSTRAINT offsets_next_offset_check;
	INSERT INTO reco.offsets VALUES ('user_activity', -100000000, 5), ('user_activity', -1, 9223372036854775807), ('user_activity', 7, -1)});
$reco->set('reco.enabled', 'on');
$reco->produce(event('page_view', 1, 'after'));
arrived('rows that mean nothing stop nothing', q{SELECT count(*) FROM reco.activity WHERE product_id = 'after'}, 1);
is(latin('SELECT count(*) FROM reco.activity'), 1901, 'and nothing is read twice');
# 4. Messages of 200 kB on the wire that inflate to 200 MB each: one at a time is unpacked, and no copy of it is made
my $inflating = 200_000_000;
my $worker = latin("SELECT pid FROM reco.workers() WHERE component = 'ingest'");
my $before = latin('SELECT next_offset FROM reco.offsets WHERE partition = 0');
sub inflating
{
	my ($name, $count, $bytes) = @_;

	is(system('/usr/bin/python3', '-c', <<"END"), 0, $name);
import confluent_kafka
for _ in range($count):
    producer = confluent_kafka.Producer({'bootstrap.servers': '$ENV{KAFKA}', 'message.max.bytes': 1000000000, 'compression.codec': 'gzip',
                                         'queue.buffering.max.kbytes': 2097151})
    producer.produce('$reco->{topic}', b'x' * $bytes)
    assert producer.flush(60) == 0
END
}
inflating('messages that inflate are sent', 3, $inflating);
arrived('they are passed by', "SELECT next_offset = $before + 3 FROM reco.offsets WHERE partition = 0", 't', 120);
is(latin("SELECT count(*) FROM reco.rejected WHERE payload_length = $inflating AND length(payload) = 1024"), 3, 'and refused');
is(latin(q{SELECT pid FROM reco.workers() WHERE component = 'ingest'}), $worker, 'by the same worker');
my ($peak) = latin("SELECT pg_read_file('/proc/$worker/status')") =~ /^VmHWM:\s+(\d+) kB/m;
cmp_ok($peak * 1024, '<', 1.75 * $inflating, "whose memory never held two of them ($peak kB)");
inflating('a longer one, which takes longer than an answer should', 1, 4 * $inflating);
arrived('it is passed by, too', "SELECT next_offset = $before + 4 FROM reco.offsets WHERE partition = 0", 't', 120);
$reco->set('reco.enabled', 'off');
arrived('the worker has left again', q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'reco ingest'}, 0);
$reco->set('reco.enabled', 'on');
$reco->produce(event('page_view', 1, 'behind'));
arrived('what was read last takes long to be looked at, and no partition stands still for it',
	q{SELECT count(*) FROM reco.activity WHERE product_id = 'behind'}, 1, 120);
is(latin('SELECT count(*) FROM reco.activity'), 1902, 'and nothing is read twice');
is(system('grep', '-q', 'terminated by signal', "$reco->{dir}/postgres.log") != 0, 1, 'no process crashed');

done_testing;
