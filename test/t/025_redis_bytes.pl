# reco_redis_verify() compares bytes, and shows what the database's encoding lacks.
use strict;
use warnings;
use RecoTest;
use Test::More;

my $reco = RecoTest->start(services => [qw(redis postgres)], extension => 0,
	settings => { 'reco.database' => 'latin', 'reco.popularity_interval' => '1h' });

sub latin { return $reco->sql(shift, 'latin'); }

sub differs
{
	my ($name, $expected) = @_;

	is(latin(q{SELECT string_agg(key || ' ' || coalesce(found, 'nothing'), E'\n' ORDER BY key COLLATE "C") FROM reco_redis_verify()}), $expected, $name);
}

$reco->sql("CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0");
latin('CREATE TABLE public.products (product_id text PRIMARY KEY, category text); CREATE EXTENSION reco');
latin(q{INSERT INTO public.products SELECT E'caf\\xe9 ' || i, 'c' FROM generate_series(1, 4) i});
$reco->wait_until('the mirror', sub { latin('SELECT count(*) FROM reco.product') eq '4' });
latin(q{INSERT INTO reco.activity SELECT 'page_view', i, E'caf\\xe9 1', NULL, now() FROM generate_series(1, 3) i});
differs('all is equal, converted', '');

my $window = $reco->python(<<'END');
for user, value in ((1, redis.get('1') + '\0junk'), (2, '{"user_id":2,"recommended_products":["\u20ac"]}'),
                    (99, '{"user_id":99,"recommended_products":["\u20ac"]}')):
    redis.set(user, value, ex=100000)
window = next(redis.scan_iter('trending:*'))
fields = redis.hgetall(window)
for field in fields:
    redis.hset(window, field, fields[field] + '\0')
print(window, end='')
END
my $hex = sub { return '\x' . unpack 'H*', shift };
differs('another end behind a NUL, a character that LATIN1 lacks, a hash with a NUL', join "\n",
	'1 ' . $hex->(qq({"user_id":1,"recommended_products":["caf\xc3\xa9 2","caf\xc3\xa9 3","caf\xc3\xa9 4"]}\0junk)),
	'2 ' . $hex->(qq({"user_id":2,"recommended_products":["\xe2\x82\xac"]})),
	'99 ' . $hex->(qq({"user_id":99,"recommended_products":["\xe2\x82\xac"]})),
	"$window " . $hex->(qq(caf\xc3\xa9 1 3\0)));
done_testing;
