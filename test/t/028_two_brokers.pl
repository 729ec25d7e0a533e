# Two brokers, each with a partition of its own: while one is away the other's partition is read, also after a crash, and reco_status() and
# the log say which is not.
use strict;
use warnings;
use File::Basename qw(dirname);
use IPC::Run;
use lib dirname(__FILE__) . '/../lib';
use RecoTest;
use Test::More;

my $reco = RecoTest->start(services => [qw(kafka postgres)], partitions => 1);
my $services = dirname(__FILE__) . '/../services';
my $dir = "$reco->{dir}/kafka2";
my $properties = "$dir/server.properties";
my $log = "$reco->{dir}/postgres.log";
my $broker;

END { local $?; $broker->kill_kill if $broker }

# One of Kafka's classes, as the second broker's folder needs it; the process is the JVM's own.
sub java { return ('bash', '-c', '. "$0/common.sh"; . "$0/kafka.sh"; kafka_java -Xmx192m "$@"', $services, @_); }

sub configure_broker
{
	my ($first) = glob("$reco->{dir}/kafka/data/meta.properties");
	my ($cluster) = slurp($first) =~ /^cluster\.id=(\S+)/m;
	my $text = slurp("$reco->{dir}/kafka/server.properties");
	my $port = (split /:/, RecoTest::_run([ 'bash', '-c', '. "$0/common.sh"; printf ":%s" $(free_port)', $services ]))[1];

	$text =~ s/^process\.roles=.*/process.roles=broker/m;
	$text =~ s/^node\.id=.*/node.id=2/m;
	$text =~ s/^(listeners|advertised\.listeners)=.*/$1=PLAINTEXT:\/\/127.0.0.1:$port/mg;
	$text =~ s/^log\.dirs=.*/log.dirs=$dir\/data/m;
	mkdir $dir or die $!;
	open(my $file, '>', $properties) or die $!;
	print $file $text;
	close $file;
	RecoTest::_run([ java('kafka.tools.StorageTool', 'format', '-t', $cluster, '-c', $properties) ]);
	return $port;
}

sub slurp { my ($name) = @_; open(my $file, '<', $name) or die "$name: $!"; local $/; return <$file>; }
sub logged { my ($text) = @_; return scalar(() = slurp($log) =~ /$text/g); }

sub start_broker { $broker = IPC::Run::start([ java('kafka.Kafka', $properties) ], '<', \undef, '>', "$dir/log", '2>&1'); }

sub views
{
	my ($partition, $product, $count) = @_;

	$reco->produce(map { { value => event('page_view', $_, $product), partition => $partition } } 1 .. $count);
}

sub held { my ($expected, $name) = @_; $reco->wait_for($name, q{SELECT string_agg(product_id || ' ' || count, ', ' ORDER BY product_id)
	FROM (SELECT product_id, count(*) FROM reco.activity GROUP BY 1) p}, $expected); }

my $away = 'partition 1 of topic "user_activity" \(1 of 2\) has no leader';
my $is_away = q{SELECT health = 'waiting' AND lag_messages IS NULL AND lag_seconds > 1 AND concat(state, last_error) LIKE '%partition 1 %has no leader%'
	FROM reco_status() WHERE component = 'ingest'};

my $port = configure_broker();
start_broker();
$reco->wait_until('a second broker', sub {
	RecoTest::_run([ 'kcat', '-b', "127.0.0.1:$port", '-L', '-m', 1 ]) =~ /2 brokers/;
}, 60);
RecoTest::_run([ "$services/kafka", $reco->{dir}, 'run', 'org.apache.kafka.tools.TopicCommand', '--alter', '--topic', $reco->{topic},
	'--partitions', 2, '--replica-assignment', '1,2' ]);
views(0, 'a', 3);
views(1, 'b', 3);
held('a 3, b 3', 'both are read');

$broker->kill_kill;
views(0, 'c', 3);
held('a 3, b 3, c 3', 'one broker is away, and the other is read');
$reco->wait_for('the status says which partition is not', $is_away);
views(0, 'd', 3);
held('a 3, b 3, c 3, d 3', 'and goes on being read');
is(logged("WARNING:  reco ingest: $away"), 1, 'one warning');

# what was said of a topic does not stay when another is set, there or not
$reco->set('reco.kafka_topic', 'nothing');
$reco->wait_for('a topic that is not there', q{SELECT health = 'waiting' AND last_error LIKE 'topic "nothing"%' AND state NOT LIKE '%partition%'
	FROM reco_status() WHERE component = 'ingest'});
$reco->set('reco.kafka_topic', $reco->{topic});
$reco->wait_for('back', $is_away);

# the events of the broker that is away must come back, too: until then lists are not published
$reco->crash('postgres');
$reco->up('postgres');
held('a 3, c 3, d 3', 'after a crash what can be read is');
$reco->wait_for('the status says which partition is not', $is_away);
is(logged('reco ingest: all partitions can be read again'), 0, 'nothing is over');
is($reco->sql('SELECT replaying FROM reco.kafka_topic'), 't', 'nor is the replay');

start_broker();
held('a 3, b 3, c 3, d 3', 'the broker is back, and all is held');
$reco->wait_for('all is well', q{SELECT health || coalesce(lag_messages, -1) FROM reco_status() WHERE component = 'ingest'}, 'ok0');
is($reco->sql('SELECT replaying FROM reco.kafka_topic'), 'f', 'the replay is over');
is(logged('LOG:  reco ingest: all partitions can be read again'), 1, 'one line at the end');
$reco->verify('at the end');

done_testing;
