# A subscription of logical replication feeds the catalog: reco_status() says if it does not stand.
use strict;
use warnings;
use RecoTest;
use Test::More;

my $reco = RecoTest->start(services => ['postgres']);

# Another database of the same server is the shop's; a slot made there before lets CREATE SUBSCRIPTION end.
sub upstream { my ($query) = @_; return $reco->sql($query, 'upstream'); }

sub logged
{
	my ($pattern) = @_;
	my $log = do { local (@ARGV, $/) = "$reco->{dir}/postgres.log"; <> };

	return scalar(() = $log =~ /$pattern/g);
}

sub follow_becomes
{
	my ($name, $pattern) = @_;

	$reco->wait_for($name, "SELECT health || ', ' || coalesce(lag_seconds::text, 'lag unknown') || ', ' || state || ', ' || coalesce(last_error, '')"
		. " ~ '$pattern' FROM reco_status() WHERE component = 'follow'", 't', 60);
}

$reco->sql('CREATE DATABASE upstream');
upstream(q{CREATE TABLE products (product_id text PRIMARY KEY, category text)});
upstream(q{INSERT INTO products VALUES ('a1', 'A')});
upstream(q{CREATE PUBLICATION catalog FOR TABLE products});
upstream(q{SELECT pg_create_logical_replication_slot('catalog', 'pgoutput')});
$reco->sql("CREATE SUBSCRIPTION catalog CONNECTION 'host=$ENV{PGHOST} port=$ENV{PGPORT} dbname=upstream user=$ENV{PGUSER}'"
	. ' PUBLICATION catalog WITH (create_slot = false)');
$reco->wait_for('the subscription fills the catalog', 'SELECT product_id FROM reco.product', 'a1');
follow_becomes('all is well', '^ok, 0');

$reco->sql('ALTER SUBSCRIPTION catalog DISABLE');
follow_becomes('it is disabled', '^waiting, lag unknown, .*subscription "catalog" feeds public.products and is disabled');
is($reco->sql(q{SELECT last_error_over FROM reco_status() WHERE component = 'follow'}), 'f', 'the error is not over');
upstream(q{INSERT INTO products VALUES ('a2', 'A')});
$reco->sql('ALTER SUBSCRIPTION catalog ENABLE');
follow_becomes('it is enabled again', '^ok, 0');
$reco->wait_for('and has brought what was missing', 'SELECT count(*) FROM reco.product', 2);

$reco->sql(q{INSERT INTO public.products VALUES ('a3', 'here before')});
upstream(q{INSERT INTO products VALUES ('a3', 'A')});
follow_becomes('a conflict lets it fail again and again', '^waiting, lag unknown, .*subscription "catalog" feeds public.products and (does not run|has failed)');
$reco->sql(q{DELETE FROM public.products WHERE product_id = 'a3'});
follow_becomes('the conflict is gone', '^ok, 0');
is($reco->sql(q{SELECT category FROM reco.product WHERE product_id = 'a3'}), 'A', 'with the row of the shop');

is(logged('WARNING:  reco follow: subscription "catalog"'), 2, 'a warning for each trouble');
is(logged('LOG:  reco follow: the subscriptions that feed the catalog run again'), 2, 'and a line at its end');

$reco->sql('ALTER SUBSCRIPTION catalog DISABLE');
follow_becomes('disabled once more', '^waiting');
$reco->sql(q{ALTER SUBSCRIPTION catalog SET (slot_name = NONE)});
$reco->sql(q{DROP SUBSCRIPTION catalog});
follow_becomes('no subscription, no trouble', '^ok, 0');
upstream(q{SELECT pg_drop_replication_slot('catalog')});
done_testing;
