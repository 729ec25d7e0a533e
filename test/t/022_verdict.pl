# What a Kafka partition went through, judged without Kafka: compiles test/unit/verdict.c, whose output is this test's.
use strict;
use warnings;
use File::Basename qw(dirname);
use File::Temp qw(tempdir);

my $root = dirname(__FILE__) . '/../..';
my $config = $ENV{PG_CONFIG} // 'pg_config';
my $dir = tempdir('reco-unit-XXXXXX', TMPDIR => 1, CLEANUP => 1);

sub pg_config { chomp(my $value = `$config --$_[0]`); return $value; }

my $server = pg_config('includedir-server');
system('cc', '-std=gnu99', '-O1', '-D_GNU_SOURCE', "-I$root/src", "-I$server", "$root/test/unit/verdict.c", "$root/test/unit/server.c",
	'-o', "$dir/verdict", '-L' . pg_config('pkglibdir'), '-L' . pg_config('libdir'), '-lpgcommon', '-lpgport') == 0
  or die 'the unit test does not compile';
exit(system("$dir/verdict") >> 8);
