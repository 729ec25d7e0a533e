# An updated extension is the same as a fresh one; a script that was released stays as it is; versions agree.
use strict;
use warnings;
use Digest::SHA;
use File::Basename qw(basename);
use File::Copy qw(copy);
use File::Temp qw(tempdir);
use JSON::PP ();
use RecoTest;
use Test::More;

my $root = "$RecoTest::lib/../..";
my $version = RecoTest::default_version();
my $reco = RecoTest->start(services => ['postgres'], extension => 0, settings => { 'reco.enabled' => 'off', 'reco.role' => '' });
my $query = slurp("$root/test/objects.sql");

sub slurp { local (@ARGV, $/) = @_; return scalar <>; }

# What the extension consists of after these statements: property => value; nothing of it stays
sub objects
{
	my %objects = map { /^(.*?\t.*?)\t(.*)$/ ? ($1 => $2) : ($_ => '') } split /\n/, $reco->sql(join ";\n", 'BEGIN', @_, $query);

	return \%objects;
}

sub fresh { return objects("CREATE EXTENSION reco VERSION '$_[0]'"); }
sub updated { my ($from, $to, @more) = @_; return objects("CREATE EXTENSION reco VERSION '$from'", "ALTER EXTENSION reco UPDATE TO '$to'", @more); }

# Lines that tell in what an updated extension differs from a fresh one
sub differences
{
	my ($fresh, $updated) = @_;
	my %all = (%$fresh, %$updated);

	return map {
		!exists $updated->{$_} ? "$_: only in a fresh one" : !exists $fresh->{$_} ? "$_: only in an updated one"
		  : "$_: fresh $fresh->{$_}, updated $updated->{$_}"
	} grep { ($fresh->{$_} // '') ne ($updated->{$_} // '') || exists $fresh->{$_} != exists $updated->{$_} } sort keys %all;
}

# 1. The scripts that there are
my $own = fresh($version);
cmp_ok(scalar keys %$own, '>', 300, 'the extension has objects');
is(join("\n", grep { /\tnot compared/ } keys %$own), '', 'test/objects.sql knows all kinds of them');
for (map { basename($_) } glob("$root/reco--*--*.sql"))
{
	my ($from, $to) = /^reco--(.*)--(.*)\.sql$/;

	is(join("\n", differences(fresh($to), updated($from, $to))), '', "$_ makes the same as reco--$to.sql");
	next if $from eq $version;
	$reco->sql("CREATE EXTENSION reco VERSION '$from'");
	is($reco->sql(q{SELECT state FROM reco_status() WHERE component = 'state'}), 'waiting for ALTER EXTENSION reco UPDATE',
		"reco_status() of version $from works with this library, and says what to do");
	$reco->sql('DROP EXTENSION reco');
}

# 2. What an upgrade script has forgotten is found
my @changes = (
	['reco.planted', 'CREATE UNLOGGED TABLE reco.planted (id integer)'],
	['reco.kafka_topic.planted', 'ALTER TABLE reco.kafka_topic ADD COLUMN planted integer'],
	['reco.product.popularity', 'ALTER TABLE reco.product ALTER COLUMN popularity SET DEFAULT 1'],
	['reco.rejected.payload', 'ALTER TABLE reco.rejected ALTER COLUMN payload SET STORAGE EXTERNAL'],
	['reco.offsets', 'ALTER TABLE reco.offsets SET (fillfactor = 30)'],
	['reco.window_top', 'ALTER TABLE reco.window_top SET LOGGED'],
	['reco.state', 'ALTER TABLE reco.state ALTER COLUMN clock DROP NOT NULL'],
	["reco.free_number\tconstraint planted", 'ALTER TABLE reco.free_number ADD CONSTRAINT planted CHECK (number > 0)'],
	["reco.rejected\tindex planted_index", 'CREATE INDEX planted_index ON reco.rejected (reason)'],
	["reco.activity\ttrigger planted", 'CREATE TRIGGER planted BEFORE DELETE ON reco.activity FOR EACH STATEMENT EXECUTE FUNCTION reco.activity_rejected()'],
	["reco.product\ttrigger product_insert", 'ALTER TABLE reco.product DISABLE TRIGGER product_insert'],
	["reco.user_views\trule planted", 'CREATE RULE planted AS ON INSERT TO reco.user_views DO INSTEAD NOTHING'],
	['reco.window_count', 'CREATE OR REPLACE VIEW reco.window_count AS SELECT window_start, bucket, 0 AS number, 0::bigint AS view_count FROM reco.window_counter'],
	['reco.rejections', 'DROP VIEW reco.rejections'],
	['reco.planted()', 'CREATE FUNCTION reco.planted() RETURNS integer RETURN 1'],
	['reco.mirror_differences(', 'CREATE OR REPLACE FUNCTION reco.mirror_differences(keys jsonb) RETURNS jsonb LANGUAGE sql AS $$SELECT NULL::jsonb$$'],
	['reco.list_products(', 'ALTER FUNCTION reco.list_products(integer[]) VOLATILE'],
	['reco.unpack_counts(', 'ALTER FUNCTION reco.unpack_counts(integer, bytea) PARALLEL UNSAFE'],
	['reco.unpack_views(', 'ALTER FUNCTION reco.unpack_views(bytea) SECURITY DEFINER'],
	['reco.verify_state(', "ALTER FUNCTION reco.verify_state(double precision) SET work_mem = '64MB'"],
	["reco.product.category\tcomment", "COMMENT ON COLUMN reco.product.category IS 'planted'"],
	["reco.announce()\tcomment", 'COMMENT ON FUNCTION reco.announce() IS NULL'],
	["reco.product\tprivileges", 'GRANT SELECT ON reco.product TO pg_monitor'],
	["reco.offsets.topic\tprivileges", 'GRANT UPDATE (topic) ON reco.offsets TO pg_monitor'],
	["reco.reclaim()\tprivileges", 'GRANT EXECUTE ON FUNCTION reco.reclaim() TO pg_monitor'],
	["reco\tprivileges", 'REVOKE USAGE ON SCHEMA reco FROM PUBLIC'],
	['extension', q{SELECT pg_extension_config_dump('reco.activity', '')}]);
my @statements = map { $_->[1] } @changes;

$reco->plant('reco--9.0.sql' => join(";\n", RecoTest::script() . $statements[0], @statements[1 .. $#statements]) . ";\n");
sub upgrade_by { $reco->plant("reco--$version--9.0.sql" => join('', map { "$_;\n" } @_)); return; }
my $fresh = fresh('9.0');

upgrade_by(@statements);
is(join("\n", differences($fresh, updated($version, '9.0'))), '', 'a complete upgrade script makes the same');
for my $change (@changes)
{
	my ($object, $left_out) = @$change;
	my @found;

	upgrade_by(grep { $_ ne $left_out } @statements);
	@found = differences($fresh, updated($version, '9.0'));
	ok(scalar(grep { index($_, $object) == 0 } @found), "left out: $left_out");
	is(join("\n", grep { index($_, $object =~ s/\t.*//r) != 0 } @found), '', 'and nothing else is found');
}
my ($grant) = grep { /^GRANT SELECT/ } @statements;
upgrade_by(grep { $_ ne $grant } @statements);
like(join("\n", differences($fresh, updated($version, '9.0', $grant))), qr/^reco\.product\tinitial privileges: [^\n]*$/, 'a privilege that is granted later is none of the extension');

# 3. Scripts that a release has shipped
sub problems
{
	my ($folder, $released) = @_;
	my ($default) = slurp("$folder/reco.control") =~ /^default_version = '(.*)'/m;
	my (%reached, @problems) = ($default => 1);
	my @updates = map { [/--(.*)--(.*)\.sql$/] } glob("$folder/reco--*--*.sql");

	for (@updates)	# as often as there are updates: each time one more step back from the default version
	{
		$reached{ $_->[0] } |= $reached{ $_->[1] } // 0 for @updates;
	}
	for (grep { !/^#/ } split /\n/, $released)
	{
		my ($sum, $name) = split;
		my $file = "$folder/$name";

		push @problems, "$name has changed since it was released" unless -e $file && Digest::SHA->new(256)->addfile($file)->hexdigest eq $sum;
		push @problems, "no update leads from $1 to $default" if $name =~ /^reco--((?:(?!--).)*)\.sql$/ && !$reached{$1};
	}
	return join "\n", @problems;
}

is(problems($root, slurp("$root/test/released")), '', 'no script has changed since it was released, and each version can be updated');

my $folder = tempdir(CLEANUP => 1);
copy($_, $folder) for "$root/reco.control", "$root/reco--$version.sql";
my $released = `cd $folder && sha256sum reco--*.sql`;
sub append { open(my $file, '>>', "$folder/$_[0]") or die; print $file $_[1]; close $file; return; }
is(problems($folder, $released), '', 'after a release: nothing has changed');
append("reco--$version.sql", "-- planted\n");
is(problems($folder, $released), "reco--$version.sql has changed since it was released", 'a change is found');
copy("$root/reco--$version.sql", $folder);
append('reco.control', "default_version = '9.1'\n");
rename("$folder/reco.control", "$folder/old") or die;
append('reco.control', slurp("$folder/old") =~ s/^default_version.*\n//mr);
is(problems($folder, $released), "no update leads from $version to 9.1", 'a new version without an upgrade script is found');
append("reco--$version--9.0.sql", '');
append('reco--9.0--9.1.sql', '');
is(problems($folder, $released), '', 'one with a way to it is right');

# 4. The version stands in several files
like(slurp("$root/src/common/own_extension.h"), qr/^#define RECO_VERSION "\Q$version\E"$/m, 'the library has the version of reco.control');
ok(-e "$root/reco--$version.sql", 'so does a script');
my $meta = JSON::PP::decode_json(slurp("$root/META.json"));
is_deeply([ @{ $meta->{provides}{reco} }{qw(version file)}, $meta->{version} ], [ "$version.0", "reco--$version.sql", "$version.0" ], 'and META.json');
done_testing;
