# The catalog's owner is an ordinary, hostile role: no function of his ever runs with the rights of reco's workers or of who verifies.
use strict;
use warnings;
use RecoTest;
use Test::More;

my $reco = RecoTest->start(services => ['postgres'], extension => 0,
	settings => { 'reco.catalog_table' => 'sh.products', 'autovacuum' => 'off' });
my $follow = q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'reco follow'};

# The owner's own sessions
sub owner
{
	my ($query) = @_;

	local $ENV{PGUSER} = 'shopowner';
	return $reco->sql($query);
}

sub monitor
{
	my ($query) = @_;

	local $ENV{PGUSER} = 'monitor';
	return $reco->sql($query);
}

# What the mirror holds, against what the owner reads of his table
sub mirror_becomes_the_catalog
{
	my ($name) = @_;
	my $catalog = owner(q{SELECT product_id || ' ' || coalesce(enum_out(category)::text, 'none') FROM sh.products ORDER BY product_id COLLATE "C"});

	$reco->wait_for($name, q{SELECT product_id || ' ' || coalesce(category, 'none') FROM reco.product ORDER BY product_id}, $catalog);
}

# Whoever else than the owner ran something of his; a transaction rolled back leaves its line in the log
sub nobody_else_ran
{
	my ($name) = @_;
	my $log = do { local (@ARGV, $/) = "$reco->{dir}/postgres.log"; <> };
	my %others;

	$others{$1}++ while $log =~ /(?:LOG|NOTICE):  ran_as ((?!\S+ shopowner shopowner)[^\n]*)/g;
	is(join("\n", sort keys %others), '', "$name: nothing of the owner ran as somebody else");
	is($reco->sql(q{SELECT count(*) FROM sh.ran_as WHERE (who, session) <> ('shopowner', 'shopowner')}), 0, "$name: and left no trace");
}

$reco->sql(<<'END');
CREATE ROLE shopowner LOGIN;
CREATE ROLE monitor LOGIN;
CREATE SCHEMA sh AUTHORIZATION shopowner;
CREATE TABLE sh.ran_as (what text, who text, session text);
GRANT INSERT, SELECT, TRUNCATE ON sh.ran_as TO PUBLIC;
GRANT USAGE ON SCHEMA sh TO PUBLIC;
END
owner(<<'END');
SET client_min_messages = warning;
CREATE FUNCTION sh.note(what text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	RAISE LOG 'ran_as % % %', replace(what, ' ', '_'), current_user, session_user;
	INSERT INTO sh.ran_as VALUES (what, current_user, session_user);
END $$;
CREATE FUNCTION sh.f(what text, i int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$
BEGIN
	PERFORM sh.note(what);
	RETURN i;
END $$;
CREATE DOMAIN sh.sku AS text CHECK (sh.f('domain', 1) = 1);
CREATE TYPE sh.cat AS ENUM ('shoes', 'hats', 'socks');
CREATE FUNCTION sh.as_text(sh.cat) RETURNS text IMMUTABLE LANGUAGE plpgsql AS $$
BEGIN
	PERFORM sh.note('cast to text');
	RETURN 'stolen';
END $$;
CREATE FUNCTION sh.as_cat(text) RETURNS sh.cat IMMUTABLE LANGUAGE plpgsql AS $$
BEGIN
	PERFORM sh.note('cast from text');
	RETURN 'socks';
END $$;
CREATE CAST (sh.cat AS text) WITH FUNCTION sh.as_text(sh.cat) AS IMPLICIT;
CREATE CAST (text AS sh.cat) WITH FUNCTION sh.as_cat(text) AS IMPLICIT;
CREATE FUNCTION sh.same(sh.cat, sh.cat) RETURNS boolean IMMUTABLE LANGUAGE plpgsql AS $$
BEGIN
	PERFORM sh.note('operator');
	RETURN true;
END $$;
CREATE OPERATOR sh.= (LEFTARG = sh.cat, RIGHTARG = sh.cat, FUNCTION = sh.same);

CREATE TABLE sh.products (
	r int DEFAULT sh.f('default', 1),
	category sh.cat,
	product_id sh.sku NOT NULL,
	shelf int GENERATED ALWAYS AS (sh.f('generated column', 1)) STORED,
	CONSTRAINT of_the_table CHECK (sh.f('constraint of the table', 1) = 1)
) PARTITION BY RANGE ((sh.f('partition key', 1) + r));
CREATE TABLE sh.low PARTITION OF sh.products FOR VALUES FROM (sh.f('lower bound', 0)) TO (sh.f('upper bound', 100));
CREATE TABLE sh.other PARTITION OF sh.products DEFAULT;
ALTER TABLE sh.low ADD CHECK (sh.f('constraint of the partition', 1) = 1);
ALTER TABLE sh.low ADD PRIMARY KEY (product_id);
ALTER TABLE sh.other REPLICA IDENTITY FULL;
CREATE INDEX ON sh.products ((sh.f('index expression', 1)));
CREATE INDEX ON sh.products (product_id) WHERE sh.f('index predicate', 1) = 1;
CREATE STATISTICS sh.on_low ON (sh.f('statistics', 1)), category FROM sh.low;
CREATE STATISTICS sh.on_all ON (sh.f('statistics', 1)), category FROM sh.products;
CREATE POLICY p ON sh.products USING (sh.f('policy', 1) = 1);
ALTER TABLE sh.products ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE FUNCTION sh.trigger() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	PERFORM sh.note('trigger');
	RETURN NEW;
END $$;
CREATE TRIGGER t AFTER INSERT OR UPDATE ON sh.products FOR EACH ROW EXECUTE FUNCTION sh.trigger();
INSERT INTO sh.products VALUES (1, 'shoes', 'a1'), (1, 'shoes', 'a2'), (1, NULL, 'b1'), (1000, 'hats', 'c1');
TRUNCATE sh.ran_as;
END

# 1. Each way of reading
$reco->sql('CREATE EXTENSION reco');
mirror_becomes_the_catalog('the first comparison');
nobody_else_ran('the first comparison');

owner("INSERT INTO sh.products VALUES (1, 'hats', 'a3'), (500, 'hats', 'c2')");
mirror_becomes_the_catalog('an insert');
owner("UPDATE sh.products SET category = 'hats' WHERE product_id = 'a1'; UPDATE sh.products SET product_id = 'c3' WHERE product_id = 'c1'");
mirror_becomes_the_catalog('an update');
owner("UPDATE sh.products SET r = 700 WHERE product_id = 'a2'");
mirror_becomes_the_catalog('a move to another partition');
owner("DELETE FROM sh.products WHERE product_id IN ('a3', 'c2')");
mirror_becomes_the_catalog('a delete');
nobody_else_ran('changes that are followed');
owner("TRUNCATE sh.other");
mirror_becomes_the_catalog('TRUNCATE');
nobody_else_ran('TRUNCATE');

$reco->sql(<<'END');
GRANT EXECUTE ON FUNCTION reco_verify(double precision) TO monitor;
END
is(monitor('SELECT count(*) FROM reco_verify()'), 0, 'reco_verify() of a monitor finds nothing');
nobody_else_ran('reco_verify()');
$reco->sql("UPDATE reco.product SET category = 'wrong' WHERE product_id = 'a1'");
is(monitor('SELECT concat_ws(\' \', relation, key, expected, found) FROM reco_verify()'), 'product a1 hats wrong', 'and sees what is wrong');
nobody_else_ran('a difference found');

my $pid = $reco->sql($follow);
$reco->sql("SELECT pg_terminate_backend($pid)");
mirror_becomes_the_catalog('a worker that starts again');
$reco->down('postgres');
$reco->up('postgres');
owner("INSERT INTO sh.products VALUES (1, 'socks', 'a9')");
mirror_becomes_the_catalog('a server that starts again');
$reco->sql("ALTER SYSTEM SET reco.catalog_columns = 'product_id=category, category=product_id'");
owner("ALTER TABLE sh.products REPLICA IDENTITY FULL; ALTER TABLE sh.low REPLICA IDENTITY FULL");
$reco->set('reco.catalog_table', 'sh.products');
$reco->wait_for('the key and the category change places', "SELECT string_agg(product_id || ' ' || category, ',' ORDER BY product_id) FROM reco.product", 'hats a1,socks a9');
owner("UPDATE sh.products SET category = 'shoes' WHERE product_id = 'a9'");
$reco->wait_for('and are followed', "SELECT string_agg(product_id || ' ' || category, ',' ORDER BY product_id) FROM reco.product", 'hats a1,shoes a9');
is(monitor('SELECT count(*) FROM reco_verify()'), 0, 'reco_verify() agrees');
$reco->sql('ALTER SYSTEM RESET reco.catalog_columns');
$reco->set('reco.catalog_table', 'sh.products');
mirror_becomes_the_catalog('and back');
nobody_else_ran('starts and settings');

# 2. A function that never ends, for whoever is not the owner
owner(<<'END');
CREATE OR REPLACE FUNCTION sh.note(what text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	WHILE session_user <> 'shopowner' LOOP
		BEGIN
			PERFORM pg_sleep(1);
		EXCEPTION WHEN OTHERS OR query_canceled THEN
		END;
	END LOOP;
END $$;
INSERT INTO sh.products VALUES (1, 'socks', 'd1');
END
mirror_becomes_the_catalog('a function that loops does not hold follow up');
$pid = $reco->sql($follow);
$reco->sql("SELECT pg_terminate_backend($pid)");
owner("UPDATE sh.products SET category = 'hats' WHERE product_id = 'd1'");
mirror_becomes_the_catalog('nor its start');
is(monitor("SET statement_timeout = '60s'; SELECT count(*) FROM reco_verify()"), 0, 'nor reco_verify()');

# 3. What the owner may read himself, and by which policy, does not matter
owner("REVOKE ALL ON sh.products, sh.low, sh.other FROM shopowner");
$reco->sql("SELECT pg_terminate_backend(pid) FROM ($follow) f");
$reco->sql("UPDATE reco.product SET category = 'wrong' WHERE product_id = 'a1'");
$reco->wait_for('an owner who revoked his own SELECT', q{SELECT category FROM reco.product WHERE product_id = 'a1'}, 'hats');
nobody_else_ran('at last');

# 4. What a superuser made of the owner's functions is the owner's still: a cast, an operator class; and his own cast of a superuser's function
owner(<<'END');
CREATE OR REPLACE FUNCTION sh.note(what text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	RAISE LOG 'ran_as % % %', replace(what, ' ', '_'), current_user, session_user;
END $$;
CREATE TYPE sh.mood AS ENUM ('glad', 'sad');
END
$reco->sql(<<'END');
CREATE TYPE public.kind AS ENUM ('new', 'old', 'odd');
GRANT CREATE ON SCHEMA public TO shopowner;
CREATE FUNCTION public.loud(sh.mood) RETURNS text IMMUTABLE LANGUAGE sql AS $$ SELECT 'loud' $$;
END
owner(<<'END');
SET client_min_messages = warning;
CREATE FUNCTION sh.kind_text(public.kind) RETURNS text IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN PERFORM sh.note('cast'); RETURN 'stolen'; END $$;
CREATE FUNCTION sh.compare(int, int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN PERFORM sh.note('comparison'); RETURN btint4cmp($1, $2); END $$;
CREATE FUNCTION sh.equal(int, int) RETURNS boolean IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN PERFORM sh.note('equality'); RETURN int4eq($1, $2); END $$;
CREATE OPERATOR sh.=== (LEFTARG = int, RIGHTARG = int, FUNCTION = sh.equal);
CREATE CAST (sh.mood AS text) WITH FUNCTION public.loud(sh.mood);
CREATE FUNCTION sh.compare(sh.mood, sh.mood) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN PERFORM sh.note('elements'); RETURN enum_cmp($1, $2); END $$;
DO $$
BEGIN
	FOR i IN 1..5 LOOP
		EXECUTE format('CREATE FUNCTION sh.%1$s(sh.mood, sh.mood) RETURNS boolean IMMUTABLE LANGUAGE sql AS ''SELECT %1$s($1, $2)'';
			CREATE OPERATOR sh.%2$s (LEFTARG = sh.mood, RIGHTARG = sh.mood, FUNCTION = sh.%1$s)',
			(ARRAY['enum_lt', 'enum_le', 'enum_eq', 'enum_ge', 'enum_gt'])[i], (ARRAY['<', '<=', '=', '>=', '>'])[i]);
	END LOOP;
END $$;
END
$reco->sql(<<'END');
CREATE CAST (public.kind AS text) WITH FUNCTION sh.kind_text(public.kind);
CREATE OPERATOR CLASS public.compares FOR TYPE int USING btree AS
	OPERATOR 1 <, OPERATOR 2 <=, OPERATOR 3 =, OPERATOR 4 >=, OPERATOR 5 >, FUNCTION 1 sh.compare(int, int);
CREATE OPERATOR CLASS public.equals FOR TYPE int USING btree AS
	OPERATOR 1 <, OPERATOR 2 <=, OPERATOR 3 sh.===, OPERATOR 4 >=, OPERATOR 5 >, FUNCTION 1 btint4cmp(int, int);
CREATE OPERATOR CLASS public.moods DEFAULT FOR TYPE sh.mood USING btree AS OPERATOR 1 sh.<, OPERATOR 2 sh.<=, OPERATOR 3 sh.=,
	OPERATOR 4 sh.>=, OPERATOR 5 sh.>, FUNCTION 1 sh.compare(sh.mood, sh.mood);
END
my %table = (
	compares => ['int', 'public.compares', 1, 2, 3],
	equals => ['int', 'public.equals', 1, 2, 3],
	moods => ['sh.mood[]', 'array_ops', '{glad}', '{sad}', '{glad,sad}']);
for my $class (sort keys %table)
{
	my ($type, $operators, @keys) = @{ $table{$class} };
	my $mirror = q{SELECT string_agg(product_id || ' ' || category, '; ' ORDER BY product_id) FROM reco.product};
	my $expect = sub { join '; ', sort map { "$keys[$_] $_[$_]" } 0 .. $#_ };

	owner(<<"END");
CREATE TABLE sh.$class (product_id $type NOT NULL, category public.kind, mood sh.mood);
CREATE UNIQUE INDEX ${class}_key ON sh.$class (product_id $operators);
ALTER TABLE sh.$class REPLICA IDENTITY USING INDEX ${class}_key;
INSERT INTO sh.$class VALUES ('$keys[0]', 'new', 'glad'), ('$keys[1]', 'old', 'sad');
END
	$reco->set('reco.catalog_table', "sh.$class");
	$reco->wait_for("$class: compared", $mirror, $expect->('new', 'old'));
	# one at a time: more products than the table has pages are not looked up by an index
	owner("UPDATE sh.$class SET category = 'odd' WHERE category = 'new'");
	$reco->wait_for("$class: an update is followed", $mirror, $expect->('odd', 'old'));
	owner("INSERT INTO sh.$class VALUES ('$keys[2]', 'new', 'sad')");
	$reco->wait_for("$class: an insert", $mirror, $expect->('odd', 'old', 'new'));
	nobody_else_ran($class);
}
$reco->sql("ALTER SYSTEM SET reco.catalog_columns = 'category=mood'");
$reco->set('reco.catalog_table', 'sh.equals');
$reco->wait_for('nor does he choose the function', q{SELECT string_agg(product_id || ' ' || category, ',' ORDER BY product_id) FROM reco.product}, '1 glad,2 sad,3 sad');

done_testing;
