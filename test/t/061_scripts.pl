# What a newcomer runs first: the demo's screen shows all of its news, the services start from any folder, options are explained.
use strict;
use warnings;
use Cwd qw(abs_path);
use File::Basename qw(dirname);
use File::Temp qw(tempdir);
use IPC::Run;
use Test::More;

my $project = abs_path(dirname(__FILE__) . '/../..');

# What a command prints, both ways, and its exit code; run in a folder.
sub output
{
	my ($folder, @command) = @_;
	my $out = '';

	IPC::Run::run(\@command, '<', \'', '>', \$out, '2>&1', init => sub { chdir $folder or die $! });
	return ($out, $? >> 8);
}

my ($out, $code) = output('/', "$project/test/run", '--help');
like($out, qr{^test/run .*--sql.*NAME}s, 'test/run --help explains itself');
is($code, 0, 'and that is all');
is((output('/', "$project/test/run", '-h'))[0], $out, '-h is the same');
($out, $code) = output('/', "$project/test/run", '--nonsense');
is($code, 2, 'an option that it does not know is an error');

# A folder that the server's user cannot enter
my $closed = tempdir('reco-closed-XXXXXX', TMPDIR => 1, CLEANUP => 1);
my $dir = tempdir('reco-test-XXXXXX', TMPDIR => 1);
chmod 0700, $closed;
($out, $code) = output($closed, "$project/test/services/up", $dir, 'postgres');
is($code, 0, 'up, from a closed folder');
unlike($out, qr/could not change directory/, 'without complaints') or diag($out);
unlike(join('', map { local (@ARGV, $/) = $_; <> } glob("$dir/*.log")), qr/could not change directory/, 'also in the logs');
output($closed, "$project/test/services/down", $dir, '--remove');

# The demo on a terminal of two sizes; the news are its last lines
for my $rows (24, 40)
{
	($out, $code) = output($project, 'script', '-qec', "stty rows $rows cols 130; demo/run --seconds 10", '/dev/null');
	is($code, 0, "the demo on a screen of $rows lines") or diag($out);
	my @frames = grep { /reco_status/ } split /\e\[H/, $out;
	is(scalar(grep { /^  \d\d:\d\d:\d\d  / } split /\r?\n/, $frames[-1] // ''), 2, 'the last frame shows both news') or diag($frames[-1]);
}
done_testing;
