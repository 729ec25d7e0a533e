# The lists that a change of the catalog touches are found without reco's lock, whatever is written meanwhile.
use strict;
use warnings;
use RecoTest;
use Test::More;

my $reco = RecoTest->start(
	services => [qw(postgres)],
	settings => { 'reco.popularity_interval' => '1h', 'reco.max_recommendations' => 3, 'reco.top_categories' => 2 });

sub counter { return $reco->sql("SELECT value FROM reco.counters() WHERE name = '$_[0]'"); }

sub list_becomes
{
	my ($name, $user, $list) = @_;

	$reco->wait_for($name, "SELECT coalesce((SELECT array_to_string(recommended_products, ' ') FROM reco.user_recommendations WHERE user_id = $user), 'none')", $list);
}

# Views of 4,000 products in 400 categories, many of equal popularity, by fewer users than make a generation begin.
my $view = q{SELECT 'page_view', %s, 'p' || (power(random(), 2) * 4000)::int, NULL, now()};
$reco->sql("INSERT INTO public.products SELECT 'p' || i, 'c' || i % 400 FROM generate_series(0, 3999) i");
$reco->wait_for('the mirror', 'SELECT count(*) FROM reco.product', 4000);
$reco->sql('INSERT INTO reco.activity ' . sprintf($view, 'i % 7000') . ' FROM generate_series(0, 89999) i');
$reco->sql('SELECT reco_take_popularity()');
$reco->wait_for('a popularity', 'SELECT count(*) FROM reco.user_state u, reco.state s WHERE u.generation <> s.generation', 0);
my $generation = $reco->sql('SELECT generation FROM reco.state');

# 1. All kinds of changes, beside views that come all the time
$reco->sql(<<"END");
CREATE TABLE stop (n int);
CREATE PROCEDURE view() LANGUAGE plpgsql AS \$\$
BEGIN
	WHILE NOT EXISTS (SELECT FROM stop) LOOP
		INSERT INTO reco.activity @{[sprintf($view, '(random() * 9000)::int')]} FROM generate_series(1, 20);
		COMMIT;
	END LOOP;
END \$\$;
END
my $viewer = $reco->session;
$viewer->{in} .= "CALL view();\n";
$viewer->{run}->pump_nb;
for my $round (1 .. 150)
{
	my ($product, $category) = map { int(rand($_)) } 4200, 410;

	$reco->sql((
		"UPDATE public.products SET category = 'c$category' WHERE product_id IN ('p$product', 'p@{[$product / 2 | 0]}')",
		"INSERT INTO public.products VALUES ('p$product', 'c$category') ON CONFLICT (product_id) DO UPDATE SET category = NULL",
		"DELETE FROM public.products WHERE product_id = 'p$product'",
		"UPDATE public.products SET product_id = 'a' || product_id WHERE product_id = 'p$product'",
		"UPDATE public.products SET category = 'c$category' WHERE category = 'c@{[$product % 400]}'",
	)[$round % 5]);
}
$reco->sql('SELECT reco_follow_wait(30000)');
$reco->sql('INSERT INTO stop VALUES (1)');
$viewer->close;
$reco->verify('random changes');
is($reco->sql('SELECT generation FROM reco.state'), $generation, 'without a sweep that would have covered what was forgotten');
cmp_ok(counter('follow.prescanned'), '>', 0.9 * (counter('follow.catalog') - 4000), 'nearly all changes were prescanned');

# 2. What is written between the search and the change
sub beside_locked_mirror
{
	my ($name, $change, $meanwhile) = @_;
	my $prescanned = counter('follow.prescanned');
	my $locker = $reco->session;

	$locker->say('BEGIN; LOCK TABLE reco.product IN SHARE MODE;');
	$reco->sql($change);
	$reco->wait_for("$name: the worker wants to write",
		"SELECT count(*) FROM pg_locks WHERE relation = 'reco.product'::regclass AND NOT granted", 1);
	$meanwhile->($locker);
	$locker->say('COMMIT;');
	$locker->close;
	$reco->sql('SELECT reco_follow_wait(30000)');
	return counter('follow.prescanned') - $prescanned;
}

sub view
{
	my ($user, @products) = @_;

	$reco->sql('INSERT INTO reco.activity VALUES ' . join ', ', map { "('page_view', $user, '$_', NULL, now())" } @products);
}

$reco->sql("INSERT INTO public.products SELECT p, 'Z' FROM unnest('{z1,z2,z3,z4,z5}'::text[]) p");
$reco->sql('SELECT reco_follow_wait(30000)');
view(50001, 'z1');
view(50003, 'z1', 'z2');
list_becomes('before', 50001, 'z2 z3 z4');
view(50005, 'x1');
view(50006, 'x2');
$reco->sql("INSERT INTO public.products SELECT p, 'X' FROM unnest('{x1,x2,x3}'::text[]) p");
list_becomes('products that enter after they were viewed', 50005, 'x2 x3');
is(beside_locked_mirror('a product leaves', "DELETE FROM public.products WHERE product_id = 'z3'", sub { view(50002, 'z1'); view(50003, 'z4') }), 1, 'prescanned');
list_becomes('a list that held it', 50001, 'z2 z4 z5');
list_becomes('one that came to hold it meanwhile', 50002, 'z2 z4 z5');
list_becomes('one that changed meanwhile', 50003, 'z5');
is(beside_locked_mirror('a product enters', "INSERT INTO public.products VALUES ('z0', 'Z')", sub { view(50004, 'z0', 'z5') }), 0,
	'viewed meanwhile for the first time: the prescan is invalid');
list_becomes('lists that it enters', 50001, 'z0 z2 z4');
list_becomes('the list of who viewed it', 50004, 'z1 z2 z4');
is(beside_locked_mirror('somebody changes the mirror', "DELETE FROM public.products WHERE product_id = 'z2'",
		sub { $_[0]->say("UPDATE reco.product SET category = NULL WHERE product_id = 'z4';") }), 0, 'not prescanned');
list_becomes('both changes', 50001, 'z0 z5');
$reco->sql("UPDATE reco.product SET category = 'Z' WHERE product_id = 'z4'");
$reco->verify('what was written meanwhile');

# 3. A worker that starts compares the whole catalog, and searches before it writes, too
my $prescanned = counter('follow.prescanned');
$reco->sql("UPDATE reco.product SET category = 'X' WHERE product_id = 'z5'");
list_becomes('a mirror that is not the catalog', 50005, 'x2 x3 z5');
$reco->sql("SELECT pg_terminate_backend(pid) FROM reco.workers() WHERE component = 'follow'");
list_becomes('the catalog again', 50005, 'x2 x3');
is(counter('follow.prescanned') - $prescanned, 1, 'prescanned at the start');
$reco->verify('a comparison of everything');

done_testing();
