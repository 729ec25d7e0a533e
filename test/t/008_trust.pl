# Whom reco trusts: neither the owner of the catalog nor a publisher runs code as reco's owner or changes activity unseen.
use strict;
use warnings;
use RecoTest;
use Test::More;

my $reco = RecoTest->start(services => ['postgres'], settings => { 'reco.catalog_table' => 'sh.products' });

# 1. A type's owner may define its cast to text, and the cast would run as whoever reads the catalog
$reco->sql(<<'END');
CREATE ROLE shopowner;
CREATE SCHEMA sh AUTHORIZATION shopowner;
CREATE TABLE sh.ran_as (who text);
GRANT INSERT ON sh.ran_as TO PUBLIC;
SET ROLE shopowner;
CREATE TYPE sh.cat AS ENUM ('shoes', 'hats');
CREATE FUNCTION sh.evil(sh.cat) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO sh.ran_as VALUES (current_user);
	RETURN 'stolen';
END $$;
CREATE CAST (sh.cat AS text) WITH FUNCTION sh.evil(sh.cat);
CREATE TABLE sh.products (product_id sh.cat PRIMARY KEY, category sh.cat);
INSERT INTO sh.products VALUES ('shoes', 'hats');
END
$reco->wait_for('a type of the shop is read by its output function', q{SELECT string_agg(product_id || ' ' || category, ',') FROM reco.product}, 'shoes hats');
$reco->sql("INSERT INTO sh.products VALUES ('hats', 'hats')");
$reco->wait_for('also when a change is followed', q{SELECT string_agg(product_id || ' ' || category, ',' ORDER BY product_id) FROM reco.product}, 'hats hats,shoes hats');
is($reco->sql('SELECT count(*) FROM reco_verify()'), 0, 'reco_verify() agrees');
is($reco->sql('SELECT count(*) FROM sh.ran_as'), 0, 'the cast of the shop has not run');

# 2. The apply worker of logical replication fires no statement triggers
$reco->sql('CREATE DATABASE publisher');
my $port = $reco->sql('SHOW port');
$reco->sql(<<'END', 'publisher');
CREATE SCHEMA reco;
CREATE TABLE reco.activity (event_type text, user_id bigint, product_id text, query text, "timestamp" timestamptz);
CREATE PUBLICATION p FOR TABLE reco.activity;
SELECT pg_create_logical_replication_slot('s', 'pgoutput');
END
$reco->sql("CREATE SUBSCRIPTION s CONNECTION 'dbname=publisher port=$port user=postgres host=127.0.0.1' PUBLICATION p WITH (create_slot = false, slot_name = 's', copy_data = false)");
$reco->sql(q{INSERT INTO reco.activity VALUES ('page_view', 1, 'shoes', NULL, now())}, 'publisher');
$reco->wait_for('replication into reco.activity is refused', q{SELECT apply_error_count > 0 FROM pg_stat_subscription_stats WHERE subname = 's'}, 't');
is($reco->sql('SELECT count(*) FROM reco.activity'), 0, 'and brings no row');
$reco->sql('DROP SUBSCRIPTION s');

done_testing;
