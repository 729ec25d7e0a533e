# What happens to the catalog happens to the lists: each kind of change, of each kind of table, whatever becomes of the slot.
use strict;
use warnings;
use RecoTest;
use Test::More;

my $reco = RecoTest->start(
	services => [qw(postgres redis)],
	settings => { 'reco.popularity_interval' => '1h', 'max_slot_wal_keep_size' => '16MB', 'max_wal_size' => '64MB' });
my $follow = q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'reco follow'};

# view(USER, PRODUCT...): the embedded way in
sub view
{
	my ($user, @products) = @_;

	$reco->sql('INSERT INTO reco.activity VALUES ' . join ', ', map { "('page_view', $user, '$_', NULL, now())" } @products);
}

sub list_becomes
{
	my ($name, $user, $list) = @_;

	$reco->wait_for($name, "SELECT coalesce((SELECT array_to_string(recommended_products, ' ') FROM reco.user_recommendations WHERE user_id = $user), 'none')", $list);
}

sub mirror_becomes_the_catalog
{
	my ($name, $key, $category, $table) = @_;

	$reco->wait_for($name, <<"END", 0);
SELECT count(*) FROM (SELECT $key\::text COLLATE "C" AS p, min(nullif($category, '') COLLATE "C") AS c FROM $table GROUP BY 1) t
FULL JOIN reco.product ON p = product_id WHERE p IS NULL OR product_id IS NULL OR c IS DISTINCT FROM category
END
}

$reco->sql("INSERT INTO public.products VALUES ('a1', 'A'), ('a2', 'A'), ('a3', 'A'), ('b1', 'B'), ('b2', 'B')");
view(1, 'a1');
view(2, 'b1');
view(3, 'a1', 'a1', 'b1');
view(4, 'yet unknown');
list_becomes('the first lists', 3, 'a2 a3 b2');

# 1. Each kind of change
$reco->sql("INSERT INTO public.products VALUES ('a4', 'A')");
list_becomes('an insert', 1, 'a2 a3 a4');
my $locker = $reco->session;
$locker->say(q{BEGIN; DO $$ BEGIN EXECUTE (SELECT format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE', min(inhrelid::regclass::text))
	FROM pg_inherits WHERE inhparent = 'reco.activity'::regclass); END $$;});
my $clock = $reco->sql('SELECT clock FROM reco.state');
$reco->wait_for('two seconds pass beside a locked partition', "SELECT clock >= '$clock'::timestamptz + '2 s' FROM reco.state", 't');
$reco->sql("UPDATE public.products SET category = 'A' WHERE product_id = 'b2'");
list_becomes('a category move: gained', 1, 'a2 a3 a4 b2');
$locker->close;
list_becomes('a category move: lost', 2, 'none');
$reco->sql("UPDATE public.products SET product_id = 'a9' WHERE product_id = 'a2'");
list_becomes('a key change', 1, 'a3 a4 a9 b2');
$reco->sql("DELETE FROM public.products WHERE product_id = 'a3'");
list_becomes('a delete', 1, 'a4 a9 b2');
$reco->sql("UPDATE public.products SET category = 'C' WHERE product_id = 'a1'; INSERT INTO public.products VALUES ('c1', 'C')");
list_becomes('a viewed product moves its views along', 1, 'c1');
$reco->sql("UPDATE public.products SET category = '' WHERE product_id = 'a1'");
list_becomes('an empty category is none', 1, 'none');
$reco->sql("UPDATE public.products SET category = 'A' WHERE product_id = 'a1'");
list_becomes('and back', 1, 'a4 a9 b2');
$reco->sql("INSERT INTO public.products VALUES ('yet unknown', 'A')");
list_becomes('a product viewed before the catalog knew it', 4, 'a1 a4 a9 b2');
$reco->sql("BEGIN; DELETE FROM public.products; ROLLBACK");
$reco->sql("BEGIN; INSERT INTO public.products VALUES ('a5', 'A'); SAVEPOINT s; DELETE FROM public.products WHERE category = 'A'; ROLLBACK TO s; COMMIT");
list_becomes('what was rolled back did not happen', 1, 'yet unknown a4 a5 a9 b2');
$reco->verify('changes');

$reco->sql('TRUNCATE public.products');
list_becomes('TRUNCATE takes all lists', 1, 'none');
mirror_becomes_the_catalog('TRUNCATE empties the mirror', 'product_id', 'category', 'public.products');
$reco->sql("BEGIN; INSERT INTO public.products VALUES ('gone', 'A'); TRUNCATE public.products;
	INSERT INTO public.products VALUES ('a1', 'A'), ('a2', 'A'), ('b1', 'B'), ('b2', 'B'); COMMIT");
list_becomes('TRUNCATE and fill in one transaction', 3, 'a2 b2');
$reco->sql('ALTER TABLE public.products ADD COLUMN price numeric DEFAULT 1; ALTER TABLE public.products ALTER COLUMN category TYPE varchar(100)');
$reco->sql('VACUUM FULL public.products');
$reco->sql("UPDATE public.products SET product_id = 'a3', category = 'A' WHERE product_id = 'b2'");
list_becomes('after ALTER TABLE and VACUUM FULL', 3, 'a2 a3');
$reco->sql("INSERT INTO public.products SELECT 'bulk' || i, 'bulk ' || i % 100 FROM generate_series(1, 30000) i");
mirror_becomes_the_catalog('a large transaction', 'product_id', 'category', 'public.products');
$reco->sql("INSERT INTO reco.activity SELECT 'page_view', 100000 + i, 'a1', NULL, now() FROM generate_series(1, 12000) i");
$reco->sql("INSERT INTO public.products VALUES ('a4', 'A')");
list_becomes('a change that touches more than 10,000 lists', 112000, 'a2 a3 a4');
$reco->verify('all changes');

# 2. The slot
my $pid = $reco->sql($follow);
is($reco->sql('SELECT count(*) FROM pg_replication_slots WHERE temporary'), 1, 'the worker holds a temporary slot');
$reco->sql("SELECT pg_terminate_backend($pid)");
$reco->sql("INSERT INTO public.products VALUES ('a5', 'A')");
list_becomes('a worker that was terminated: its successor compares', 1, 'a2 a3 a4 a5');
isnt($reco->sql($follow), $pid, 'it is another process');
$reco->wait_for('it streams', 'SELECT count(*) FROM pg_replication_slots WHERE temporary', 1);

# Stopped while it waits: a process stopped at work may hold what all others need.
$reco->wait_for('lists are swept', 'SELECT count(*) FROM reco.user_state u, reco.state s WHERE u.generation <> s.generation', 0);
$pid = $reco->sql($follow);
$reco->wait_until('the worker is stopped', sub {
	kill 'STOP', $pid;
	return 1 if $reco->sql("SELECT wait_event_type FROM pg_stat_activity WHERE pid = $pid") =~ /^(Extension|Activity)$/;
	kill 'CONT', $pid;
	return 0;
});
$reco->sql("CREATE TABLE noise AS SELECT i, repeat('x', 1000) FROM generate_series(1, 40000) i; SELECT pg_switch_wal()");
my $checkpoint = $reco->session;
$checkpoint->{in} .= "CHECKPOINT;\n";
$checkpoint->{run}->pump_nb;
$reco->sql("DELETE FROM public.products WHERE product_id = 'a5'");
$reco->wait_until('the server gives the slot up', sub { $reco->sql("SELECT count(*) FROM pg_stat_activity WHERE query = 'CHECKPOINT;' AND state = 'active'") eq '1'
	  && -s "$reco->{dir}/postgres.log" && system('grep', '-q', 'to release replication slot', "$reco->{dir}/postgres.log") == 0 });
kill 'CONT', $pid;
$checkpoint->close;
list_becomes('an invalidated slot heals', 1, 'a2 a3 a4');
$reco->wait_for('it streams again', "SELECT count(*) FROM pg_replication_slots WHERE temporary AND wal_status = 'reserved'", 1, 60);
$reco->sql('INSERT INTO noise SELECT * FROM noise LIMIT 20000');
$reco->wait_for('an idle catalog holds no WAL back', 'SELECT max(pg_wal_lsn_diff(pg_current_wal_lsn(), confirmed_flush_lsn)) < 1000000 FROM pg_replication_slots');

$reco->set('reco.enabled', 'off');
$reco->wait_for('reco.enabled = off: no worker', "SELECT count(*) FROM pg_stat_activity WHERE datname = 'shop' AND backend_type LIKE 'reco%'", 0);
is($reco->sql('SELECT count(*) FROM pg_replication_slots'), 0, 'and no slot');
$reco->sql("INSERT INTO public.products VALUES ('a6', 'A')");
$reco->set('reco.enabled', 'on');
list_becomes('on again: what happened meanwhile', 1, 'a2 a3 a4 a6');
$reco->down('postgres');
$reco->up('postgres');
list_becomes('a clean restart', 1, 'a2 a3 a4 a6');
$reco->verify('slot');

# Somebody else changes so much of the mirror that it is not noted what, and then the popularity is taken by a worker that has all products cached.
$reco->sql("INSERT INTO public.products SELECT 'q' || n, 'Q' FROM generate_series(1, 1500) n");
mirror_becomes_the_catalog('many products', 'product_id', 'category', 'public.products');
view(7, map { "q$_" } 1 .. 150);
$reco->sql("INSERT INTO public.products VALUES ('q0', 'Q')");
list_becomes('which the worker has cached', 7, join(' ', 'q0', sort map { "q$_" } 151 .. 1500) =~ s/^((\S+ ){19}\S+).*/$1/r);
$reco->sql("UPDATE reco.product SET category = 'R' WHERE product_id LIKE 'q%' AND product_id > 'q2'");
view(8, 'q151', 'q3');
my $generation = $reco->sql('SELECT generation FROM reco.state');
$reco->set('reco.popularity_interval', '1s');
$reco->wait_for('a popularity after that', "SELECT generation > $generation FROM reco.state", 't');
$reco->set('reco.popularity_interval', '1h');
$reco->wait_for('and its sweep', 'SELECT count(*) FROM reco.user_state WHERE generation < (SELECT generation FROM reco.state)', 0);
is($reco->sql('SELECT * FROM reco.verify_state(1)'), '', 'the lists follow from the mirror as it is');
$reco->sql("UPDATE reco.product SET category = 'Q' WHERE category = 'R'");
$reco->verify('the mirror put right');

# Sweeps go on where the last one ended, also in a table that grows meanwhile.
my $older = 'SELECT count(*) FROM reco.user_state WHERE generation < (SELECT generation FROM reco.state)';
my $users = 1000;

sub more_users
{
	my ($count) = @_;

	$reco->sql("INSERT INTO reco.activity SELECT 'page_view', u, 'q' || 1 + u % 50, NULL, now() FROM generate_series($users + 1, $users + $count) u");
	$users += $count;
}

sub begin_sweep
{
	my $before = $reco->sql('SELECT generation FROM reco.state');

	$reco->set('reco.popularity_interval', '1s');
	$reco->wait_for('a popularity', "SELECT generation > $before FROM reco.state", 't');
	$reco->set('reco.popularity_interval', '1h');
}

more_users(20000);
begin_sweep();
$reco->wait_for('a sweep of many lists', $older, 0);
more_users(150000);		# so many that the sweep outlasts what is done before the first look
begin_sweep();
my $grown = 0;
$grown++, more_users(300) while $grown < 100 and $reco->sql($older) > 0;
cmp_ok($grown, '>', 1, 'the table grows during the next');
$reco->wait_for('which brings all lists to the generation', $older, 0);

# 3. Each kind of table
sub follow_table
{
	my ($name, $table, $columns, $sql) = @_;

	$reco->sql($sql);
	$reco->sql("ALTER SYSTEM SET reco.catalog_columns = '$columns'");
	$reco->set('reco.catalog_table', $table);
}

follow_table('bigint', 'public.numbers', 'product_id=id, category=kind',
	"CREATE TABLE public.numbers (id bigint PRIMARY KEY, kind text, title text); INSERT INTO public.numbers SELECT i, 'kind ' || i % 5 FROM generate_series(1, 50) i");
mirror_becomes_the_catalog('a bigint key', 'id', 'kind', 'public.numbers');
view(1, 7);
list_becomes('a bigint key: lists', 1, '12 17 2 22 27 32 37 42 47');
$reco->sql("UPDATE public.numbers SET id = 1000 WHERE id = 12; DELETE FROM public.numbers WHERE id > 20 AND kind = 'kind 2' AND id < 1000");
list_becomes('a bigint key: changes', 1, '1000 17 2');
$reco->verify('bigint');

follow_table('uuid', 'public.things', 'product_id=thing',
	"CREATE TABLE public.things (thing uuid PRIMARY KEY, category text); INSERT INTO public.things VALUES ('10000000-0000-0000-0000-00000000000A', 'U'), ('20000000-0000-0000-0000-00000000000B', 'U')");
mirror_becomes_the_catalog('a uuid key', 'thing', 'category', 'public.things');
view(1, '10000000-0000-0000-0000-00000000000a');
list_becomes('a uuid key: lists', 1, '20000000-0000-0000-0000-00000000000b');
$reco->sql("UPDATE public.things SET category = 'V' WHERE thing = '20000000-0000-0000-0000-00000000000b'");
list_becomes('a uuid key: changes', 1, 'none');

follow_table('commas', 'public.commas', 'product_id = "a,b", category="c = ""d"""',
	q{CREATE TABLE public.commas ("a,b" text PRIMARY KEY, "c = ""d""" text); INSERT INTO public.commas VALUES ('k1', 'K'), ('k2', 'K')});
mirror_becomes_the_catalog('names with commas, equals signs and quotes', '"a,b"', '"c = ""d"""', 'public.commas');
$reco->verify('commas');
for my $bad ('product_id="a', 'product_id=a, product_id=b', 'product_id=', 'product_id=a b', 'price=cost', 'product_id=a,', 'product_id=""')
{
	like($reco->sql_error("ALTER SYSTEM SET reco.catalog_columns = '$bad'"), qr/22023/, "$bad is refused");
}
for my $bad ('a.b.c.d', 'public.', '"public.products', 'no name')
{
	like($reco->sql_error("ALTER SYSTEM SET reco.catalog_table = '$bad'"), qr/22023/, "$bad is refused");
}

follow_table('partitioned', '"Shop"."Product List"', 'product_id="SKU", category="Path/To"', <<'END');
CREATE SCHEMA "Shop";
CREATE TABLE "Shop"."Product List" ("SKU" text, "Path/To" text, "Region" text, PRIMARY KEY ("SKU", "Region")) PARTITION BY LIST ("Region");
CREATE TABLE "Shop"."North" PARTITION OF "Shop"."Product List" FOR VALUES IN ('north');
CREATE TABLE "Shop"."South" PARTITION OF "Shop"."Product List" FOR VALUES IN ('south');
INSERT INTO "Shop"."Product List" VALUES ('x1', 'X', 'north'), ('x2', 'X', 'north'), ('x2', 'Y', 'south'), ('x3', 'X', 'south'), ('y1', 'Y', 'south');
END
my @partitioned = ('"SKU"', '"Path/To"', '"Shop"."Product List"');
mirror_becomes_the_catalog('a partitioned catalog, mixed-case names, two rows of one key', @partitioned);
view(1, 'x1');
list_becomes('partitioned: lists', 1, 'x2 x3');
$reco->sql(q{DELETE FROM "Shop"."Product List" WHERE "SKU" = 'x2' AND "Region" = 'north'});
list_becomes('partitioned: the other row of the key counts', 1, 'x3');
$reco->sql(q{UPDATE "Shop"."Product List" SET "Region" = 'north' WHERE "SKU" = 'x3'; UPDATE "Shop"."Product List" SET "Path/To" = 'X' WHERE "SKU" = 'y1'});
list_becomes('partitioned: a row goes to another partition', 1, 'x3 y1');
$reco->sql(q{ALTER TABLE "Shop"."Product List" DETACH PARTITION "Shop"."South"});
list_becomes('partitioned: a partition is detached', 1, 'x3');
$reco->sql(q{CREATE TABLE "Shop"."West" PARTITION OF "Shop"."Product List" FOR VALUES IN ('west'); INSERT INTO "Shop"."West" VALUES ('w1', 'X', 'west')});
list_becomes('partitioned: a partition is added', 1, 'w1 x3');
$reco->sql(q{TRUNCATE "Shop"."West"});
list_becomes('partitioned: a partition is truncated', 1, 'x3');
$reco->verify('partitioned');

# Who holds reco's lock may wait for what a worker has locked, but no worker then waits for that lock.
sub follow_waits
{
	my ($name) = @_;

	$reco->wait_for("$name waits for a client", q{SELECT count(*) > 0 FROM pg_locks l JOIN pg_stat_activity a USING (pid)
		WHERE a.backend_type = 'reco follow' AND NOT l.granted});
}

my $client = $reco->session;
my $worker = $reco->sql($follow);
$client->say("BEGIN; INSERT INTO reco.activity VALUES ('page_view', 1, 'x1', NULL, now()); SELECT FROM reco.apply_events();");
$reco->set('reco.popularity_interval', '1s');
follow_waits('a popularity');
is($client->say('TRUNCATE reco.activity; COMMIT;'), '', 'who may empty the activity');
$reco->set('reco.popularity_interval', '1h');
is($reco->sql($follow), $worker, 'and the worker goes on');
$reco->verify('a popularity beside TRUNCATE');

$client->say("BEGIN; INSERT INTO reco.activity VALUES ('page_view', 1, 'x1', NULL, now()); SELECT FROM reco.apply_events();");
$reco->sql(q{INSERT INTO "Shop"."Product List" VALUES ('x4', 'X', 'north')});
follow_waits('a change of the catalog');
my $taken = '';
my $taking = IPC::Run::start([ qw(psql -XqtA -d shop -c), 'SELECT reco_take_popularity()' ], '>', \$taken, '2>&1');
$reco->wait_for('a popularity taken by hand waits, too',
	q{SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT reco_take_popularity()' AND wait_event_type = 'Lock'}, 1);
$client->say('COMMIT;');
$taking->finish;
like($taken, qr/^[tf]$/, 'and is taken after both');
list_becomes('the change of the catalog', 1, 'x3 x4');
is($reco->sql($follow), $worker, 'and the worker goes on');
$reco->verify('a popularity beside a change of the catalog');

# 4. A table that does not fit, or is not there yet
follow_table('none', 'public.later', '', '');
$reco->wait_for('a missing table is named in reco_status()', q{SELECT count(*) > 0 FROM reco_status() s WHERE s::text LIKE '%later%'});
$reco->sql("CREATE TABLE public.later (product_id text, category text)");
$reco->wait_for('a table without a key is refused with a hint', q{SELECT count(*) > 0 FROM reco_status() s WHERE s::text ~* 'replica identity|primary key'}, 't', 60);
$reco->sql("ALTER TABLE public.later ADD PRIMARY KEY (product_id); INSERT INTO public.later VALUES ('l1', 'L'), ('l2', 'L')");
$reco->wait_for('mended, it is followed', 'SELECT count(*) FROM reco.product', 2, 90);
$reco->verify('mended');
# What is too long for the mirror's key or its index of categories is none, and holds nobody else up
my $long = q{(SELECT string_agg(md5(i::text), '') FROM generate_series(1, 100) i)};
$reco->sql("UPDATE public.later SET category = $long WHERE product_id = 'l1'; INSERT INTO public.later VALUES ('l3', $long), (left($long, 600), 'L'), ('l4', 'M')");
$reco->wait_for('a category that is too long is none', q{SELECT string_agg(product_id || coalesce(category, '-'), ' ' ORDER BY product_id) FROM reco.product}, 'l1- l2L l3- l4M');
$reco->verify('beside what is too long');
$reco->sql("SELECT pg_terminate_backend(pid) FROM ($follow) f; DELETE FROM public.later WHERE product_id = 'l4'");
$reco->wait_for('nor where all is compared', q{SELECT string_agg(product_id || coalesce(category, '-'), ' ' ORDER BY product_id) FROM reco.product}, 'l1- l2L l3-');
like(do { local (@ARGV, $/) = "$reco->{dir}/postgres.log"; <> }, qr/WARNING:  categories of catalog table public.later that are longer than 2048 bytes count as none/, 'the log says so');
# Of what is larger than a text can be none is made
my $huge = q{(SELECT h || h || h || h || h || h || h FROM (SELECT B'0'::bit(83886080)::varbit || B'0'::bit(83886080)::varbit) x (h))};
$reco->sql(<<"END");
DROP TABLE public.later;
CREATE TABLE public.later (product_id varbit, category varbit);
ALTER TABLE public.later REPLICA IDENTITY FULL;
INSERT INTO public.later VALUES (B'1', B'11'), (B'10', B'00');
END
$reco->wait_for('a table of other types', q{SELECT string_agg(product_id || category, ' ' ORDER BY product_id) FROM reco.product}, '111 1000', 60);
$reco->sql("UPDATE public.later SET category = $huge WHERE product_id = B'1'; INSERT INTO public.later VALUES ($huge, B'00'), (B'101', B'00')");
$reco->wait_for('a value that no text can hold is too long', q{SELECT string_agg(product_id || coalesce(category, '-'), ' ' ORDER BY product_id) FROM reco.product}, '1- 1000 10100', 60);
$reco->verify('beside it');
$reco->sql('DROP TABLE public.later');
$reco->wait_for('dropped: said so', q{SELECT count(*) > 0 FROM reco_status() s WHERE s::text LIKE '%later%'});

done_testing;
