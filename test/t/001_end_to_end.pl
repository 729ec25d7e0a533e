# Events go in through a real broker; tables and Redis hold what the contract says, and an application written against
# the former pipeline reads them unchanged. What is no event ends in reco.rejected and stops nothing.
use strict;
use warnings;
use RecoTest;
use Test::More;

my $reco = RecoTest->start(settings => { 'reco.max_message_bytes' => '10kB' });
my $then = time - 2 * 3600;
my $ago = 2 * 3600;

$reco->sql(<<'END');
INSERT INTO public.products VALUES
  ('run1', 'shoes/running'), ('run2', 'shoes/running'), ('run3', 'shoes/running'), ('run4', 'shoes/running'),
  ('hat1', 'hats'), ('hat2', 'hats'), ('Hat3', 'hats'), ('loose', NULL), ('blank', ''), ('trail1', 'shoes');
END

# 1. What is an event
$reco->produce(
	event('page_view', 123, 'run1', $ago), event('page_view', 123, 'run2', $ago), event('page_view', 123, 'hat1', $ago),
	event('page_view', 123, 'loose', $ago), event('page_view', 123, 'blank', $ago),
	event('page_view', '456', 'hat1', $ago), event('page_view', 456, 'hat1', $ago),
	event('page_view', -7, 'unknown to the catalog', $ago),
	event('click', 9, 'run1', $ago), event('add_to_cart', 9, 'run1', $ago), event('purchase', 9, 'run1', $ago),
	event('search', 9, 'running shoes', $ago), event('wishlist', 9, 'run1', $ago),
	event('page_view', 5, 'old', 30 * 24 * 3600));
$reco->wait_for_ingest;
is($reco->sql("SELECT user_id, array_to_string(recommended_products, ' ') FROM reco.user_recommendations ORDER BY 1"),
	"123|run3 run4 Hat3 hat2\n456|Hat3 hat2", 'lists are what the catalog and the views make them');
is($reco->sql('SELECT product_id, view_count FROM reco.trending_products ORDER BY 2 DESC, product_id COLLATE "C"'),
	"hat1|3\nblank|1\nloose|1\nrun1|1\nrun2|1\nunknown to the catalog|1", 'trending counts page views, of any product');
is($reco->sql('SELECT event_type, query FROM reco.activity WHERE user_id = 9 ORDER BY event_type COLLATE "C"'),
	"add_to_cart|\nclick|\npurchase|\nsearch|running shoes\nwishlist|", 'other events are kept too');
is($reco->sql('SELECT count(*) FROM reco.activity WHERE user_id = 5'), 0, 'a late event is dropped');
is($reco->sql('SELECT rank, product_id, reason, because FROM reco_for_user(123, 3)'),
	"1|run3|category|shoes/running\n2|run4|category|shoes/running\n3|Hat3|category|hats", 'reco_for_user() says why');
is($reco->sql("SELECT rank, product_id, view_count FROM reco_trending(1, to_timestamp($then))"), '1|hat1|3', 'reco_trending() of a time');
$reco->verify('events');

# 2. The application's code
is($reco->python(<<'END'), "['run3', 'run4', 'Hat3', 'hat2']", 'get_user_recommendations() runs unchanged');
def get_user_recommendations(user_id):
    return json.loads(redis.get(str(user_id)))['recommended_products']
print(get_user_recommendations(123))
END
my $window = RecoTest::iso($then - $then % 3600);
chop $window;
is($reco->python(<<"END"), "[('blank', '1'), ('hat1', '3'), ('loose', '1'), ('run1', '1'), ('run2', '1'), ('unknown to the catalog', '1')]", 'get_trending_products() too');
def get_trending_products(window_start):
    return redis.hgetall(f"trending:{window_start}")
print(sorted(get_trending_products('$window').items()))
END
is($reco->redis('GET', '456'), '{"user_id":456,"recommended_products":["Hat3","hat2"]}', 'the value has the documented form');
cmp_ok($reco->redis('TTL', '456'), '>', 25 * 3600 - 60, 'a user key expires, later than the views age');
is($reco->redis('EXISTS', '9'), 0, 'no list, no key');

# 3. Forms that an event may take
my $ms = $then * 1000;
my $longest = 'p' x 512;
my $recent = RecoTest::iso(time - 60);
$reco->produce(
	qq({"event_type":"page_view","user_id":"21","product_id":"run1","timestamp":$ms}),
	qq({"user_id":1,"user_id":22,"event_type":"page_view","product_id":"x","product_id":"run1","timestamp":"$recent","extra":{"a":[1,{"b":null}]}}),
	qq({"event_type":"page_view","user_id":9223372036854775807,"product_id":"run1"}),
	qq({"event_type":"page_view","user_id":-9223372036854775808,"product_id":"$longest","timestamp":"$recent"}),
	qq( {"event_type" : "page_view", "user_id":24, "product_id":"caf\\u00e9 \\ud83d\\udc5f", "timestamp":"$recent"} ),
	{ value => qq({"event_type":"page_view","user_id":25,"product_id":"run1"}), timestamp => $ms },
	qq({"event_type":"page_view","user_id":26,"product_id":"run1","timestamp":") . RecoTest::iso($then + 7200 - 60) =~ s/Z$/+02:00/r . '"}',
	qq({"event_type":"page_view","user_id":27,"product_id":"run1","timestamp":") . RecoTest::iso($then) =~ s/Z$/.250/r . '"}',
	qq({"event_type":"page_view","user_id":28,"product_id":12345678901234567890123,"timestamp":"$recent"}),
	qq({"event_type":"page_view","user_id":29,"product_id":-0,"timestamp":"$recent"}),
	{ key => 'tombstone' });
$reco->wait_for_ingest;
is($reco->sql("SELECT extract(epoch FROM \"timestamp\") = $then FROM reco.activity WHERE user_id = 21"), 't', 'a number is epoch milliseconds');
is($reco->sql('SELECT product_id FROM reco.activity WHERE user_id = 22'), 'run1', 'of a repeated key the last counts');
is($reco->sql('SELECT abs(extract(epoch FROM now() - "timestamp")) < 60 FROM reco.activity WHERE user_id = 9223372036854775807'), 't',
	'without a timestamp the message\'s own time counts');
is($reco->sql('SELECT length(product_id) FROM reco.activity WHERE user_id = -9223372036854775808'), 512, 'the longest product_id');
is($reco->sql("SELECT product_id = U&'caf\\00e9 \\+01F45F' FROM reco.activity WHERE user_id = 24"), 't', 'escapes are decoded');
is($reco->sql("SELECT extract(epoch FROM \"timestamp\") = $then FROM reco.activity WHERE user_id = 25"), 't', 'a message may have been made earlier');
is($reco->sql("SELECT extract(epoch FROM \"timestamp\") = $then - 60 FROM reco.activity WHERE user_id = 26"), 't', 'a zone counts');
is($reco->sql("SELECT extract(epoch FROM \"timestamp\") = $then + 0.25 FROM reco.activity WHERE user_id = 27"), 't', 'without a zone it is UTC');
is($reco->sql('SELECT string_agg(product_id, \' \' ORDER BY user_id) FROM reco.activity WHERE user_id IN (28, 29)'), '12345678901234567890123 -0',
	'an integer is the product_id of its digits');
is($reco->sql('SELECT count(*) FROM reco.rejected'), 0, 'nothing was refused, and the tombstone was skipped');
$reco->verify('forms');

# 4. What is none
my $later = RecoTest::iso(time + 2 * 3600);
my @bad = (
	['no JSON', 'hello'], ['an array', '[1]'], ['a string', '"a"'], ['cut off', '{"event_type":"page_view","user_id":1'],
	['more after the end', '{"event_type":"page_view","user_id":1,"product_id":"p"} x'],
	['bad UTF-8', qq({"event_type":"page_view","user_id":1,"product_id":"\xff"})],
	['an escaped NUL', '{"event_type":"page_view","user_id":1,"product_id":"a\u0000b"}'],
	['a NUL', qq({"event_type":"page_view","user_id":1,"product_id":"p"}\0)],
	['half a surrogate pair', '{"event_type":"page_view","user_id":1,"product_id":"\ud83d"}'],
	['no event_type', '{"user_id":1,"product_id":"p"}'], ['event_type empty', '{"event_type":"","user_id":1,"product_id":"p"}'],
	['event_type too long', '{"event_type":"' . 'e' x 65 . '","user_id":1}'], ['event_type a number', '{"event_type":5,"user_id":1}'],
	['no user_id', '{"event_type":"page_view","product_id":"p"}'],
	['user_id null', '{"event_type":"page_view","user_id":null,"product_id":"p"}'],
	['user_id true', '{"event_type":"page_view","user_id":true,"product_id":"p"}'],
	['user_id a fraction', '{"event_type":"page_view","user_id":1.5,"product_id":"p"}'],
	['user_id a word', '{"event_type":"page_view","user_id":"me","product_id":"p"}'],
	['user_id empty', '{"event_type":"page_view","user_id":"","product_id":"p"}'],
	['user_id an object', '{"event_type":"page_view","user_id":{"id":1},"product_id":"p"}'],
	['user_id out of range', '{"event_type":"page_view","user_id":9223372036854775808,"product_id":"p"}'],
	['user_id out of range in a string', '{"event_type":"page_view","user_id":"-9223372036854775809","product_id":"p"}'],
	(map { ["$_ without a product", qq({"event_type":"$_","user_id":1})] } qw(page_view click add_to_cart purchase)),
	['product_id empty', '{"event_type":"page_view","user_id":1,"product_id":""}'],
	['product_id null', '{"event_type":"page_view","user_id":1,"product_id":null}'],
	(map { ["product_id the number $_", qq({"event_type":"page_view","user_id":1,"product_id":$_})] } qw(5.0 1e3 -1.5)),
	['product_id true', '{"event_type":"page_view","user_id":1,"product_id":true}'],
	['product_id with too many digits', '{"event_type":"page_view","user_id":1,"product_id":' . '1' x 513 . '}'],
	['product_id too long', '{"event_type":"page_view","user_id":1,"product_id":"' . 'p' x 513 . '"}'],
	['search without a query', '{"event_type":"search","user_id":1}'], ['query a list', '{"event_type":"search","user_id":1,"query":["a"]}'],
	['timestamp a word', '{"event_type":"page_view","user_id":1,"product_id":"p","timestamp":"yesterday"}'],
	['timestamp of no day', '{"event_type":"page_view","user_id":1,"product_id":"p","timestamp":"2024-02-30T00:00:00Z"}'],
	['timestamp true', '{"event_type":"page_view","user_id":1,"product_id":"p","timestamp":true}'],
	['timestamp out of range', '{"event_type":"page_view","user_id":1,"product_id":"p","timestamp":1e300}'],
	['timestamp in the future', qq({"event_type":"page_view","user_id":1,"product_id":"p","timestamp":"$later"})],
	['empty', ''], ['too large', '{"event_type":"search","user_id":1,"query":"' . 'q' x 20000 . '"}']);
my $first = $reco->sql('SELECT next_offset FROM reco.offsets WHERE partition = 0');
my $events = $reco->sql('SELECT count(*) FROM reco.activity');
$reco->produce((map { { bytes => $_->[1], partition => 0 } } @bad), { value => event('page_view', 31, 'run1'), partition => 0 });
$reco->wait_for_ingest;
is($reco->sql('SELECT count(*) FROM reco.activity'), $events + 1, 'the event among them is taken, they are not');
for my $n (0 .. $#bad)
{
	my $row = $reco->sql('SELECT coalesce(reason, \'\') <> \'\', encode(payload, \'hex\') FROM reco.rejected '
		  . "WHERE topic = 'user_activity' AND partition = 0 AND \"offset\" = $first + $n");
	my $hex = unpack('H*', $bad[$n][1]);

	# of a payload the first kB is kept
	ok($row =~ /^t\|(.*)$/ && $1 eq substr($hex, 0, 2048), "rejected: $bad[$n][0]") or diag($row);
}
is($reco->sql('SELECT count(*) FROM reco.rejected'), scalar @bad, 'nothing else is rejected');
is($reco->sql("SELECT octet_length(payload) || ' of ' || payload_length FROM reco.rejected WHERE payload_length > 10000"),
	'1024 of ' . length($bad[-1][1]), 'and its length is told');

# Times in another unit are no late events
my $recent_s = int(time);
my %unit = (seconds => $recent_s, microseconds => "${recent_s}000000", nanoseconds => "${recent_s}000000000",
	'seconds ' => "$recent_s.25", 'seconds  ' => '1e9');
my $late = $reco->sql(q{SELECT value FROM reco.counters() WHERE name = 'ingest.below_retention'});
$reco->produce(map { qq({"event_type":"page_view","user_id":1,"product_id":"$_","timestamp":$unit{$_}}) } keys %unit);
$reco->wait_for_ingest;
is($reco->sql(q{SELECT string_agg(count, ', ' ORDER BY count) FROM (SELECT reason || ' ' || count(*) AS count FROM reco.rejected WHERE reason LIKE '%second%' GROUP BY reason) r}),
	'timestamp is in microseconds, not in milliseconds 1, timestamp is in nanoseconds, not in milliseconds 1, timestamp is in seconds, not in milliseconds 3',
	'a timestamp in another unit is rejected, and its unit named');
is($reco->sql(q{SELECT value FROM reco.counters() WHERE name = 'ingest.below_retention'}), $late, 'and not counted as late');

# 5. What PostgreSQL itself refuses
$reco->sql("ALTER TABLE reco.activity ADD CONSTRAINT no_secrets CHECK (product_id <> 'secret')");
$reco->produce((map { event('page_view', 1000 + $_, 'run1') } 1 .. 50), event('page_view', 1000, 'secret'), (map { event('page_view', 1050 + $_, 'hat1') } 1 .. 50));
$reco->wait_for_ingest;
is($reco->sql('SELECT count(*) FROM reco.activity WHERE user_id BETWEEN 1000 AND 1100'), 100, 'one refused row: its batch goes through');
is($reco->sql(q{SELECT count(*) FROM reco.rejected WHERE reason LIKE '%no_secrets%' AND convert_from(payload, 'UTF8') LIKE '%"secret"%'}), 1, 'and it is rejected with the reason');
$reco->verify('refused');

done_testing;
