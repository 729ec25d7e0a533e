"""Sends the shop's events to Kafka, and measures how long an event takes to show in Redis."""
import json
import random
import threading
import time
from datetime import datetime, timezone

import redis
from confluent_kafka import Producer

TOPIC = 'user_activity'


class Stream(threading.Thread):
    """Produces `rate` events a second until it is told to stop."""

    def __init__(self, brokers, crowd, rate):
        super().__init__(daemon=True)
        self.producer = Producer({'bootstrap.servers': brokers, 'linger.ms': 2, 'queue.buffering.max.messages': 1000000})
        self.crowd = crowd
        self.rate = rate
        self.sent = 0
        self.running = True

    def send(self, user_id, kind, what, when=None):
        event = {'event_type': kind, 'user_id': user_id}
        event['query' if kind == 'search' else 'product_id'] = what
        event['timestamp'] = datetime.fromtimestamp(when or time.time(), timezone.utc).isoformat(timespec='milliseconds').replace('+00:00', 'Z')
        self.producer.produce(TOPIC, json.dumps(event), key=str(user_id))
        self.producer.poll(0)
        self.sent += 1

    def history(self, count, seconds):
        """What happened before the demo began."""
        now = time.time()
        for n in range(count):
            self.send(*self.crowd.event(), when=now - seconds * (1 - n / count))
        self.producer.flush(30)

    def run(self):
        begin = time.time()
        n = 0
        while self.running:
            due = int((time.time() - begin) * self.rate)
            for n in range(n, due):
                self.send(*self.crowd.event())
            n = due
            self.producer.poll(0)
            time.sleep(0.01)
        self.producer.flush(5)


class Probe(threading.Thread):
    """A shopper who follows a recommendation: from the view on, the product must leave her list. The time from the event's
    sending until Redis shows the new list is the delay from end to end."""

    def __init__(self, stream, redis_port, users):
        super().__init__(daemon=True)
        self.stream = stream
        self.redis = redis.Redis(port=redis_port, decode_responses=True)
        self.users = users
        self.delays = []
        self.waiting = {}           # user_id: (product, when sent)
        self.given_up = 0

    def begin(self):
        user_id = random.choice(self.users)
        value = self.redis.get(str(user_id))
        if value is None or user_id in self.waiting:
            return
        product = random.choice(json.loads(value)['recommended_products'])
        self.waiting[user_id] = product, time.time()
        self.stream.send(user_id, 'page_view', product)
        self.stream.producer.poll(0)

    def look(self):
        users = list(self.waiting)
        for user_id, value in zip(users, self.redis.mget(users)):
            product, when = self.waiting[user_id]
            now = time.time()
            if value is None or product not in json.loads(value)['recommended_products']:
                self.delays.append(now - when)
                del self.waiting[user_id]
            elif now - when > 10:
                self.given_up += 1
                del self.waiting[user_id]

    def run(self):
        next_one = 0
        while self.stream.running:
            try:
                if time.time() >= next_one:
                    self.begin()
                    next_one = time.time() + 0.05
                if self.waiting:
                    self.look()
            except redis.RedisError:
                time.sleep(0.5)
            time.sleep(0.002)

    def percentiles(self):
        """p50, p99 of the last 1000 delays in milliseconds, or None."""
        last = sorted(self.delays[-1000:])
        if not last:
            return None
        return last[len(last) // 2] * 1000, last[min(int(len(last) * 0.99), len(last) - 1)] * 1000
