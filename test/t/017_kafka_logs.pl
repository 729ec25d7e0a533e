# What Kafka's partitions go through behind the worker's back: a tail that is lost (and grows again), a topic that is created again
# and refilled, records that are deleted, another cluster that holds a copy. Each event counts once, and a warning says what happened.
use strict;
use warnings;
use File::Basename qw(dirname);
use File::Path qw(remove_tree);
use IPC::Run;
use lib dirname(__FILE__) . '/../lib';
use RecoTest;
use Test::More;

my $reco = RecoTest->start(services => [qw(kafka postgres)], partitions => 1);
my $topic = $reco->{topic};
my $services = dirname(__FILE__) . '/../services';
my $faults = dirname(__FILE__) . '/../faults';
my $sent = 0;

sub kafka { RecoTest::_run([ "$services/kafka", $reco->{dir}, @_ ]); }

# So many views, each in a batch of its own: files are cut between batches.
sub views
{
	my ($product, $count) = @_;

	RecoTest::_run([ '/usr/bin/python3', '-c', <<'END', $ENV{KAFKA}, $topic, map { event('page_view', ++$sent, $product) } 1 .. $count ]);
import sys
from confluent_kafka import Producer
producer = Producer({'bootstrap.servers': sys.argv[1], 'linger.ms': 0})
for value in sys.argv[3:]:
    producer.produce(sys.argv[2], value, partition=0)
    if producer.flush(60):
        sys.exit('a message was not sent')
END
}

sub held
{
	my ($name, $expected, $next) = @_;

	$reco->wait_for("$name: the offset", 'SELECT next_offset FROM reco.offsets WHERE partition = 0', $next);
	is($reco->sql(q{SELECT string_agg(product_id || ' ' || count, ', ' ORDER BY product_id) FROM
		(SELECT product_id, count(*) FROM reco.activity GROUP BY product_id) p}), $expected, "$name: the events");
}

sub workers_off
{
	$reco->set('reco.enabled', 'off');
	$reco->wait_for('the worker has left', q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'reco ingest'}, 0);
}

sub workers_on { $reco->set('reco.enabled', 'on'); }

# Kills the broker, cuts so many of the partition's last batches off, starts it again.
sub lose_tail
{
	my ($batches) = @_;

	$reco->crash('kafka');
	my $end = RecoTest::_run([ '/usr/bin/python3', '-c', <<'END', $faults, $reco->{dir}, $topic, $batches ]);
import sys, types
sys.path[:0] = [sys.argv[1], sys.argv[1] + '/..']
from broker import Broker
broker = Broker.__new__(Broker)
broker.services = types.SimpleNamespace(dir=sys.argv[2])
print(broker.cut_tail(sys.argv[3], 0, int(sys.argv[4])))
END
	$reco->up('kafka');
	chomp $end;
	return $end;
}

sub create_again
{
	kafka('run', 'org.apache.kafka.tools.TopicCommand', '--delete', '--topic', $topic);
	$reco->topic(1);
}

sub warnings { my ($text) = @_; return `grep -c 'WARNING:  $text' $reco->{dir}/postgres.log` + 0; }
sub lost { return $reco->sql(q{SELECT value FROM reco.counters() WHERE name = 'ingest.lost'}); }

my $cut = "partition 0 of topic \"$topic\" has no offset";
my $over = "partition 0 of topic \"$topic\" holds other messages than were read";
my $again = "topic \"$topic\" has been deleted and created again";

# 1. A tail is lost while the workers are off; the first offset is 0
views('a', 10);
held('first', 'a 10', 10);
workers_off();
is(lose_tail(2), 8, 'two messages are cut off');
workers_on();
held('tail lost', 'a 10', 8);
is(warnings($cut), 1, 'a warning says so');
$reco->down('kafka');
$reco->up('kafka');
views('b', 1);
held('what comes then', 'a 10, b 1', 9);
is(warnings($cut), 1, 'and no other one when the worker looks again');

# and grows again, past what was read
workers_off();
is(lose_tail(3), 6, 'three are cut off');
views('c', 7);
workers_on();
held('tail lost, and grown again', 'a 10, b 1, c 7', 13);
is(warnings($over), 1, 'a warning says so');

# 2. The same while the worker runs; it may see the broker between, or not
lose_tail(2);
views('d', 5);
held('tail lost under the worker', 'a 10, b 1, c 7, d 5', 16);

# 3. Created again, and refilled beyond what was read, while off
workers_off();
create_again();
views('e', 20);
workers_on();
held('created again', 'a 10, b 1, c 7, d 5, e 20', 20);
is(warnings($again), 1, 'a warning says so');
is(lost(), 0, 'nothing is lost');

# with fewer messages than were read, and with one read and two new
workers_off();
create_again();
views('f', 1);
workers_on();
held('created again, one message', 'a 10, b 1, c 7, d 5, e 20, f 1', 1);
workers_off();
create_again();
views('g', 2);
workers_on();
held('created again, one read and two new', 'a 10, b 1, c 7, d 5, e 20, f 1, g 2', 2);
is(warnings($again), 3, 'warnings say so');

# 4. Created again and refilled at once, while the worker runs
views('h', 3);
held('more', 'a 10, b 1, c 7, d 5, e 20, f 1, g 2, h 3', 5);
create_again();
views('i', 12);
held('created again under the worker', 'a 10, b 1, c 7, d 5, e 20, f 1, g 2, h 3, i 12', 12);

# 5. Deleted before they were read, and behind an aborted transaction
workers_off();
views('j', 4);
open(my $file, '>', "$reco->{dir}/delete.json") or die $!;
print $file qq({"version":1,"partitions":[{"topic":"$topic","partition":0,"offset":15}]});
close $file;
kafka('run', 'org.apache.kafka.tools.DeleteRecordsCommand', '--offset-json-file', "$reco->{dir}/delete.json");
workers_on();
held('deleted', 'a 10, b 1, c 7, d 5, e 20, f 1, g 2, h 3, i 12, j 1', 16);
is(lost(), 3, 'what is lost is counted');
RecoTest::_run([ '/usr/bin/python3', '-c', <<'END', $ENV{KAFKA}, $topic, event('page_view', 1, 'aborted') ]);
import sys
from confluent_kafka import Producer
producer = Producer({'bootstrap.servers': sys.argv[1], 'transactional.id': 'test'})
producer.init_transactions()
producer.begin_transaction()
producer.produce(sys.argv[2], sys.argv[3], partition=0)
producer.flush()
producer.abort_transaction()
END
held('an aborted transaction is passed by', 'a 10, b 1, c 7, d 5, e 20, f 1, g 2, h 3, i 12, j 1', 18);
workers_off();
workers_on();
views('k', 1);
held('and nothing of it is called lost', 'a 10, b 1, c 7, d 5, e 20, f 1, g 2, h 3, i 12, j 1, k 1', 19);
is(lost(), 3, 'nothing more is lost');

# 6. A transaction that nobody ends keeps its partition: the lag counts what is behind it, and the state names it
my ($in, $out) = ('', '');
my $hanging = IPC::Run::start([ '/usr/bin/python3', '-uc', <<'END', $ENV{KAFKA}, $topic, event('page_view', 1, 'open') ], '<', \$in, '>', \$out);
import sys
from confluent_kafka import Producer
producer = Producer({'bootstrap.servers': sys.argv[1], 'transactional.id': 'hanging', 'transaction.timeout.ms': 600000})
producer.init_transactions()
producer.begin_transaction()
producer.produce(sys.argv[2], sys.argv[3], partition=0)
producer.flush()
print('open')
sys.stdin.readline()
producer.commit_transaction()
END
$hanging->pump until $out =~ /open/;
views('behind', 3);
$reco->wait_for('a transaction that hangs: the lag counts what waits', q{SELECT lag_messages FROM reco_status() WHERE component = 'ingest'}, 4);
$reco->wait_for('and its seconds grow', q{SELECT lag_seconds BETWEEN 3 AND 60 FROM reco_status() WHERE component = 'ingest'});
$reco->wait_for('the state names it', q{SELECT health = 'waiting' AND state LIKE '%partition 0%transaction%' FROM reco_status() WHERE component = 'ingest'});
my $brokers = $reco->sql('SHOW reco.kafka_brokers');
$reco->set('reco.kafka_brokers', '');
$reco->wait_for('without brokers it is no trouble', q{SELECT health = 'ok' AND state NOT LIKE '%transaction%' FROM reco_status() WHERE component = 'ingest'});
$reco->set('reco.kafka_brokers', $brokers);
$reco->wait_for('a new consumer finds it again', q{SELECT health = 'waiting' AND lag_messages = 4 AND state LIKE '%partition 0%transaction%'
	FROM reco_status() WHERE component = 'ingest'});
$reco->wait_for('and its seconds grow, though no message was read', q{SELECT lag_seconds BETWEEN 3 AND 60 FROM reco_status() WHERE component = 'ingest'});
$in .= "end\n";
$hanging->finish;
$reco->wait_for('its end ends that', q{SELECT count(*) FROM reco.activity WHERE product_id IN ('behind', 'open')}, 4);
$reco->wait_for('and the state is as before', q{SELECT health FROM reco_status() WHERE component = 'ingest'}, 'ok');

# 7. A message without a time, as Kafka's protocol allows, is as one that comes now
RecoTest::_run([ '/usr/bin/python3', '-c', <<'END', $ENV{KAFKA}, $topic, event('page_view', 1, 'timeless'), '{"event_type":"page_view","user_id":1,"product_id":"timeless"}' ]);
import sys
from confluent_kafka import Producer
producer = Producer({'bootstrap.servers': sys.argv[1]})
for value in sys.argv[3:]:
    producer.produce(sys.argv[2], value, partition=0, timestamp=-1)
if producer.flush(60):
    sys.exit('a message was not sent')
END
$reco->wait_for('messages without a time', q{SELECT count(*) FROM reco.activity WHERE product_id = 'timeless'}, 2);
is($reco->sql('SELECT count(*) FROM reco.rejected'), 0, 'are not rejected');
$reco->verify('partitions');

done_testing;
