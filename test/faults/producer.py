"""A producer that numbers its events, and the log of what became of each.

The number travels in the event's query, which `reco.activity` keeps. An event is
  sent     Kafka has not answered, or with an error: it may be there, or not
  acked    Kafka has it: reco must hold it as long as its time is in the windows kept
  kept     Kafka has lost it after reco had read it: reco must hold it until a crash empties its tables
  gone     lost, perhaps before it was read: reco may hold it, never twice"""
import json
import random
import threading
import time

import confluent_kafka

SENT, ACKED, KEPT, GONE = 'sent', 'acked', 'kept', 'gone'
USERS, PRODUCTS = 40, 60


class Event:
    __slots__ = ('at', 'state', 'partition', 'offset')

    def __init__(self, at, partition):
        self.at, self.partition = at, partition  # at: milliseconds since 1970
        self.state, self.offset = SENT, None


class Producer(threading.Thread):
    """Sends `rate` events a second until it is paused."""

    def __init__(self, brokers, topic, partitions, oldest, seed, rate=150):
        super().__init__(daemon=True)
        self.brokers, self.topic, self.partitions = brokers, topic, partitions
        self.oldest = oldest  # how late an event may be, in seconds
        self.rate = rate
        self.pick = random.Random(seed)
        self.events = {}
        self.number = 0
        self.failed = None
        self.running, self.idle, self.ended = threading.Event(), threading.Event(), False
        self.lock = threading.Lock()  # of events
        self.connect()

    def connect(self):
        # A message is never sent again: what the broker may have is not to be there twice by the producer's fault.
        self.kafka = confluent_kafka.Producer({
            'bootstrap.servers': self.brokers, 'linger.ms': 5, 'retries': 0, 'message.timeout.ms': 8000,
            'socket.timeout.ms': 6000, 'reconnect.backoff.max.ms': 500, 'topic.metadata.refresh.interval.ms': 1000,
            'log_level': 0})

    def run(self):
        due = time.monotonic()
        try:
            while not self.ended:
                if not self.running.is_set():
                    self.kafka.poll(0)
                    if len(self.kafka) == 0:
                        self.idle.set()
                    time.sleep(0.005)
                    due = time.monotonic()
                    continue
                while due < time.monotonic():
                    due += 1 / self.rate
                    self.send()
                self.kafka.poll(0.005)
        except Exception as error:  # the main thread must hear of it
            self.failed = error
            self.idle.set()

    def send(self):
        pick, kind = self.pick, 'page_view'
        if pick.random() < .2:
            kind = pick.choice(['click', 'search', 'add_to_cart', 'purchase', 'a kind of its own'])
        ago = self.oldest * pick.random() ** 6 if pick.random() < .9 else -1.5 * pick.random()
        at = int((time.time() - ago) * 1000)
        value = {'event_type': kind, 'user_id': int(USERS * pick.random() ** 2), 'query': str(self.number), 'timestamp': at}
        if kind != 'search':
            value['product_id'] = f'p{int(PRODUCTS * pick.random() ** 2)}'
        event = Event(at, pick.randrange(self.partitions))
        with self.lock:
            self.events[self.number] = event
        self.number += 1
        try:
            self.kafka.produce(self.topic, json.dumps(value), partition=event.partition,
                               on_delivery=lambda error, message: self.delivered(event, error, message))
        except BufferError:
            event.state = GONE
        except confluent_kafka.KafkaException:  # a partition that this client does not know
            event.state = GONE

    @staticmethod
    def delivered(event, error, message):
        if event.state == SENT and not error:
            event.state, event.offset = ACKED, message.offset()

    # What the main thread does

    def pause(self, seconds=20):
        """Returns when Kafka has answered for all that was sent."""
        self.idle.clear()
        self.running.clear()
        if not self.idle.wait(seconds):
            raise TimeoutError(f'Kafka has not answered for {len(self.kafka)} messages in {seconds} s')
        if self.failed:
            raise self.failed

    def go_on(self):
        self.idle.clear()
        self.running.set()

    def forget(self, before):
        """Events that nobody can hold any more."""
        with self.lock:
            self.events = {number: event for number, event in self.events.items() if event.at >= before}

    def lost(self, read, is_lost):
        """Kafka has lost the events for which is_lost(partition, offset); read: {partition: reco's next offset}."""
        with self.lock:
            for event in self.events.values():
                if event.state == ACKED and is_lost(event.partition, event.offset):
                    event.state = KEPT if event.offset < read.get(event.partition, 0) else GONE
                    event.offset = None

    def state_lost(self):
        """reco's tables are empty after a crash: what Kafka has lost cannot come back."""
        with self.lock:
            for event in self.events.values():
                if event.state == KEPT:
                    event.state = GONE

    def expected(self, horizon):
        """Numbers that must be held and that may be held, of events since horizon (milliseconds)."""
        with self.lock:
            held = {number: event.state for number, event in self.events.items() if event.at >= horizon}
        return ({number for number, state in held.items() if state in (ACKED, KEPT)},
                {number for number, state in held.items() if state in (SENT, GONE)})

    def describe(self, number):
        event = self.events.get(number)
        return f'{number} ({event.state}, partition {event.partition}, offset {event.offset})' if event else f'{number} (unknown)'
