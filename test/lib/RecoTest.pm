# What the TAP tests share: real services, started once a file, and the few verbs that the tests are written in.
package RecoTest;

use strict;
use warnings;
use Cwd qw(abs_path);
use Exporter qw(import);
use File::Basename qw(dirname);
use File::Temp qw(tempdir);
use IPC::Run;
use JSON::PP;
use MIME::Base64 qw(encode_base64);
use POSIX qw(strftime);
use Test::More;
use Time::HiRes qw(sleep time);

our @EXPORT = qw(event iso);

our $lib = abs_path(dirname(__FILE__));
my $services = "$lib/../services";
my @dirs;
my $json = JSON::PP->new->canonical->utf8(0);

# start(settings => {name => value}, services => [...], partitions => 2): a new RecoTest.
# The catalog public.products (product_id, category) is there, the extension too unless extension => 0.
sub start
{
	my ($class, %option) = @_;
	my $self = bless { dir => tempdir('reco-test-XXXXXX', TMPDIR => 1), ends => {} }, $class;
	my @services = @{ $option{services} // [qw(postgres redis kafka)] };
	my %settings = (
		'reco.catalog_table' => 'public.products',
		'reco.popularity_interval' => '10s',
		%{ $option{settings} // {} });

	push @dirs, $self->{dir};
	$self->{topic} = $settings{'reco.kafka_topic'} // 'user_activity';
	$self->up((grep { $_ ne 'postgres' } @services));
	$self->topic($option{partitions} // 2) if grep { $_ eq 'kafka' } @services;
	$self->up('postgres', map { ('-c', "$_=$settings{$_}") } sort keys %settings);
	$self->sql('CREATE TABLE public.products (product_id text PRIMARY KEY, category text)');
	$self->sql('CREATE EXTENSION reco') unless defined $option{extension} && !$option{extension};
	return $self;
}

# Runs a command; dies with its output unless it succeeds.
sub _run
{
	my ($command, $input) = @_;
	my ($out, $err) = ('', '');

	IPC::Run::run($command, '<', \($input // ''), '>', \$out, '2>', \$err)
	  or die "@{$command}[0..($#$command > 3 ? 3 : $#$command)] failed: $err$out";
	return $out;
}

# up(SERVICE..., options): starts what is down; the services' addresses go to the environment.
sub up
{
	my ($self, @words) = @_;

	return unless @words;
	_run(["$services/up", $self->{dir}, @words]);
	for (split /\n/, _run(['bash', '-c', '. "$0" && env', "$self->{dir}/env"]))
	{
		$ENV{$1} = $2 if /^(PG\w+|PATH|REDIS_PORT|KAFKA)=(.*)/;
	}
}

sub down { my ($self, @services) = @_; _run(["$services/down", $self->{dir}, @services]); }
sub crash { my ($self, @services) = @_; _run(["$services/down", $self->{dir}, '--kill', @services]); }

# plant(FILE => text, ...): scripts of other versions, beside those that are installed.
sub plant
{
	my ($self, %files) = @_;

	chomp(my $folder = _run([qw(pg_config --sharedir)]));
	for my $name (keys %files)
	{
		open(my $file, '>', "$folder/extension/$name") or die "$folder/extension/$name: $!";
		print $file $files{$name};
		close $file;
	}
}

# The script that makes the extension, as it is in the repository.
sub script { local (@ARGV, $/) = glob("$lib/../../reco--" . default_version() . '.sql'); return scalar <>; }

sub default_version
{
	local (@ARGV, $/) = "$lib/../../reco.control";
	return <> =~ /^default_version = '(.*)'/m ? $1 : die 'no default_version';
}

# Creates the topic, or gives it more partitions.
sub topic
{
	my ($self, $partitions) = @_;

	_run(["$services/kafka", $self->{dir}, 'topic', $self->{topic}, $partitions]);
}

# The result of a query as text; columns are parted by |, rows by newlines.
sub sql
{
	my ($self, $query, $database) = @_;
	my $out = _run([ 'psql', '-XqtA', '-v', 'ON_ERROR_STOP=1', '-d', $database // 'shop', '-f', '-' ], $query);

	chomp $out;
	return $out;
}

# The error that a query ends with, as psql -v VERBOSITY=verbose shows it; empty if it succeeds.
sub sql_error
{
	my ($self, $query, $database) = @_;
	my ($out, $err) = ('', '');

	IPC::Run::run([ 'psql', '-XqtA', '-v', 'VERBOSITY=verbose', '-v', 'ON_ERROR_STOP=1', '-d', $database // 'shop', '-f', '-' ],
		'<', \$query, '>', \$out, '2>', \$err) and return '';
	return $err;
}

# A psql that stays: background session; say($query) sends, close ends it.
sub session
{
	my ($self, $database) = @_;
	my $session = { in => '', out => '' };

	$session->{run} = IPC::Run::start([ 'psql', '-XqtA', '-d', $database // 'shop' ],
		'<', \$session->{in}, '>', \$session->{out}, '2>&1');
	return bless $session, 'RecoTest::Session';
}

# Polls until the query gives the expected text ('t' unless said); passes or fails as one test.
sub wait_for
{
	my ($self, $name, $query, $expected, $seconds) = @_;
	my ($end, $got) = (time + ($seconds // 30));

	$expected //= 't';
	while (1)
	{
		$got = eval { $self->sql($query) } // "error: $@";
		last if $got eq $expected or time > $end;
		sleep 0.1;
	}
	$self->_explain unless $got eq $expected;
	return is($got, $expected, $name);
}

# Polls a Perl condition likewise.
sub wait_until
{
	my ($self, $name, $condition, $seconds) = @_;
	my $end = time + ($seconds // 30);
	my $right;

	sleep 0.1 until ($right = eval { $condition->() }) or time > $end;
	$self->_explain unless $right;
	return ok($right, $name);
}

# What the workers say of themselves, where a test has failed.
sub _explain
{
	my ($self) = @_;

	diag(eval { $self->sql('SELECT * FROM reco_status()') } // "no reco_status(): $@");
}

# produce(MESSAGE...): a message is JSON text, or {value => text | bytes => octets | neither, partition, key, timestamp}.
sub produce
{
	my ($self, @messages) = @_;
	my $lines = '';

	for my $message (@messages)
	{
		my %line = ref $message ? %$message : (value => $message);

		$line{topic} //= $self->{topic};
		$line{base64} = encode_base64(delete $line{bytes}, '') if exists $line{bytes};
		$lines .= $json->encode(\%line) . "\n";
	}
	utf8::encode($lines);
	for (split /\n/, _run([ "$lib/produce", $ENV{KAFKA} ], $lines))
	{
		my ($topic, $partition, $end) = split /\t/;
		$self->{ends}{$topic}{$partition} = $end;
	}
}

# Waits until everything produced is committed in the tables.
sub wait_for_ingest
{
	my ($self, $name, $seconds) = @_;
	my $ends = $self->{ends}{ $self->{topic} };
	my @values = map { "('$self->{topic}', $_, $ends->{$_})" } sort keys %$ends;

	return $self->wait_for($name // 'all messages are ingested',
		'SELECT count(*) = ' . @values . ' FROM (VALUES ' . join(', ', @values) . ') e (topic, partition, "end") '
		  . 'JOIN reco.offsets o USING (topic, partition) WHERE o.next_offset >= e."end"', 't', $seconds // 60);
}

# Tables against the contract's SQL, and Redis against the tables (which it reaches a moment later): two tests.
sub verify
{
	my ($self, $name, $seconds) = @_;

	$self->wait_for("$name: reco_verify() finds nothing", 'SELECT count(*) FROM reco_verify()', 0, 1)
	  or diag($self->sql('SELECT * FROM reco_verify() LIMIT 20'));
	return 1 unless defined $ENV{REDIS_PORT};
	$self->wait_for("$name: reco_redis_verify() finds nothing", 'SELECT count(*) FROM reco_redis_verify()', 0, $seconds // 30)
	  or diag($self->sql('SELECT * FROM reco_redis_verify() LIMIT 20'));
}

# Changes a setting and waits until the postmaster has it, and with it every new session.
sub set
{
	my ($self, $name, $value) = @_;
	my $before = $self->sql('SELECT pg_conf_load_time()');

	$self->sql("ALTER SYSTEM SET $name = '$value'");
	$self->sql('SELECT pg_reload_conf()');
	sleep 0.05 until $self->sql("SELECT pg_conf_load_time() > '$before'") eq 't';
}

# A Redis command's answer as text.
sub redis
{
	my ($self, @command) = @_;
	my $out = _run([ 'redis-cli', '-e', '-p', $ENV{REDIS_PORT}, @command ]);

	chomp $out;
	return $out;
}

# The output of Python code, with redis and json imported and `redis` connected as an application does.
sub python
{
	my ($self, $code) = @_;
	my $out = _run([ '/usr/bin/python3', '-c', "import json, os, redis as r\n"
		  . "redis = r.Redis(port=int(os.environ['REDIS_PORT']), decode_responses=True)\n$code" ]);

	chomp $out;
	return $out;
}

# All lists as text, one line a user: what a rebuild must bring back.
sub lists
{
	my ($self) = @_;

	return $self->sql("SELECT user_id, array_to_string(recommended_products, ',') FROM reco.user_recommendations ORDER BY user_id");
}

sub trending
{
	my ($self) = @_;

	return $self->sql('SELECT window_start, product_id, view_count FROM reco.trending_products ORDER BY window_start, product_id COLLATE "C"');
}

# event(TYPE, USER, PRODUCT or query, seconds ago = 0): the JSON text of an event.
sub event
{
	my ($type, $user, $what, $ago) = @_;
	my %event = (event_type => $type, user_id => $user, timestamp => iso(time - ($ago // 0)));

	$event{ $type eq 'search' ? 'query' : 'product_id' } = $what;
	return $json->encode(\%event);
}

sub iso { return strftime('%Y-%m-%dT%H:%M:%SZ', gmtime(shift)); }

# Services go with the test; where it failed their folder stays for a look at the logs.
END
{
	my $status = $?;
	my $failed = $status || !Test::More->builder->is_passing;

	for my $dir (@dirs)
	{
		eval { _run([ "$services/down", $dir, $failed ? () : '--remove' ]); 1 } or diag($@);
		diag("logs are in $dir") if $failed;
	}
	$? = $status;
}

package RecoTest::Session;

sub say
{
	my ($self, $query) = @_;
	my $mark = 'done-' . ++$self->{count};

	$self->{out} = '';
	$self->{in} .= "$query\n\\echo $mark\n";
	$self->{run}->pump until $self->{out} =~ /^\Q$mark\E$/m;
	(my $out = $self->{out}) =~ s/\Q$mark\E\n//;
	return $out;
}

sub close { my ($self) = @_; $self->{in} .= "\\q\n"; $self->{run}->finish; }

1;
