# What the catalog says can change without a change of its rows: types, casts, functions, names. The mirror follows that, too.
use strict;
use warnings;
use RecoTest;
use Test::More;

$ENV{RECO_TEST_ROLE} = 'reco';		# no superuser: row security may apply to it
my $reco = RecoTest->start(services => ['postgres'], settings => { 'autovacuum' => 'off' });

sub mirror_becomes
{
	my ($name, $expected) = @_;

	$reco->wait_for($name, q{SELECT string_agg(product_id || '=' || coalesce(category, ''), ' ' ORDER BY product_id) FROM reco.product}, $expected);
}

sub follow_table
{
	my ($table, $columns) = @_;

	$reco->sql("ALTER SYSTEM SET reco.catalog_columns = '$columns'") if defined $columns;
	$reco->set('reco.catalog_table', $table);
}

sub wait_until_followed
{
	my ($name) = @_;

	$reco->wait_for("$name: followed", 'SELECT reco_follow_wait(30000)', 't');
}

# each in a session of its own: DDL that comes alone, with no change of a row to be noticed by
sub alone
{
	my ($name, $command, $expected) = @_;

	wait_until_followed($name);
	$reco->sql($command);
	mirror_becomes($name, $expected);
}

# 1. Types
$reco->sql(<<'END');
CREATE TYPE public.cat AS ENUM ('shoes', 'hats');
CREATE TYPE public.size AS (width int);
CREATE TABLE public.typed (sku public.cat PRIMARY KEY, path public.cat, wide public.size, took interval);
INSERT INTO public.typed VALUES ('shoes', 'hats', ROW(1), '1 day 02:00');
END
follow_table('public.typed', 'product_id=sku, category=path');
mirror_becomes('an enum is its labels', 'shoes=hats');
alone('a label of the category has another name', q{ALTER TYPE public.cat RENAME VALUE 'hats' TO 'caps'}, 'shoes=caps');
alone('a label of the key, too', q{ALTER TYPE public.cat RENAME VALUE 'shoes' TO 'footwear'}, 'footwear=caps');
$reco->sql(q{CREATE FUNCTION public.loud(public.cat) RETURNS text IMMUTABLE LANGUAGE sql AS $$ SELECT upper(enum_out($1)::text) $$});
alone('a cast is made', 'CREATE CAST (public.cat AS text) WITH FUNCTION public.loud(public.cat)', 'FOOTWEAR=CAPS');
alone('its function is replaced', q{CREATE OR REPLACE FUNCTION public.loud(public.cat) RETURNS text IMMUTABLE LANGUAGE sql AS $$ SELECT initcap(enum_out($1)::text) $$}, 'Footwear=Caps');
$reco->sql('CREATE ROLE shop; GRANT CREATE ON SCHEMA public TO shop');
alone('it goes to who is not trusted', 'ALTER FUNCTION public.loud(public.cat) OWNER TO shop', 'footwear=caps');
alone('who becomes a superuser', 'ALTER ROLE shop SUPERUSER', 'Footwear=Caps');
alone('and is none again', 'ALTER ROLE shop NOSUPERUSER', 'footwear=caps');
alone('the cast goes', 'DROP CAST (public.cat AS text)', 'footwear=caps');

follow_table('public.typed', 'product_id=sku, category=wide');
mirror_becomes('a composite type', 'footwear=(1)');
alone('gets an attribute', 'ALTER TYPE public.size ADD ATTRIBUTE height int', 'footwear=(1,)');
follow_table('public.typed', 'product_id=sku, category=took');
mirror_becomes('a format of a value', 'footwear=1 day 02:00:00');
wait_until_followed('formats');
$reco->sql(q{UPDATE reco.product SET category = 'P1DT2H'});
is($reco->sql("SET IntervalStyle = iso_8601; SET DateStyle = 'German'; SET TimeZone = 'Asia/Tokyo'; SELECT expected, found FROM reco.verify_catalog()"),
	'1 day 02:00:00|P1DT2H', 'who verifies sees the format that is followed, whatever his session says');
alone('a column of another type', 'ALTER TABLE public.typed ALTER took TYPE text USING \'long\'', 'footwear=long');

# 2. Names
$reco->sql(<<'END');
CREATE SCHEMA now; CREATE SCHEMA next;
CREATE TABLE now.products (product_id text PRIMARY KEY, category text);
CREATE TABLE next.products (product_id text PRIMARY KEY, category text);
INSERT INTO now.products VALUES ('a', 'A');
INSERT INTO next.products VALUES ('b', 'B');
GRANT USAGE ON SCHEMA now, next TO reco;
END
$reco->sql('ALTER SYSTEM RESET reco.catalog_columns');
follow_table('now.products');
mirror_becomes('a table in a schema', 'a=A');
alone('another schema has the name', 'BEGIN; ALTER SCHEMA now RENAME TO before; ALTER SCHEMA next RENAME TO now; COMMIT', 'b=B');
$reco->sql("UPDATE now.products SET category = 'C'; UPDATE before.products SET category = 'X'");
mirror_becomes('and is followed', 'b=C');

# 3. Indexes that do not hold all rows, or not in their order
$reco->sql(<<'END');
CREATE TABLE public.partly (product_id text NOT NULL, category text);
CREATE INDEX ON public.partly (product_id) WHERE category = 'A';
CREATE INDEX ON public.partly USING hash (product_id);
CREATE INDEX ON public.partly (lower(product_id));
ALTER TABLE public.partly ADD PRIMARY KEY (product_id);
INSERT INTO public.partly VALUES ('a', 'A'), ('b', 'B'), ('c', 'A');
END
follow_table('public.partly');
mirror_becomes('a table with many indexes', 'a=A b=B c=A');
$reco->sql("UPDATE public.partly SET category = 'C' WHERE product_id = 'c'");
mirror_becomes('is looked up by one that holds all rows', 'a=A b=B c=C');

# 4. Row security, which reco does not evaluate, must not apply to its role
$reco->sql('ALTER TABLE public.partly ENABLE ROW LEVEL SECURITY');
$reco->wait_for('row security is said, with what to run', q{SELECT health = 'failing' AND last_error ~ 'row-level security .* role reco.*ALTER ROLE reco BYPASSRLS' FROM reco_status() WHERE component = 'follow'}, 't');
mirror_becomes('and the mirror stays', 'a=A b=B c=C');
$reco->sql("INSERT INTO public.partly VALUES ('d', 'D'); ALTER ROLE reco BYPASSRLS");
mirror_becomes('until it does not apply any more', 'a=A b=B c=C d=D');

done_testing;
