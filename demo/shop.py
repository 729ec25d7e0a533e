"""The demo's screen: one shopper's list, trending products, Redis, delay and throughput, and what a catalog change does."""
import argparse
import json
import os
import random
import signal
import sys
import time
from collections import deque
from datetime import datetime, timezone

import psycopg2
import redis as redis_py

from catalog import crowd as make_crowd
from stream import Probe, Stream

HER = 1                             # the shopper on the screen
HER_NAME = 'Anna'
HER_WAY = ('shoes/running', 'shoes/running', 'shoes/trail', 'camping/tents', 'camping/tents', 'bags/backpacks')
HISTORY_EVENTS = 30000
HISTORY_SECONDS = 3 * 3600

redis = redis_py.Redis(port=int(os.environ['REDIS_PORT']), decode_responses=True)


# The application's two functions, as the shop's pages have them.
def get_user_recommendations(user_id):
    return json.loads(redis.get(str(user_id)))['recommended_products']


def get_trending_products(window_start):
    return redis.hgetall(f"trending:{window_start}")


class Demo:
    def __init__(self, seconds):
        self.seconds = seconds
        self.shop, crowd = make_crowd()
        self.sql = psycopg2.connect('')
        self.sql.autocommit = True
        self.cursor = self.sql.cursor()
        self.stream = Stream(os.environ['KAFKA'], crowd, rate=400)
        self.probe = Probe(self.stream, int(os.environ['REDIS_PORT']), [s.user_id for s in crowd.shoppers])
        self.viewed = deque(maxlen=10)
        self.news = deque(maxlen=2)
        self.steps = 0
        self.gone = set()           # products that the demo has moved or deleted
        self.counted = deque(maxlen=8)  # (time, events stored)
        self.tty = sys.stdout.isatty()
        self.stopped = False

    def query(self, text, *values):
        self.cursor.execute(text, values)
        return self.cursor.fetchall() if self.cursor.description else []

    def value(self, text, *values):
        rows = self.query(text, *values)
        return rows[0][0] if rows else None

    def name(self, product):
        return self.shop.name.get(product, product)

    # ---- before the show

    def prepare(self):
        self.query('CREATE TABLE public.products (product_id text PRIMARY KEY, name text NOT NULL, category text, price numeric(8,2))')
        self.cursor.executemany('INSERT INTO public.products VALUES (%s, %s, %s, %s)', self.shop.products)
        self.query('CREATE EXTENSION reco')
        print('the shop: %d products in %d categories, %d shoppers' % (
            len(self.shop.products), len(self.shop.by_category), len(self.stream.crowd.shoppers)))
        begin = time.time()
        self.stream.history(HISTORY_EVENTS, HISTORY_SECONDS)
        self.wait_for('the first events', 60, 'SELECT count(*) > 0 FROM reco.offsets')
        self.wait_for('three hours of history', 120, "SELECT sum(next_offset) >= %s FROM reco.offsets", self.stream.sent)
        print('three hours of history: %d events sent and read in %.1f s' % (self.stream.sent, time.time() - begin))

    def wait_for(self, what, seconds, text, *values):
        end = time.time() + seconds
        while not self.value(text, *values):
            if time.time() > end:
                for row in self.query('SELECT component, health, state, last_error FROM reco_status()'):
                    print('  ', *row, file=sys.stderr)
                sys.exit('%s: not there after %d s' % (what, seconds))
            time.sleep(0.05)

    # ---- what happens during the show

    def recommendations(self):
        try:
            return get_user_recommendations(HER)
        except TypeError:           # no key yet
            return []

    def shopper_steps(self):
        """She follows a recommendation, or visits the next category of her tour."""
        category = HER_WAY[self.steps // 3 % len(HER_WAY)]
        listed = [p for p in self.recommendations() if p not in self.gone]
        if self.steps % 3 == 2 and listed:
            product = listed[0]
        else:
            product = random.choice([p for p in self.shop.by_category[category] if p not in self.gone])
        self.steps += 1
        self.viewed.appendleft(product)
        self.stream.send(HER, 'page_view', product)
        if not self.tty:
            print('%s views %s' % (HER_NAME, self.name(product)))

    def change_catalog(self, delete):
        """Moves the first product of her list to another category, or deletes it; waits until no list in Redis has it."""
        listed = self.recommendations()
        if not listed:
            return
        product = listed[0]
        self.gone.add(product)
        count = self.value('SELECT count(*) FROM reco.user_recommendations WHERE %s = ANY (recommended_products)', product)
        begin = time.time()
        if delete:
            self.query('DELETE FROM public.products WHERE product_id = %s', product)
            what = 'DELETE of %s' % self.name(product)
        else:
            self.query("UPDATE public.products SET category = 'clearance' WHERE product_id = %s", product)
            what = '%s moved to clearance' % self.name(product)
        first = None
        while time.time() - begin < 10 and not self.stopped:
            if product not in self.recommendations():
                first = time.time() - begin
                break
            time.sleep(0.005)
        if first is None:
            self.tell('%s: still on her list after 10 s' % what)
            return
        left = count
        while left and time.time() - begin < 10 and not self.stopped:
            left = self.value('SELECT count(*) FROM reco.user_recommendations WHERE %s = ANY (recommended_products)', product)
        self.tell('%s: off her list in Redis after %d ms, off all %d lists after %d ms' % (
            what, first * 1000, count - left, (time.time() - begin) * 1000))

    def tell(self, text):
        text = '%s  %s' % (datetime.now().strftime('%H:%M:%S'), text)
        self.news.append(text)
        if not self.tty:
            print(text)

    # ---- the screen

    def look(self):
        """Query everything that the screen shows."""
        stored = self.value('SELECT sum(next_offset) FROM reco.offsets') or 0
        self.counted.append((time.time(), int(stored)))
        (first, before), (last, now) = self.counted[0], self.counted[-1]
        return {
            'left': None if self.seconds is None else max(0, self.seconds - (time.time() - self.begin)),
            'events': int(stored),
            'rate': (now - before) / (last - first) if last > first else 0,
            'delay': self.probe.percentiles(),
            'list': self.query('SELECT product_id, because FROM reco_for_user(%s, 10)', HER),
            'trending': self.query('SELECT rank, product_id, view_count, window_start FROM reco_trending(10)'),
            'status': self.query("SELECT component, health || ': ' || state, lag_messages, lag_seconds, rate,"
                                 " CASE WHEN NOT last_error_over THEN last_error END FROM reco_status()"),
            'users': self.value('SELECT count(*) FROM reco.user_recommendations'),
        }

    def summary(self, seen):
        delay = 'p50 %.0f ms, p99 %.0f ms' % seen['delay'] if seen['delay'] else 'measuring'
        return '%s events, %.0f/s   delay to Redis %s   %s lists' % (
            format(seen['events'], ','), seen['rate'], delay, format(seen['users'], ','))

    def window(self, seen):
        """The current window, as its Redis key names it."""
        if not seen['trending']:
            return None
        return seen['trending'][0][3].astimezone(timezone.utc).strftime('%Y-%m-%dT%H:%M:%S')

    def frame(self, seen, width, height):
        half = width // 2
        bars = height >= 30
        # lines left for her views and for trending; 9 others are always shown, the last of them for the cursor
        spare = height - 10 - len(seen['status']) - self.news.maxlen - (5 if bars else 0)
        rows = max(2, min(10, (spare + 1) // 2))
        top = max(1, min(10, spare - rows))
        bar = ['\033[2m' + '─' * width + '\033[0m'] if bars else []
        left = '' if seen['left'] is None else '   %d s left' % seen['left']
        lines = ['\033[1mreco\033[0m  ' + self.summary(seen) + left] + bar

        lines.append(columns('\033[1m%s (user %d) views\033[0m' % (HER_NAME, HER), '\033[1mrecommended for her now\033[0m', half))
        for n in range(rows):
            seen_product = self.name(self.viewed[n]) if n < len(self.viewed) else ''
            listed = '%d. %s  \033[2m%s\033[0m' % (n + 1, self.name(seen['list'][n][0]), seen['list'][n][1]) if n < len(seen['list']) else ''
            lines.append(columns('  ' + seen_product, listed, half))
        lines.extend(bar)

        since = seen['trending'][0][3].astimezone().strftime('%H:%M') if seen['trending'] else ''
        lines.append('\033[1mtrending since %s\033[0m' % since)
        most = seen['trending'][0][2] if seen['trending'] else 1
        for rank, product, views, _ in seen['trending'][:top]:
            lines.append('  %2d. %s %s %d' % (rank, self.name(product).ljust(28), '█' * max(1, views * (width - 45) // most), views))
        lines.extend(bar)

        lines.append('\033[1mRedis, read by the shop\'s pages\033[0m')
        lines.append('  get_user_recommendations(%d)' % HER)
        lines.append('    → %s' % self.recommendations())
        window = self.window(seen)
        lines.append("  get_trending_products('%s')" % window)
        lines.append('    → %s' % (get_trending_products(window) if window else {}))
        lines.extend(bar)

        lines.append('\033[1mreco_status()\033[0m')
        for component, state, messages, seconds, rate, error in seen['status']:
            lag = '' if messages is None else 'lag %d messages' % messages
            lines.append('  %-9s %s  %s  %s' % (component, state or '', lag, '\033[31m%s\033[0m' % error if error else ''))
        lines.extend(bar)
        lines.extend('  ' + line for line in self.news)
        return lines

    def draw(self, seen):
        size = os.get_terminal_size()
        lines = [clip(line, size.columns - 1) for line in self.frame(seen, size.columns - 1, size.lines)][:size.lines - 1]
        sys.stdout.write('\033[H' + ''.join(line + '\033[K\n' for line in lines) + '\033[J')
        sys.stdout.flush()

    def plain(self, seen):
        print(self.summary(seen))
        print('  %s: %s' % (HER_NAME, ', '.join('%s (%s)' % (self.name(p), because) for p, because in seen['list'][:4])))
        print('  trending: %s' % ', '.join('%s %d' % (self.name(p), views) for _, p, views, _ in seen['trending'][:4]))
        print('  Redis: get_user_recommendations(%d) = %s ...' % (HER, self.recommendations()[:3]))
        window = self.window(seen)
        if window:
            hash_ = get_trending_products(window)
            print("  Redis: get_trending_products('%s') = %s ..." % (window, dict(list(hash_.items())[:3])))
        for component, state, messages, seconds, rate, error in seen['status']:
            print('  reco_status: %s %s%s%s' % (component, state, '' if messages is None else ', lag %d messages' % messages,
                                                ', ' + error if error else ''))
        sys.stdout.flush()

    # ---- the show

    def run(self):
        self.prepare()
        self.begin = time.time()
        self.stream.start()
        self.probe.start()
        length = self.seconds or 60
        changes = [(0.4 * length, False), (0.7 * length, True)]
        next_step = next_draw = 0
        round_ = 0
        if self.tty:
            sys.stdout.write('\033[?25l\033[2J')
        while not self.stopped and (self.seconds is None or time.time() - self.begin < self.seconds):
            now = time.time() - self.begin
            if now >= next_step:
                self.shopper_steps()
                next_step = now + 2
            if changes and now >= changes[0][0] + round_ * length:
                self.change_catalog(changes[0][1])
                changes.append(changes.pop(0))
                round_ += not changes[0][1]
            if now >= next_draw:
                (self.draw if self.tty else self.plain)(self.look())
                next_draw = now + (0.5 if self.tty else 5)
            time.sleep(0.05)
        self.stream.running = False

    def finish(self):
        if self.tty:
            sys.stdout.write('\033[?25h')
        if self.stream.sent:
            self.stream.running = False
            print('sent %d events; %s' % (self.stream.sent, self.summary(self.look())))


def visible(text):
    """Length of a text without its escape sequences."""
    length, skip = 0, False
    for c in text:
        if c == '\033':
            skip = True
        elif not skip:
            length += 1
        elif c == 'm':
            skip = False
    return length


def clip(text, width):
    """At most `width` visible characters, escape sequences kept."""
    if visible(text) <= width:
        return text
    out, length, skip = [], 0, False
    for c in text:
        if c == '\033':
            skip = True
        if not skip and length >= width - 1:
            break
        out.append(c)
        if not skip:
            length += 1
        elif c == 'm':
            skip = False
    return ''.join(out) + '…\033[0m'


def columns(left, right, width):
    left = clip(left, width - 2)
    return left + ' ' * (width - visible(left)) + right


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--seconds', type=int)
    demo = Demo(parser.parse_args().seconds)

    def stop(signum, frame):
        demo.stopped = True
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    try:
        demo.run()
    finally:
        demo.finish()


main()
