# pg_upgrade of a shop: no worker runs in either cluster meanwhile, and everything is as it was in the new one.
use strict;
use warnings;
use RecoTest;
use Test::More;

my $reco = RecoTest->start(services => [qw(kafka redis postgres)], partitions => 1);
my @as = $> == 0 ? qw(runuser -u postgres --preserve-environment --) : ();
my $old = "$reco->{dir}/old";
my $new = "$reco->{dir}/upgraded";
my $work = "$reco->{dir}/work";

$reco->sql(q{INSERT INTO public.products SELECT 'p' || n, 'c' || n % 3 FROM generate_series(1, 20) n});
$reco->wait_for('the mirror', 'SELECT count(*) FROM reco.product', 20);
$reco->produce(map { event('page_view', $_ % 10, 'p' . ($_ % 20 + 1)) } 1 .. 200);
$reco->wait_for_ingest;
$reco->verify('before');
my $lists = $reco->lists;
my $read = $reco->sql('SELECT next_offset FROM reco.offsets');

# A cluster like the old one, as `up` makes it
my ($icu) = map { /icu/ ? ['--locale-provider=icu', '--icu-locale=en-US'] : [] } `pg_config --configure`;
my @data = map { $reco->sql("SHOW $_") eq 'on' ? '--data-checksums' : () } 'data_checksums';
$reco->down('postgres');
rename "$reco->{dir}/data", $old or die;
mkdir $_ or die for $new, $work;
if ($> == 0) { my (undef, undef, $uid, $gid) = getpwnam('postgres'); chown $uid, $gid, $new, $work; }
RecoTest::_run([ @as, 'initdb', '-D', $new, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--locale=C.UTF-8', @$icu, @data, '--no-sync' ]);
RecoTest::_run([ @as, 'cp', "$old/postgresql.conf", "$old/postgresql.auto.conf", $new ]);

(my $bin = `which pg_upgrade`) =~ s{/pg_upgrade\n}{};
RecoTest::_run([ @as, 'sh', '-c', qq{cd "$work" && umask 077 && exec pg_upgrade --retain -U postgres -b "$bin" -B "$bin" -d "$old" -D "$new" -s "$work"} ]);
my @logs = split /\n/, RecoTest::_run([ 'find', $new, $work, '-path', '*pg_upgrade_output.d*', '-name', '*server.log' ]);
my $log = join '', map { local $/; open my $file, '<', $_ or die; <$file> } @logs;
like($log, qr/database system is ready/, 'pg_upgrade has started servers');
unlike($log, qr/reco (launcher|ingest|follow|publish)/, 'no worker of reco has run in them');

# In its place
rename $new, "$reco->{dir}/data" or die;
$reco->up('postgres');
$reco->wait_for('the workers are well in the new cluster',
	q{SELECT bool_and(health = 'ok') FROM reco_status() WHERE component IN ('ingest', 'follow', 'publish')}, 't', 60);
is($reco->lists, $lists, 'lists are as they were');
is($reco->sql('SELECT next_offset FROM reco.offsets'), $read, 'nothing is read again');
$reco->produce(map { event('page_view', $_, 'p1') } 1 .. 5);
$reco->wait_for_ingest;
$reco->verify('after');
is($reco->sql(q{SELECT count(*) FROM pg_class WHERE relnamespace = 'reco'::regnamespace AND relkind IN ('r', 'p')
	AND NOT EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = pg_class.oid AND deptype = 'e')}), 0,
	'every table belongs to the extension');

done_testing;
