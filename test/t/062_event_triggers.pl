# A DBA's event trigger that fails for reco's own DDL, or never ends, is named; ingestion needs none of it now, and goes on.
use strict;
use warnings;
use RecoTest;
use Test::More;

my $reco = RecoTest->start(services => ['postgres'], settings => {
	'reco.trending_window' => '2s', 'reco.recent_window' => '4s', 'reco.max_future' => '2s' });
my $ingest = q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'reco ingest'};
my $newest = q{SELECT max(inhrelid::bigint) FROM pg_inherits WHERE inhparent = 'reco.activity'::regclass};
my $expired = q{SELECT count(*) FROM pg_inherits JOIN pg_class c ON c.oid = inhrelid WHERE inhparent = 'reco.activity'::regclass
	AND substring(pg_get_expr(relpartbound, c.oid) FROM $r$TO \('(.*)'\)$r$)::timestamptz <= (SELECT horizon - interval '2 s' FROM reco.state)};

$reco->sql("INSERT INTO public.products SELECT 'p' || i, 'c' FROM generate_series(1, 9) i");
$reco->wait_for('the mirror', 'SELECT count(*) FROM reco.product', 9);
$reco->wait_for('the ingest worker', "SELECT count(*) FROM ($ingest) w", 1);
my $worker = $reco->sql($ingest);

sub goes_on
{
	my ($name, $event, $body, $says) = @_;

	$reco->sql("CREATE FUNCTION public.f_$name() RETURNS event_trigger LANGUAGE plpgsql AS \$\$ BEGIN $body; END \$\$;
		CREATE EVENT TRIGGER $name ON $event EXECUTE FUNCTION public.f_$name()");
	$reco->wait_for("$name: reco_status() names it", "SELECT count(*) FROM reco_status() WHERE component = 'ingest' AND last_error LIKE '%$says%event trigger $name)%'", 1, 60);
	my $clock = $reco->sql('SELECT clock FROM reco.state');
	$reco->sql("INSERT INTO reco.activity (event_type, user_id, product_id) VALUES ('page_view', 1, 'p1')");
	$reco->wait_for("$name: lists", 'SELECT count(*) FROM reco.user_recommendations', 1);
	$reco->wait_for("$name: the clock goes on", "SELECT clock > '$clock'::timestamptz + interval '5 s' FROM reco.state");
	$reco->verify($name);
	is($reco->sql($ingest), $worker, "$name: by the same worker");
	my $before = $reco->sql($newest);
	$reco->sql("SET statement_timeout = '20s'; DROP EVENT TRIGGER $name");
	$reco->wait_for("$name: that is over", "SELECT count(*) FROM reco_status() WHERE component = 'ingest' AND health = 'ok'", 1, 60);
	$reco->wait_for("$name: partitions are made again", "SELECT ($newest) > $before");
	$reco->wait_for("$name: and dropped", $expired, 0);
	is($reco->sql($ingest), $worker, "$name: still by the same worker");
}

# not the first: the second is the one that fails
$reco->sql('CREATE FUNCTION public.harmless() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN END $$;
	CREATE EVENT TRIGGER a_harmless ON ddl_command_end EXECUTE FUNCTION public.harmless()');
$reco->sql('CREATE SEQUENCE public.attempts');
my $begin = time;
goes_on('frozen', 'ddl_command_start', q{IF tg_tag = 'CREATE TABLE' THEN PERFORM nextval('public.attempts'); END IF;
	RAISE EXCEPTION 'DDL is frozen'}, 'DDL is frozen');
# pauses of 2, 4, 8, ... s
cmp_ok(2 ** $reco->sql('SELECT last_value FROM public.attempts') - 2, '<=', time - $begin + 1, 'attempts with pauses that grow');
goes_on('audit', 'ddl_command_end', q{INSERT INTO nowhere.audit VALUES (tg_tag)}, 'nowhere.audit');
goes_on('keep', 'sql_drop', q{RAISE EXCEPTION 'nothing is dropped here'}, 'nothing is dropped here');
goes_on('sleepy', q{ddl_command_end WHEN TAG IN ('CREATE TABLE')}, q{PERFORM pg_sleep(3600)}, 'canceling statement');
done_testing;
