# Redis is a copy that mends itself: flushed, restarted empty, away for a while; nothing of reco's is left over, nothing of others is touched.
use strict;
use warnings;
use RecoTest;
use Test::More;

my $reco = RecoTest->start(settings => { 'reco.popularity_interval' => '1h' });

$reco->sql(q{INSERT INTO public.products SELECT 'p' || i, 'category ' || i % 10 FROM generate_series(1, 100) i});
$reco->produce(map { event('page_view', $_ % 500, 'p' . (1 + $_ % 97), 60) } 1 .. 3000);
$reco->wait_for_ingest;
$reco->verify('published');
is($reco->sql('SELECT count(*) FROM reco.user_recommendations'), 500, 'every user has a list');

$reco->redis('FLUSHALL');
$reco->wait_until('a flush is noticed within seconds', sub { $reco->redis('EXISTS', 42) eq '1' }, 15);
$reco->verify('flushed');

$reco->crash('redis');
unlink "$reco->{dir}/redis/dump.rdb";
$reco->produce(map { event('page_view', 1000 + $_, 'p1') } 1 .. 50);
$reco->wait_for_ingest('Redis away: ingestion goes on');
is($reco->sql('SELECT count(*) FROM reco.user_recommendations WHERE user_id > 1000'), 50, 'and lists are computed');
$reco->wait_for('reco_status() says so', q{SELECT count(*) > 0 FROM reco_status() WHERE component = 'publish' AND last_error ~* 'refused|connect'});
$reco->up('redis');
$reco->wait_until('it comes back empty and is filled', sub { $reco->redis('EXISTS', 42, 1001) eq '2' }, 60);
$reco->verify('back');

# A list that vanishes takes its key along; of two values that look alike only reco's own is deleted.
$reco->sql("INSERT INTO public.products VALUES ('only', 'alone'), ('other', 'alone')");
$reco->produce(event('page_view', 7777, 'only'));
$reco->wait_for('a list of one', "SELECT array_to_string(recommended_products, ' ') FROM reco.user_recommendations WHERE user_id = 7777", 'other');
$reco->wait_until('its key', sub { $reco->redis('EXISTS', 7777) eq '1' });
$reco->sql("DELETE FROM public.products WHERE product_id = 'other'");
$reco->wait_for('no list any more', 'SELECT count(*) FROM reco.user_recommendations WHERE user_id = 7777', 0);
$reco->wait_until('no key any more', sub { $reco->redis('EXISTS', 7777) eq '0' });

$reco->redis('SET', 888888, '{"user_id":888888,"recommended_products":["gone"]}');
$reco->redis('SET', 888889, 'a session of the shop');
$reco->redis('HSET', 'trending:2020-01-01T00:00:00', 'gone', 1);
cmp_ok($reco->sql('SELECT count(*) FROM reco_redis_verify()'), '>', 0, 'reco_redis_verify() finds a key left over');
my $before = $reco->lists;
$reco->sql('SELECT reco_rebuild()');
$reco->wait_until('a rebuild deletes keys that no row stands for', sub { $reco->redis('EXISTS', 888888, 'trending:2020-01-01T00:00:00') eq '0' }, 60);
is($reco->redis('GET', 888889), 'a session of the shop', 'and nothing of others');
$reco->wait_until('a rebuild gives the same lists', sub { $reco->lists eq $before }, 30);
$reco->verify('rebuilt');

# Damage is named.
$reco->redis('SET', 42, '{"user_id":42,"recommended_products":["wrong"]}');
cmp_ok($reco->sql('SELECT count(*) FROM reco_redis_verify()'), '>', 0, 'a wrong value is found');
$reco->redis('DEL', 42);
cmp_ok($reco->sql('SELECT count(*) FROM reco_redis_verify()'), '>', 0, 'a missing key is found');

done_testing;
