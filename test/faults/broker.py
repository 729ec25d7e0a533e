"""The Kafka broker of the shop: its process, its topics, and the files of its partitions."""
import glob
import os
import signal
import struct

import confluent_kafka
from confluent_kafka.admin import AdminClient, NewPartitions, NewTopic

from engine import wait_for


class Broker:
    def __init__(self, services):
        self.services = services
        self.brokers = os.environ['KAFKA']
        self.admin = AdminClient({'bootstrap.servers': self.brokers, 'log_level': 0})

    def start(self):
        self.services.up('kafka')

    def stop(self):
        self.services.down('kafka')

    def kill(self):
        self.services.down('kafka', kill=True)

    def signal(self, number):
        with open(os.path.join(self.services.dir, 'kafka.pid')) as file:
            os.kill(int(file.readline()), number)

    def freeze(self):
        self.signal(signal.SIGSTOP)

    def thaw(self):
        self.signal(signal.SIGCONT)

    # Topics

    @staticmethod
    def done(futures):
        for future in futures.values():
            future.result(20)

    def create_topic(self, topic, partitions):
        def create():
            try:
                self.done(self.admin.create_topics([NewTopic(topic, partitions, 1)]))
                return True
            except confluent_kafka.KafkaException as error:  # a deletion may be on its way
                if error.args[0].code() == confluent_kafka.KafkaError.TOPIC_ALREADY_EXISTS:
                    return False
                raise
        wait_for(create, 20, f'topic {topic} to be created')
        wait_for(lambda: self.partitions(topic) == partitions, 20, f'topic {topic} to be there')

    def delete_topic(self, topic):
        self.done(self.admin.delete_topics([topic]))
        wait_for(lambda: self.partitions(topic) == 0, 20, f'topic {topic} to be gone')

    def add_partitions(self, topic, count):
        self.done(self.admin.create_partitions([NewPartitions(topic, count)]))
        wait_for(lambda: self.partitions(topic) == count, 20, f'topic {topic} to have {count} partitions')

    def partitions(self, topic):
        metadata = self.admin.list_topics(timeout=20).topics.get(topic)
        return len(metadata.partitions) if metadata and not metadata.error else 0

    def ends(self, topic, partitions):
        """{partition: (first offset, next offset)}."""
        consumer = confluent_kafka.Consumer({'bootstrap.servers': self.brokers, 'group.id': 'faults', 'log_level': 0})
        try:
            return {partition: consumer.get_watermark_offsets(confluent_kafka.TopicPartition(topic, partition), timeout=20)
                    for partition in range(partitions)}
        finally:
            consumer.close()

    def delete_records(self, topic, before):
        """before: {partition: the first offset that stays}; by Kafka's own tool, which older clients lack."""
        path = os.path.join(self.services.dir, 'delete.json')
        with open(path, 'w') as file:
            parts = ','.join(f'{{"topic":"{topic}","partition":{p},"offset":{offset}}}' for p, offset in before.items())
            file.write(f'{{"version":1,"partitions":[{parts}]}}')
        self.services.run('kafka', 'run', 'org.apache.kafka.tools.DeleteRecordsCommand', '--offset-json-file', path)

    # Files; the broker must be down

    def cut_tail(self, topic, partition, batches):
        """Cuts the last batches off a partition, as the loss of a disk's cache does; returns the new end, or None."""
        path = max(glob.glob(os.path.join(self.services.dir, 'kafka', 'data', f'{topic}-{partition}', '*.log')))
        starts = []
        with open(path, 'rb') as log:
            while len(header := log.read(12)) == 12:
                offset, length = struct.unpack('>qi', header)
                if length <= 0:
                    break
                starts.append((log.tell() - 12, offset))
                log.seek(length, os.SEEK_CUR)
        if len(starts) <= batches:
            return None
        position, offset = starts[-batches]
        os.truncate(path, position)
        return offset
