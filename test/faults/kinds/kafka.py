"""The broker stands still, dies, loses what it held, or gets another topic under the same name."""
from fault import Fault
from world import TOPIC


class FreezeBroker(Fault):
    """The broker gets SIGSTOP, and later SIGCONT"""
    kind = 'stop-broker'
    hold = (1, 4)
    bound = 15

    def inject(self):
        self.world.broker.freeze()

    def heal(self):
        self.world.broker.thaw()


class KillBroker(Fault):
    """The broker is killed by SIGKILL and restarted"""
    kind = 'kill-broker'
    bound = 20

    def inject(self):
        self.world.broker.kill()

    def heal(self):
        self.world.broker.start()


class LoseTail(Fault):
    """The broker is killed by SIGKILL and loses the last batches of a partition, whose offsets new messages take"""
    kind = 'kafka-tail-lost'
    bound = 30
    alone = True

    def inject(self):
        world, partition = self.world, self.pick.randrange(self.world.partitions)
        world.producer.pause()
        self.read = world.read()
        world.broker.kill()
        self.end = world.broker.cut_tail(TOPIC, partition, self.pick.choice([1, 1, 3, 20]))
        self.note = f'partition {partition} from offset {self.end}'
        if self.end is not None:
            world.producer.lost(self.read, lambda p, offset: p == partition and offset >= self.end)

    def heal(self):
        self.world.broker.start()
        self.world.producer.go_on()


class DeleteRecords(Fault):
    """The first records of a partition are deleted, as by retention; sometimes all of them"""
    kind = 'kafka-records-deleted'
    bound = 20

    def inject(self):
        world, partition = self.world, self.pick.randrange(self.world.partitions)
        low, high = world.broker.ends(TOPIC, world.partitions)[partition]
        before = self.pick.choice([low + (high - low) // 2, high - min(high - low, 5), high])
        self.note = f'partition {partition} up to {before} of {low} to {high}'
        read = world.read()
        world.producer.lost({p: min(offset, read.get(p, 0)) for p, offset in read.items()},
                            lambda p, offset: p == partition and offset < before)
        world.broker.delete_records(TOPIC, {partition: before})


class AddPartitions(Fault):
    """The topic gets more partitions, which must be read from their beginning"""
    kind = 'kafka-partitions-added'
    bound = 20

    def inject(self):
        world = self.world
        if world.partitions >= 12:
            recreate(world, 2)
            self.bound = 30
        world.partitions += self.pick.choice([1, 2])
        self.note = f'{world.partitions} partitions'
        world.broker.add_partitions(TOPIC, world.partitions)
        world.producer.partitions = world.partitions


def recreate(world, partitions):
    world.producer.pause()
    world.producer.lost(world.read(), lambda partition, offset: True)
    world.broker.delete_topic(TOPIC)
    world.broker.create_topic(TOPIC, partitions)
    world.partitions = world.producer.partitions = partitions
    world.producer.connect()
    world.producer.go_on()


class RecreateTopic(Fault):
    """The topic is deleted and created again, and gets new messages"""
    kind = 'kafka-topic-created-again'
    bound = 30
    alone = True

    def inject(self):
        partitions = self.pick.choice([1, 2, self.world.partitions])
        self.note = f'{self.world.partitions} partitions, then {partitions}'
        recreate(self.world, partitions)


class DeleteTopic(Fault):
    """The topic is deleted, and created again some seconds later"""
    kind = 'kafka-topic-gone'
    bound = 30
    alone = True
    hold = (3, 9)

    def inject(self):
        world = self.world
        world.producer.pause()
        world.producer.lost(world.read(), lambda partition, offset: True)
        world.broker.delete_topic(TOPIC)

    def heal(self):
        world = self.world
        world.broker.create_topic(TOPIC, world.partitions)
        world.producer.connect()
        world.producer.go_on()
