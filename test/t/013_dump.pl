# A dump of the database holds CREATE EXTENSION and the privileges that somebody gave, and nothing that only exists on its day.
use strict;
use warnings;
use IPC::Run;
use RecoTest;
use Test::More;

my $reco = RecoTest->start(services => ['postgres'], settings => { 'reco.enabled' => 'off' });

# output of a command that must succeed
sub output
{
	my ($what, @command) = @_;
	my ($out, $err) = ('', '');

	ok(IPC::Run::run(\@command, '<', \'', '>', \$out, '2>', \$err), $what) or diag($err);
	return $out;
}

# Dumps shop, restores it where the partitions are those of another time; the restored database's name.
my $restored = 0;
sub dump_and_restore
{
	my ($what) = @_;
	my $database = 'restored_' . ++$restored;
	my $script = output("$what: pg_dump", 'pg_dump', 'shop');

	unlike($script, qr/activity_\d{8}/, "$what: no partition is named");
	$reco->sql("CREATE DATABASE $database", 'postgres');
	is($reco->sql_error($script, $database), '', "$what: it is restored without an error");
	isnt($reco->sql(partitions(), $database), $reco->sql(partitions()), "$what: its partitions are others");
	return $database;
}

sub partitions
{
	return q{SELECT string_agg(inhrelid::regclass::text, ',' ORDER BY inhrelid::regclass::text) FROM pg_inherits WHERE inhparent = 'reco.activity'::regclass};
}

# is(privileges of x on reco's relations, as relation:privilege)
sub granted
{
	my ($role) = @_;

	return qq{SELECT string_agg(relname || ':' || privilege_type, ',' ORDER BY relname, privilege_type)
		FROM pg_class, aclexplode(relacl) a
		WHERE relnamespace = 'reco'::regnamespace AND grantee = '$role'::regrole AND NOT relispartition};
}

$reco->sql('CREATE ROLE reader; CREATE ROLE other');
$reco->sql("SELECT reco_tick('2100-01-01 12:30Z')");
my $database = dump_and_restore('nothing granted');
unlike(output('schema reco', 'pg_dump', 'shop'), qr/^(GRANT|REVOKE) .* reco\./m, 'what the extension grants itself is in no dump');

# 1. Everybody's first GRANT
$reco->sql('GRANT SELECT ON ALL TABLES IN SCHEMA reco TO reader');
$database = dump_and_restore('ALL TABLES IN SCHEMA');
is($reco->sql(granted('reader'), $database), $reco->sql(granted('reader')), 'and the GRANT holds in the restored database');
$reco->sql("INSERT INTO reco.product VALUES ('a', 'x'); INSERT INTO reco.activity VALUES ('page_view', 1, 'a', NULL, '2100-01-01 12:00Z')");
is($reco->sql('SET ROLE reader; SELECT user_id FROM reco.activity'), 1, 'it serves to read the activity');

# 2. Partitions made afterwards, and privileges by default, also in CREATE EXTENSION
$reco->sql("SELECT reco_tick('2100-01-03 12:30Z')");
dump_and_restore('partitions made later');
my $owner = $reco->sql(q{SELECT quote_ident(pg_get_userbyid(relowner)) FROM pg_class WHERE oid = 'reco.activity'::regclass});
$reco->sql("ALTER DEFAULT PRIVILEGES FOR ROLE $owner GRANT SELECT ON TABLES TO reader; ALTER DEFAULT PRIVILEGES FOR ROLE $owner IN SCHEMA reco GRANT INSERT ON TABLES TO other");
$reco->sql("SELECT reco_tick('2100-01-05 12:30Z')");
isnt($reco->sql(q{SELECT count(*) FROM pg_class WHERE relispartition AND relacl::text ~ 'other'}), 0, 'partitions get privileges by default');
dump_and_restore('default privileges');
$reco->sql("CREATE DATABASE fresh", 'postgres');
$reco->sql('ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO reader; CREATE EXTENSION reco', 'fresh');
unlike(output('default privileges before CREATE EXTENSION', 'pg_dump', 'fresh'), qr/activity_\d{8}/, 'no partition is named then either');

# 3. A partition, a column of it, and what takes privileges away again
my $partition = $reco->sql(q{SELECT min(inhrelid::regclass::text) FROM pg_inherits WHERE inhparent = 'reco.activity'::regclass});
for my $command (
	"GRANT ALL ON $partition TO other WITH GRANT OPTION",
	"GRANT SELECT (user_id, product_id) ON $partition TO other",
	"REVOKE SELECT (user_id, product_id) ON $partition FROM other",
	"REVOKE ALL ON $partition FROM postgres",
	"DO \$\$ BEGIN EXECUTE 'GRANT UPDATE ON $partition TO reader'; END \$\$",
	"ALTER TABLE $partition OWNER TO other",
	"ALTER TABLE $partition OWNER TO postgres",
	'REASSIGN OWNED BY other TO reader',
	'DROP OWNED BY other')
{
	$reco->sql($command);
	unlike(output($command, 'pg_dump', 'shop'), qr/activity_\d{8}/, 'no partition is named');
}
$reco->sql("BEGIN; GRANT SELECT ON $partition TO other; SAVEPOINT a; GRANT INSERT ON $partition TO other; ROLLBACK TO a; COMMIT");
dump_and_restore('after all of these');
$reco->sql("CREATE ROLE short; GRANT SELECT ON ALL TABLES IN SCHEMA reco TO short; DROP OWNED BY short; DROP ROLE short");
unlike(output('a role that is gone', 'pg_dump', 'shop'), qr/activity_\d{8}/, 'no partition is named');

# 4. What else may hang on a partition
$reco->sql(<<END);
COMMENT ON TABLE $partition IS 'of mine';
ALTER TABLE $partition SET (autovacuum_enabled = off);
ALTER TABLE $partition ALTER user_id SET STATISTICS 500;
ALTER TABLE $partition ENABLE ROW LEVEL SECURITY;
CREATE POLICY p ON $partition USING (true);
CREATE INDEX ON $partition (user_id);
CREATE STATISTICS public.s (ndistinct) ON user_id, product_id FROM $partition;
CREATE RULE r AS ON UPDATE TO $partition DO INSTEAD NOTHING;
CREATE PUBLICATION everything FOR ALL TABLES;
CREATE PUBLICATION part FOR TABLES IN SCHEMA reco;
END
dump_and_restore('what hangs on a partition');

# 5. Custom format, in one transaction
my $archive = "$ENV{PGDATA}/../shop.dump";
output('pg_dump -Fc', 'pg_dump', '-Fc', '-f', $archive, 'shop');
$reco->sql('CREATE DATABASE custom', 'postgres');
output('pg_restore', 'pg_restore', '--exit-on-error', '--single-transaction', '-d', 'custom', $archive);
is($reco->sql(granted('reader'), 'custom'), $reco->sql(granted('reader')), 'the custom format brings the GRANTs, too');
is($reco->sql('SELECT count(*) FROM reco_verify()', 'custom'), 0, 'and the extension works');

# 6. Time goes on: what was granted hinders nobody
$reco->sql("DROP STATISTICS public.s; SELECT reco_tick('2100-02-01Z')");
is($reco->sql(q{SELECT count(*) FROM pg_init_privs i WHERE classoid = 'pg_class'::regclass AND NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = i.objoid)}), 0,
	'nothing is left of partitions that are gone');
is($reco->sql('SELECT count(*) FROM reco.verify_state(1)'), 0, 'the state is right');

done_testing;
