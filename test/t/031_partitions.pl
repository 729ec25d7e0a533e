# Partitions of reco.activity that others have made stay theirs, whatever their bounds, schema and name.
use strict;
use warnings;
use RecoTest;
use Test::More;

my $reco = RecoTest->start(services => ['postgres'], settings => {
	'reco.trending_window' => '1s', 'reco.recent_window' => '2s', 'reco.max_future' => '10s' });
my $partitions = q{SELECT %s FROM pg_inherits WHERE inhparent = 'reco.activity'::regclass};
my $oldest = sprintf $partitions, q{min(inhrelid::regclass::text) FILTER (WHERE inhrelid::regclass::text LIKE 'reco.%')};

$reco->wait_for('partitions are there', 'SELECT count(*) > 0 FROM reco.activity RIGHT JOIN reco.state ON false', 't');
$reco->sql(<<'END');
CREATE TABLE public.state PARTITION OF reco.activity FOR VALUES FROM (MINVALUE) TO ('2000-01-01Z');
INSERT INTO public.state VALUES ('click', 1, 'kept', NULL, '1999-12-31Z');
CREATE TABLE public.offsets PARTITION OF reco.activity FOR VALUES FROM ('2001-01-01Z') TO ('2001-01-02Z');
CREATE TABLE public.ahead PARTITION OF reco.activity FOR VALUES FROM ('2200-01-01Z') TO (MAXVALUE);
END
for my $time (1 .. 2)
{
	my $before = $reco->sql($oldest);

	$reco->wait_for('the horizon passes a partition of reco', "SELECT ($oldest) > '$before'", 't');
}
is($reco->sql(sprintf $partitions, q{string_agg(inhrelid::regclass::text, ' ' ORDER BY inhrelid::regclass::text) FILTER (WHERE inhrelid::regclass::text !~ '^reco\.')}),
	'ahead offsets state', 'partitions of others are there');
is($reco->sql('SELECT product_id FROM public.state'), 'kept', 'with what they hold');
is($reco->sql(q{SELECT count(*) FROM pg_class WHERE relnamespace = 'reco'::regnamespace AND relname IN ('state', 'offsets')}), 2,
	'and so are the tables of reco with their names');
$reco->wait_for('all is well', q{SELECT health FROM reco_status() WHERE component = 'ingest'}, 'ok');
done_testing;
