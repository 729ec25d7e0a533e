# Kafka that does not hold what is to be read next: a warning, the count of what is lost, and on with what is there. Positions that no
# message has (transactions), a file of settings that is wrong.
use strict;
use warnings;
use File::Basename qw(dirname);
use File::Path qw(remove_tree);
use lib dirname(__FILE__) . '/../lib';
use RecoTest;
use Test::More;

my $reco = RecoTest->start(services => [qw(kafka postgres)], partitions => 2);
my $topic = $reco->{topic};
my $services = dirname(__FILE__) . '/../services';

sub kafka { RecoTest::_run([ "$services/kafka", $reco->{dir}, @_ ]); }

# So many views of a product, to one partition, arrive.
sub views
{
	my ($product, $count, $partition) = @_;

	$reco->produce(map { { value => event('page_view', $_, $product), partition => $partition } } 1 .. $count);
}

sub arrived
{
	my ($product, $count, $name) = @_;

	$reco->wait_for($name, "SELECT count(*) FROM reco.activity WHERE product_id = '$product'", $count);
}

sub warned { my ($text) = @_; is(system('grep', '-q', "WARNING:  $text", "$reco->{dir}/postgres.log"), 0, "a warning: $text"); }

sub workers { $reco->set('reco.enabled', shift); }

views('first', 5, 0);
arrived('first', 5, 'events arrive');

# A replay begins before the horizon, by reco.max_future: what it passes over there is no trouble
my $early = $reco->sql('SELECT extract(epoch FROM horizon)::bigint - 600 FROM reco.state');
workers('off');
$reco->produce(map { { value => event('page_view', $_, 'early', time - $early), partition => 1, timestamp => 1000 * $early } } 1 .. 100);
$reco->crash('postgres');
$reco->up('postgres');
workers('on');
arrived('first', 5, 'events are back');
$reco->wait_for('those before the horizon are passed over', q{SELECT value FROM reco.counters() WHERE name = 'ingest.below_retention'}, 100);
$reco->wait_for('and the worker is well', q{SELECT health FROM reco_status() WHERE component = 'ingest'}, 'ok', 10);

# 1. Gone before they were read
workers('off');
$reco->wait_for('the worker has left', q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'reco ingest'}, 0);
views('late', 10, 0);
open(my $file, '>', "$reco->{dir}/delete.json") or die $!;
print $file qq({"version":1,"partitions":[{"topic":"$topic","partition":0,"offset":11}]});
close $file;
kafka('run', 'org.apache.kafka.tools.DeleteRecordsCommand', '--offset-json-file', "$reco->{dir}/delete.json");
workers('on');
arrived('late', 4, 'what Kafka still holds is read');
is($reco->sql(q{SELECT value FROM reco.counters() WHERE name = 'ingest.lost'}), 6, 'what it no longer holds is counted');
warned('6 messages of partition 0');

# Cut off behind what was read, as by the loss of a broker: what is left has been read
workers('off');
$reco->wait_for('the worker has left again', q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'reco ingest'}, 0);
$reco->sql('UPDATE reco.offsets SET next_offset = next_offset + 100 WHERE partition = 0');
my $read = $reco->sql('SELECT count(*) FROM reco.activity');
workers('on');
$reco->wait_for('it goes on at the end', 'SELECT next_offset FROM reco.offsets WHERE partition = 0', 15);
warned('partition 0 of topic "[^"]*" has no offset 115 any more');
views('behind', 2, 0);
arrived('behind', 2, 'what comes then is read');
is($reco->sql('SELECT count(*) FROM reco.activity'), $read + 2, 'and nothing twice');

# 2. Deleted, and created again
kafka('run', 'org.apache.kafka.tools.TopicCommand', '--delete', '--topic', $topic);
$reco->wait_for('a topic that is gone is told', q{SELECT last_error LIKE '%Unknown topic%' FROM reco_status() WHERE component = 'ingest'});
$reco->topic(1);
$reco->{ends} = {};
views('again', 3, 0);
arrived('again', 3, 'the new topic is read from its beginning');
is($reco->sql('SELECT string_agg(partition || \':\' || next_offset, \' \') FROM reco.offsets'), '0:3', 'old offsets are forgotten');

# 3. Positions that no message has
RecoTest::_run([ '/usr/bin/python3', '-c', <<'END', $ENV{KAFKA}, $topic, event('page_view', 1, 'bought') ]);
import sys
from confluent_kafka import Producer
producer = Producer({'bootstrap.servers': sys.argv[1], 'transactional.id': 'test'})
producer.init_transactions()
for end in (producer.commit_transaction, producer.abort_transaction):
    producer.begin_transaction()
    producer.produce(sys.argv[2], sys.argv[3])
    producer.flush()
    end()
END
arrived('bought', 1, 'a committed transaction is read, an aborted one is not');
$reco->wait_for('both are passed by', 'SELECT next_offset FROM reco.offsets', 7);
$reco->wait_for('nothing is left to read', q{SELECT lag_messages FROM reco_status() WHERE component = 'ingest'}, 0);

# 4. Another cluster; a partition that was not read before is read as by a new installation, not from its beginning
$reco->down('kafka');
remove_tree("$reco->{dir}/kafka");
$reco->up('kafka');
$reco->{ends} = {};
$reco->topic(2);
$early -= 7200;
$reco->produce({ value => event('page_view', 1, 'early', time - $early), partition => 1, timestamp => 1000 * $early });
views('elsewhere', 2, 1);
$reco->set('reco.kafka_brokers', $ENV{KAFKA});
arrived('elsewhere', 2, 'another cluster is read');
warned('reco.kafka_brokers refers to another Kafka cluster');
is($reco->sql('SELECT count(*) FROM reco.activity'), 17, 'what was read before stays');
is($reco->sql(q{SELECT value FROM reco.counters() WHERE name = 'ingest.below_retention'}), 100, 'what is older than the horizon is not read');

# 5. Settings that do not work, and the clock runs
open($file, '>', "$reco->{dir}/kafka.conf") or die $!;
print $file "# a comment\nauto.offset.reset = latest\n";
close $file;
$reco->set('reco.kafka_config', "$reco->{dir}/kafka.conf");
$reco->wait_for('a setting that reco needs for itself is refused',
	q{SELECT last_error LIKE 'line 2 of file%"auto.offset.reset"%' FROM reco_status() WHERE component = 'ingest'});
$reco->wait_for('the clock runs', q{SELECT clock > clock_timestamp() - interval '3 s' FROM reco.state});
open($file, '>', "$reco->{dir}/kafka.conf") or die $!;
print $file "client.id = test\n";
close $file;
views('last', 2, 0);
arrived('last', 2, 'the corrected file is found without a restart');
$reco->verify('gaps');

done_testing;
