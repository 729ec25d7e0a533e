# The workers run as reco.role, which is not a superuser: what it needs is said one by one, what it owns is all of reco,
# and it becomes nothing more.
use strict;
use warnings;
use IPC::Run;
use RecoTest;
use Test::More;

delete $ENV{RECO_TEST_ROLE};
my $reco = RecoTest->start(settings => { 'reco.role' => 'engine' });

sub wait_for_trouble
{
	my ($name, $pattern) = @_;

	$reco->wait_for($name, qq{SELECT last_error ~ \$\$$pattern\$\$ AND health = 'failing' FROM reco_status() WHERE component = 'ingest'});
}

sub wait_for_workers
{
	my ($role) = @_;

	$reco->wait_for("all workers run as $role", <<END, "$role follow,$role ingest,$role publish", 60);
SELECT string_agg(usename || substr(backend_type, 5), ',' ORDER BY backend_type) FROM pg_stat_activity
WHERE backend_type IN ('reco ingest', 'reco follow', 'reco publish')
  AND (SELECT count(*) FROM reco_status() WHERE component IN ('ingest', 'follow', 'publish') AND health = 'ok') = 3
END
}

# members of the extension that are not the role's
sub others_objects
{
	my ($role, $database) = @_;

	return $reco->sql(<<END, $database);
SELECT string_agg(pg_describe_object(classid, objid, 0), ',')
FROM pg_depend JOIN pg_extension e ON e.oid = refobjid AND refclassid = 'pg_extension'::regclass
WHERE extname = 'reco' AND deptype = 'e'
  AND NOT EXISTS (SELECT FROM pg_class WHERE oid = objid AND classid = 'pg_class'::regclass AND relowner = '$role'::regrole)
  AND NOT EXISTS (SELECT FROM pg_proc WHERE oid = objid AND classid = 'pg_proc'::regclass AND proowner = '$role'::regrole)
  AND NOT EXISTS (SELECT FROM pg_namespace WHERE oid = objid AND classid = 'pg_namespace'::regclass AND nspowner = '$role'::regrole)
  AND NOT EXISTS (SELECT FROM pg_type WHERE oid = objid AND classid = 'pg_type'::regclass AND typowner = '$role'::regrole)
END
}

sub send_and_verify
{
	my ($name, $user) = @_;

	$reco->produce(event('page_view', $user, 'a'), event('page_view', $user, 'b'));
	$reco->wait_for_ingest("$name: events are ingested");
	$reco->wait_for("$name: the list is right", "SELECT recommended_products FROM reco.user_recommendations WHERE user_id = $user", '{c}');
	$reco->verify($name);
}

# 1. What the role needs is said, with what to run
$reco->sql('REVOKE CONNECT ON DATABASE shop FROM PUBLIC');
wait_for_trouble('no such role', 'role "engine" does not exist.*CREATE ROLE engine LOGIN REPLICATION IN ROLE pg_read_all_stats');
$reco->sql('CREATE ROLE engine');
wait_for_trouble('no LOGIN', 'role "engine" is not permitted to log in.*ALTER ROLE engine LOGIN');
$reco->sql('ALTER ROLE engine LOGIN');
wait_for_trouble('no REPLICATION', 'role "engine" lacks REPLICATION.*ALTER ROLE engine REPLICATION');
$reco->sql('ALTER ROLE engine REPLICATION');
wait_for_trouble('no statistics', 'pg_read_all_stats.*GRANT pg_read_all_stats TO engine');
$reco->sql('GRANT pg_read_all_stats TO engine');
wait_for_trouble('no CONNECT', 'may not connect to database "shop".*GRANT CONNECT ON DATABASE shop TO engine');
$reco->sql('GRANT CONNECT ON DATABASE shop TO engine');
wait_for_trouble('the objects are another\'s', 'belongs to role "postgres", but reco.role is "engine".*reco.assign_role');
$reco->sql('SELECT reco.assign_role()');
$reco->wait_for('the catalog may not be read', q{SELECT last_error ~ 'permission denied for .*products' FROM reco_status() WHERE component = 'follow'});
$reco->sql("GRANT SELECT ON public.products TO engine; INSERT INTO public.products SELECT p, 'x' FROM unnest('{a,b,c}'::text[]) p");
wait_for_workers('engine');
$reco->wait_for('the errors are over', q{SELECT bool_and(last_error_over) FROM reco_status() WHERE component IN ('ingest', 'follow', 'publish')}, 't', 60);
is($reco->sql(q{SELECT state FROM reco_status() WHERE component = 'role'}), 'the workers run as "engine"', 'reco_status() says whom they run as');
send_and_verify('as the role', 1);

# 2. It owns all of reco but what gives reco away; partitions come and go as its own and the extension's
is(others_objects('engine'), 'function reco.assign_role()', 'all objects are the role\'s');
my $partitions = q{SELECT count(*) FROM pg_inherits WHERE inhparent = 'reco.activity'::regclass};
$reco->sql('CREATE TABLE public.commands (tag text); GRANT INSERT ON public.commands TO PUBLIC');
$reco->sql(q{CREATE FUNCTION public.note() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO public.commands VALUES (tg_tag); END'});
$reco->sql('CREATE EVENT TRIGGER note ON ddl_command_end EXECUTE FUNCTION public.note()');
my $before = $reco->sql($partitions);
$reco->set('reco.retention', '120h');
$reco->wait_for('partitions are made', "SELECT ($partitions) > $before");
is(others_objects('engine'), 'function reco.assign_role()', 'new ones are its own');
is($reco->sql(q{SELECT count(*) FROM pg_inherits i WHERE inhparent = 'reco.activity'::regclass
	AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = i.inhrelid AND d.deptype = 'e')}), 0, 'and members of the extension');
is($reco->sql(q{SELECT count(*) FROM public.commands WHERE tag ~ 'EXTENSION'}), 0, 'without ALTER EXTENSION');
isnt($reco->sql('SELECT count(*) FROM public.commands'), 0, 'the event trigger has seen the others');
$reco->sql('DROP EVENT TRIGGER note');
$before = $reco->sql($partitions);
$reco->set('reco.retention', '0');
$reco->wait_for('old ones are dropped', "SELECT ($partitions) < $before", 't', 60);
$reco->verify('after that');

# 3. It becomes nothing more, whoever runs its code
$reco->sql(<<'END');
CREATE TABLE public.ran_as (what text, session_role text, who text, became text);
GRANT ALL ON public.ran_as TO PUBLIC;
SET SESSION AUTHORIZATION engine;
CREATE FUNCTION reco.evil() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
	who text := current_user;
BEGIN
	BEGIN
		RESET ROLE;
		EXCEPTION WHEN OTHERS THEN NULL;
	END;
	BEGIN
		SET SESSION AUTHORIZATION DEFAULT;
		EXCEPTION WHEN OTHERS THEN NULL;
	END;
	INSERT INTO public.ran_as VALUES (tg_argv[0], session_user, who, current_user);
	RETURN NULL;
END $$;
CREATE TRIGGER evil AFTER UPDATE ON reco.state FOR EACH STATEMENT EXECUTE FUNCTION reco.evil('state');
END
$reco->wait_for('its trigger runs in the worker', q{SELECT count(*) > 2 FROM public.ran_as});
is($reco->sql('SELECT DISTINCT session_role, who, became FROM public.ran_as'), 'engine|engine|engine', 'as the role, the session\'s user too');
$reco->sql('TRUNCATE public.ran_as');
$reco->sql($_) for 'SELECT reco_rebuild()', 'SELECT reco_take_popularity()', 'SELECT reco_sweep()', 'SELECT reco.reclaim()',
	"INSERT INTO reco.activity VALUES ('page_view', 9, 'a', NULL, now())", 'DELETE FROM reco.activity WHERE user_id = 9',
	'SELECT * FROM reco_status(), reco_trending(), reco_for_user(1)';
is($reco->sql(q{SELECT count(*) FROM public.ran_as WHERE session_role = 'postgres'}) > 0 ? 1 : 0, 1, 'a superuser\'s calls run it');
is($reco->sql(q{SELECT count(*) FROM public.ran_as WHERE who <> 'engine' OR became <> 'engine'}), 0, 'but never as the superuser');
$reco->sql('DROP TRIGGER evil ON reco.state; DROP FUNCTION reco.evil');
is($reco->sql(<<'END'), '', 'no function runs with a superuser\'s rights');
SELECT string_agg(p.oid::regprocedure::text, ',') FROM pg_proc p JOIN pg_roles r ON r.oid = proowner JOIN pg_depend d ON d.objid = p.oid AND d.deptype = 'e'
WHERE prosecdef AND rolsuper AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'reco')
END
like($reco->sql_error("SET SESSION AUTHORIZATION engine; $_"), qr/ERROR:  42501/, "the role may not: $_")
  for 'SELECT reco.assign_role()', 'ALTER EXTENSION reco DROP TABLE reco.offsets', 'DROP EXTENSION reco', 'ALTER FUNCTION reco.assign_role() SECURITY DEFINER';

# 4. What may happen to a role
like($reco->sql_error($_), qr/ERROR:  2BP01/, $_) for 'DROP OWNED BY engine', 'DROP ROLE engine';
$reco->sql('CREATE ROLE heir; REASSIGN OWNED BY engine TO heir');
wait_for_trouble('REASSIGN OWNED', 'belongs to role "heir", but reco.role is "engine".*reco.assign_role');
$reco->sql('SELECT reco.assign_role()');
wait_for_workers('engine');
send_and_verify('after REASSIGN OWNED', 2);
$reco->sql('ALTER ROLE engine RENAME TO motor');
wait_for_trouble('a role with another name', 'role "engine" does not exist');
$reco->wait_for('the workers have left', q{SELECT count(*) FROM pg_stat_activity WHERE backend_type IN ('reco ingest', 'reco follow', 'reco publish')}, 0);
$reco->sql('ALTER ROLE motor RENAME TO engine');
wait_for_workers('engine');
$reco->sql('ALTER ROLE engine NOLOGIN');
wait_for_trouble('NOLOGIN while the workers run', 'is not permitted to log in');
$reco->sql('ALTER ROLE engine LOGIN');
wait_for_workers('engine');

# 5. Another role, by a reload
$reco->sql('CREATE ROLE "Second one" LOGIN REPLICATION IN ROLE pg_read_all_stats; GRANT CONNECT ON DATABASE shop TO "Second one"; GRANT SELECT ON public.products TO "Second one"');
$reco->set('reco.role', 'Second one');
wait_for_trouble('another role', 'belongs to role "engine", but reco.role is "Second one"');
$reco->sql('SELECT reco.assign_role()');
wait_for_workers('Second one');
is(others_objects('"Second one"'), 'function reco.assign_role()', 'the other role owns all');
send_and_verify('as another role', 3);

# Writers go on meanwhile
my $script = "$reco->{dir}/insert.sql";
open(my $file, '>', $script) or die;
print $file "INSERT INTO reco.activity VALUES ('page_view', 1000 + random() * 100, 'a', NULL, now());\n";
close $file;
my $said = '';
my $writers = IPC::Run::start([ 'pgbench', '-n', '-c', '4', '-T', '8', '-f', $script, 'shop' ], '>', \$said, '2>&1');
my @roles = ('engine', 'Second one');
$reco->wait_until('the writers write', sub { $reco->sql('SELECT count(*) > 20 FROM reco.activity WHERE user_id >= 1000') eq 't' });
for my $role (@roles, @roles)
{
	$reco->set('reco.role', $role);
	is($reco->sql_error('SELECT reco.assign_role()'), '', "assign_role() beside writers: $role");
}
ok($writers->finish, 'no writer fails') or diag($said);
wait_for_workers('Second one');
$reco->verify('after the writers');

# 6. A dump restored by a superuser, into a server with the role and into one without it
sub dumped
{
	my ($out, $err) = ('', '');

	IPC::Run::run([ 'pg_dump', 'shop' ], '>', \$out, '2>', \$err) or die $err;
	return $out;
}
my $dump = dumped();
unlike($dump, qr/^(GRANT|REVOKE|ALTER|SET SESSION).*reco\./m, 'a dump holds nothing of reco but CREATE EXTENSION');
$reco->sql('CREATE DATABASE restored', 'postgres');
is($reco->sql_error($dump, 'restored'), '', 'it is restored without an error');
is(others_objects('"Second one"', 'restored'), 'function reco.assign_role()', 'the role owns all there');
$reco->sql('GRANT SELECT ON reco.user_recommendations TO heir');
like(dumped(), qr/^GRANT SELECT ON TABLE reco.user_recommendations TO heir;$/m, 'what somebody granted is in it');
is($reco->sql_error("SET reco.role = 'engine'"), $reco->sql_error("SET reco.role = ''"), 'no session chooses the role');
$reco->set('reco.role', 'nobody');
$reco->sql('CREATE DATABASE without', 'postgres');
is($reco->sql_error(dumped(), 'without'), '', 'a role that does not exist stops no restore');
is($reco->sql(q{SELECT relowner::regrole FROM pg_class WHERE oid = 'reco.state'::regclass}, 'without'), 'postgres', 'the superuser owns all then');
like($reco->sql_error('SELECT reco.assign_role()', 'without'), qr/ERROR:  42704: role "nobody" does not exist.*HINT:  Run CREATE ROLE nobody/s, 'assign_role() needs the role');

# 7. Back to none: a superuser takes over nothing that the role could have changed
$reco->set('reco.role', '');
wait_for_trouble('no role for another\'s objects', 'belongs to role "Second one", but reco.role is not set.*reco.role = \'Second one\', or run DROP EXTENSION');
$reco->sql(<<'END');
SET SESSION AUTHORIZATION "Second one";
CREATE OR REPLACE FUNCTION reco.mirror_differences(keys jsonb) RETURNS jsonb LANGUAGE plpgsql AS
	$$ BEGIN INSERT INTO public.ran_as VALUES ('verify', session_user, current_user); RETURN NULL; END $$;
END
like($reco->sql_error('SELECT reco.assign_role()'), qr/ERROR:  55000: cannot give reco's objects from role "Second one" to superuser "postgres".*HINT:  Run DROP EXTENSION/s, 'a superuser is given nothing');
is(others_objects('"Second one"'), 'function reco.assign_role()', 'all is still the role\'s');
$reco->sql('TRUNCATE public.ran_as; SELECT count(*) FROM reco_verify()');
is($reco->sql('SELECT DISTINCT who FROM public.ran_as'), 'Second one', 'so what it wrote runs as itself');
$reco->sql('CREATE ROLE root SUPERUSER LOGIN REPLICATION');
$reco->set('reco.role', 'nobody knows');
$reco->wait_for('a role that does not exist', q{SELECT health || ' ' || state FROM reco_status() WHERE component = 'role'},
	'failing the role "nobody knows" of reco.role does not exist');
$reco->set('reco.role', 'root');
wait_for_trouble('nor a superuser by name', 'belongs to role "Second one", but reco.role is "root".*not a superuser, or run DROP EXTENSION');
like($reco->sql_error('SELECT reco.assign_role()'), qr/ERROR:  55000: cannot give .* to superuser "root"/, 'nor is it');
$reco->set('reco.role', '');
$reco->sql('DROP EXTENSION reco; DROP OWNED BY engine; DROP OWNED BY "Second one"');
is($reco->sql(q{SELECT count(*) FROM pg_init_privs WHERE initprivs::text ~ '(engine|Second)'}), 0, 'nothing of the roles is left');
$reco->sql('CREATE EXTENSION reco');
wait_for_workers('postgres');
is(others_objects('postgres'), '', 'all is the superuser\'s');
like($reco->sql(q{SELECT state FROM reco_status() WHERE component = 'role'}), qr/^warning: .* superuser/, 'and reco_status() warns');
send_and_verify('as a superuser', 4);

# Workers for an owner who is a superuser only: their session is one's
my $left = q{SELECT count(*) FROM pg_stat_activity WHERE backend_type IN ('reco ingest', 'reco follow', 'reco publish')};
$reco->sql('DROP EXTENSION reco; SET SESSION AUTHORIZATION root; CREATE EXTENSION reco');
wait_for_workers('postgres');
$reco->sql('TRUNCATE public.ran_as; ALTER ROLE root NOSUPERUSER');
wait_for_trouble('an owner who is not a superuser any more', 'role "root" owns the extension and is not a superuser, but reco.role is not set.*Set reco.role');
$reco->wait_for('the workers have left', $left, 0);
$reco->sql(<<'END');
CREATE FUNCTION public.become() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	BEGIN
		SET ROLE postgres;
		EXCEPTION WHEN OTHERS THEN NULL;
	END;
	INSERT INTO public.ran_as VALUES ('state', session_user, '', current_user);
	RETURN NULL;
END $$;
SET SESSION AUTHORIZATION root;
CREATE TRIGGER become AFTER UPDATE ON reco.state FOR EACH STATEMENT EXECUTE FUNCTION public.become();
END
my $looked = $reco->sql(q{SELECT last_error_at FROM reco.workers() WHERE component = 'ingest'});
$reco->wait_for('ingest looks again', qq{SELECT last_error_at > '$looked' FROM reco.workers() WHERE component = 'ingest'});
$reco->wait_for('and leaves', $left, 0);
is($reco->sql('SELECT count(*) FROM public.ran_as'), 0, 'nothing of his ran in a superuser\'s session');
$reco->sql('DROP TRIGGER become ON reco.state; ALTER ROLE root SUPERUSER');
wait_for_workers('postgres');
$reco->sql('CREATE ROLE plain; REASSIGN OWNED BY root TO plain');
wait_for_trouble('objects that were given away under the workers', 'belongs to role "plain"|role "plain" owns the extension');
$reco->wait_for('the workers have left them', $left, 0);
$reco->sql('DROP EXTENSION reco; CREATE EXTENSION reco');
wait_for_workers('postgres');

# 8. Nobody hijacks the names of reco
$reco->sql('CREATE DATABASE hostile', 'postgres');
$reco->sql('CREATE ROLE intruder; GRANT CREATE ON DATABASE hostile TO intruder; GRANT CREATE ON SCHEMA public TO intruder', 'hostile');
$reco->sql('SET ROLE intruder; CREATE SCHEMA reco', 'hostile');
like($reco->sql_error('CREATE EXTENSION reco', 'hostile'), qr/schema "reco" already exists/, 'not by the schema');
$reco->sql('DROP SCHEMA reco', 'hostile');
$reco->sql(<<'END', 'hostile');
SET ROLE intruder;
CREATE FUNCTION public.note(text[], text) RETURNS text[] LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION $a$ran as %$a$, current_user; END';
CREATE AGGREGATE public.array_agg(text) (sfunc = public.note, stype = text[]);
RESET ROLE;
CREATE EXTENSION reco;
INSERT INTO reco.rejected VALUES ('t', 0, 1, 'r', 'abc', 3);
END
is($reco->sql('SELECT example FROM reco.rejections', 'hostile'), 'abc', 'nor by a function that fits better');
is($reco->sql_error('DROP AGGREGATE public.array_agg(text)', 'hostile'), '', 'none of which reco depends on');
$reco->sql('DROP EXTENSION reco', 'hostile');
$reco->sql('SET ROLE intruder; CREATE FUNCTION public.reco_tick(timestamptz) RETURNS timestamptz RETURN now()', 'hostile');
like($reco->sql_error('CREATE EXTENSION reco', 'hostile'), qr/function "reco_tick" already exists/, 'nor by a function');

# 9. Gone with the extension
$reco->sql('DROP EXTENSION reco; DROP OWNED BY engine', $_) for qw(restored without);
$reco->sql('DROP EXTENSION reco');
is($reco->sql(q{SELECT count(*) FROM pg_namespace WHERE nspname = 'reco'}), 0, 'DROP EXTENSION takes the schema and the partitions');
is($reco->sql_error('DROP OWNED BY engine; DROP ROLE engine'), '', 'and the role may go');

my $log = do { local (@ARGV, $/) = "$reco->{dir}/postgres.log"; <> };
my $fatals = () = $log =~ /FATAL:  (?!terminating background worker)/g;
is($fatals, 0, 'no worker was ended by a FATAL error');

done_testing;
