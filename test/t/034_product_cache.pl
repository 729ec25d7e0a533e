# One cache of the mirror for all processes: built once, changed by transactions that commit, and never leaked.
use strict;
use warnings;
use RecoTest;
use Test::More;

my $reco = RecoTest->start(services => [qw(postgres)], settings => { 'reco.enabled' => 'off' });

sub view { return "INSERT INTO reco.activity VALUES " . join(', ', map { "('page_view', $_[0], '$_', NULL, '2100-01-01 12:00Z')" } @_[1 .. $#_]); }
sub list { return $reco->sql("SELECT string_agg(product_id, ' ' ORDER BY rank) FROM reco_for_user($_[0])"); }
sub right { is($reco->sql('SELECT * FROM reco.verify_state(1)'), '', "$_[0]: reco_verify() finds nothing"); return; }
sub counter { return $reco->sql("SELECT value FROM reco.counters() WHERE name = 'product_$_[0]'", $_[1]); }

# What is in use, after a writer has built what is missing, and another one has freed what nobody reads.
sub used
{
	$reco->sql('SELECT reco.reclaim()') for 1, 2;
	return counter('versions') . ' versions, ' . counter('bytes') . ' bytes';
}

# The version that reco.state names is not there.
sub lose { $reco->sql('UPDATE reco.state SET mirror_version = mirror_version + 1'); return; }

# Starts a psql with a command that goes on while the test does.
sub begin
{
	my ($command) = @_;
	my $said = '';

	return { run => IPC::Run::start([ qw(psql -XqtA -v VERBOSITY=verbose -d shop -c), $command ], '>', \$said, '2>&1'), said => \$said };
}

sub end { $_->{run}->finish for @_; return join('', map { ${ $_->{said} } } @_); }

$reco->sql("SELECT reco_tick('2100-01-01 12:00Z')");
$reco->sql("INSERT INTO reco.product SELECT 'p' || i, 'c' || i % 50 FROM generate_series(1, 5000) i");

# Many sessions begin at once: one of them builds.
lose();
my $builds = counter('builds');
is(end(map { begin(view($_, "p$_")) } 1 .. 24), '', 'sessions that begin at once');
is(counter('builds'), $builds + 1, 'build the cache once');
right('many sessions');
$builds = counter('builds');

# A change that is rolled back, or a part of one, leaves nothing.
my $before = used();
for my $change ("UPDATE reco.product SET category = 'new' || category WHERE product_id LIKE 'p1%'", 'DELETE FROM reco.product WHERE product_id < $$p3$$',
	"INSERT INTO reco.product SELECT 'q' || i, 'd' || i FROM generate_series(1, 300) i ON CONFLICT DO NOTHING", 'TRUNCATE reco.product',
	'SELECT reco_rebuild()', 'SELECT reco_take_popularity()')
{
	$reco->sql("BEGIN; $change; " . view(1, 'p2') . '; ROLLBACK');
	$reco->sql("BEGIN; SAVEPOINT a; $change; SAVEPOINT b; $change; ROLLBACK TO b; ROLLBACK TO a; " . view(1, 'p3') . '; COMMIT');
	$reco->sql("BEGIN; " . view(1, 'p4') . "; SAVEPOINT a; $change; RELEASE a; ROLLBACK");
	is(used(), $before, "$change: what was rolled back is freed");
	right($change);
}
$reco->sql("BEGIN; UPDATE reco.product SET category = 'kept' WHERE product_id = 'p60'; SAVEPOINT a;"
	  . "UPDATE reco.product SET category = 'lost' WHERE product_id IN ('p60', 'p61', 'p62'); ROLLBACK TO a;"
	  . "UPDATE reco.product SET category = 'kept' WHERE product_id = 'p62'; " . view(30, 'p60') . '; COMMIT');
is(list(30), 'p62', 'what a savepoint has kept is right');
right('a savepoint in between');

# Readers beside fifty versions.
my @readers = map { begin("DO 'BEGIN FOR i IN 1 .. 300 LOOP PERFORM count(*) FROM reco.user_recommendations; PERFORM reco_for_user(i % 24); END LOOP; END'") } 1 .. 4;
$reco->sql("UPDATE reco.product SET category = 'm' || $_ % 3 WHERE product_id LIKE 'p${_}0%'") for 1 .. 50;
is(end(@readers), '', 'readers beside fifty versions');
right('fifty versions');
like(used(), qr/^1 versions/, 'of which one is left');
$builds = counter('builds');
$reco->sql("UPDATE reco.product SET category = 'n' WHERE product_id = 'p5'");
is(counter('builds'), $builds, 'a change builds nothing anew');

# Who builds is cancelled, terminated, killed: the next one builds.
my $holder = $reco->session;
for my $end ('pg_cancel_backend', 'pg_terminate_backend')
{
	lose();
	$before = used();
	lose();
	$holder->say('BEGIN; LOCK TABLE reco.product;');
	my $builder = begin('SELECT reco.reclaim()');
	$reco->wait_for('who builds waits', 'SELECT count(*) FROM pg_locks WHERE NOT granted', 1);
	my $waiter = begin(view(40, 'p40'));
	$reco->wait_for('the next one waits for it', 'SELECT count(*) FROM pg_locks WHERE NOT granted', 2);
	$reco->sql("SELECT $end(pid) FROM pg_locks WHERE NOT granted AND locktype = 'relation'");
	like(end($builder), qr/57\w14|57P01|terminat|cancel/, "$end ends it");
	$holder->say('COMMIT;');
	is(end($waiter), '', 'the next one builds');
	is(used(), $before, 'and nothing is left behind');
	right($end);
}
lose();
$holder->say('BEGIN; LOCK TABLE reco.product;');
my $killed = begin('SELECT reco.reclaim()');
$reco->wait_for('who builds waits', 'SELECT count(*) FROM pg_locks WHERE NOT granted', 1);
kill 9, $reco->sql('SELECT pid FROM pg_locks WHERE NOT granted');
end($killed);
$holder->close;
$reco->wait_for('the server starts again', 'SELECT count(*) FROM reco.product', 0);
is(counter('versions'), 0, 'with an empty cache');
$reco->sql("SELECT reco_tick('2100-01-01 12:00Z')");
$reco->sql("INSERT INTO reco.product SELECT 'p' || i, 'c' || i % 50 FROM generate_series(1, 5000) i");
$reco->sql(view(1, 'p1'));
like(list(1), qr/^p1001 p101 p1051 /, 'lists are computed again');
right('after a crash');

# An extension, and a database, that is dropped takes its versions along.
$before = used();
$reco->sql('CREATE DATABASE other');
$reco->sql("CREATE EXTENSION reco; SELECT reco_tick('2100-01-01 12:00Z'); INSERT INTO reco.product VALUES ('a', 'x'), ('b', 'x')", 'other');
$reco->sql(view(1, 'a'), 'other');
is($reco->sql('SELECT product_id FROM reco_for_user(1)', 'other'), 'b', 'another database has its own lists');
like(used(), qr/^2 versions/, 'and its own version');
$reco->sql('BEGIN; DROP EXTENSION reco; ROLLBACK', 'other');
$reco->sql(view(2, 'b'), 'other');
is($reco->sql('SELECT product_id FROM reco_for_user(2)', 'other'), 'a', 'a DROP EXTENSION that is rolled back');
$reco->sql('DROP EXTENSION reco', 'other');
is(used(), $before, 'DROP EXTENSION frees it');
$reco->sql("CREATE EXTENSION reco; SELECT reco_tick('2100-01-01 12:00Z'); INSERT INTO reco.product VALUES ('a', 'x')", 'other');
$reco->sql("BEGIN; INSERT INTO reco.product VALUES ('b', 'x'); DROP EXTENSION reco; COMMIT", 'other');
is(used(), $before, 'and what its transaction has changed');
$reco->sql("CREATE EXTENSION reco; SELECT reco_tick('2100-01-01 12:00Z'); INSERT INTO reco.product VALUES ('a', 'x')", 'other');
like(used(), qr/^2 versions/, 'a second CREATE EXTENSION');
$reco->sql('DROP DATABASE other');
is(used(), $before, 'DROP DATABASE frees it');
right('beside another database');

# A product whose id has no form in UTF-8 holds up nobody.
$reco->sql(q{CREATE DATABASE euc ENCODING 'EUC_JP' LOCALE 'C' TEMPLATE template0});
$reco->sql(q{SET client_encoding = 'EUC_JP'; CREATE EXTENSION reco; SELECT reco_tick('2100-01-01 12:00Z');
	INSERT INTO reco.product VALUES ('a', 'x'), (E'\\xa9\\xa1', 'x'), (E'\\xa4\\xa2', 'x')}, 'euc');
$reco->sql(view(1, 'a'), 'euc');
is($reco->sql(q{SELECT string_agg(encode(product_id::bytea, 'hex'), ' ' ORDER BY rank) FROM reco_for_user(1)}, 'euc'), 'a4a2 a9a1',
	'a product whose id is not in Unicode is recommended');
$reco->sql('DROP DATABASE euc');

# Memory that does not suffice: an error that says what to set, and nothing is lost.
$reco->set('reco.product_memory', '4MB');
like($reco->sql_error("INSERT INTO reco.product SELECT 'more' || i, 'c' || i % 50 FROM generate_series(1, 60000) i"),
	qr/53400: .*do not fit into shared memory.*HINT: .*reco\.product_memory/s, 'a catalog that does not fit');
is(used(), $before, 'leaves nothing');
$reco->sql(view(2, 'p2'));
right('memory that does not suffice');
$reco->set('reco.product_memory', '1GB');
$reco->sql("INSERT INTO reco.product SELECT 'more' || i, 'c' || i % 50 FROM generate_series(1, 60000) i");
right('with more memory');

# The follow worker says so, and goes on when there is more.
$reco->sql("INSERT INTO public.products SELECT 'more' || i, 'c' || i % 50 FROM generate_series(1, 100000) i");
$reco->sql('DROP EXTENSION reco');
$reco->set('reco.product_memory', '4MB');
$reco->set('reco.enabled', 'on');
$reco->sql('CREATE EXTENSION reco');
$reco->wait_for('reco_status() says what to do',
	"SELECT last_error LIKE '%do not fit into shared memory%' FROM reco_status() WHERE component = 'follow'");
$reco->set('reco.product_memory', '1GB');
$reco->wait_for('the catalog is mirrored when it may be', 'SELECT count(*) FROM reco.product', 100000, 60);
$reco->wait_for('all is right', 'SELECT count(*) FROM reco_verify()', 0);

done_testing;
