#!/usr/bin/python3 -B
"""Servers that are not Redis, or not as it should be: one port for each way to answer.

fake_redis.py [BEHAVIOUR...] prints a line "BEHAVIOUR PORT" for each, then an empty one, and serves until its input ends.
"""
import itertools
import os
import random
import socket
import sys
import threading
import time


def endless(head, piece):
    yield head
    yield from itertools.repeat(piece)


def slowly(data, pause):
    for byte in data:
        yield bytes([byte])
        time.sleep(pause)


def one(data):
    return lambda: iter([data])


# What is said to each piece of input; None: then the connection is closed.
BEHAVIOURS = {
    'bulk_without_end': lambda: endless(b'$100000000000\r\n', b'x' * 65536),
    'bulk_announced': one(b'$100000000000\r\n'),
    'elements_without_end': lambda: endless(b'*1000000\r\n', b'$1000000\r\n' + b'x' * 1000000 + b'\r\n'),
    'line_without_end': lambda: endless(b'+', b'x' * 65536),
    'replies_without_end': lambda: endless(b'', b'+OK\r\n' * 10000),
    'nested_without_end': lambda: endless(b'', b'*1\r\n' * 10000),
    'huge_array': one(b'*2000000000\r\n'),
    'huge_number': one(b':99999999999999999999999\r\n'),
    'negative_length': one(b'$-7\r\n'),
    'negative_count': one(b'*-7\r\n'),
    'no_number': one(b'$x\r\n'),
    'drip': lambda: slowly(b'$1000\r\n' + b'x' * 1000, 1),
    'silent': lambda: iter([]),
    'not_utf8': one(b'-ERR \xff\xfe caf\xc3\xa9 \x1b[31m\x07\nFATAL:  forged\r\n'),
    'cut_character': one(b'-ERR ' + b'\xc3\xa9' * 5000 + b'\r\n'),
    'repeats_command': None,
    'integer': one(b':5\r\n'),
    'array': one(b'*2\r\n:1\r\n$-1\r\n'),
    'array_of_arrays': one(b'*2\r\n*1\r\n*1\r\n:1\r\n*0\r\n'),
    'nil': one(b'$-1\r\n'),
    'push': one(b'>2\r\n+invalidate\r\n+x\r\n'),
    'resp3_map': one(b'%1\r\n+a\r\n+b\r\n'),
    'garbage': lambda: iter([random.Random(1).randbytes(100000)]),
    'half': lambda: iter([b'$10\r\nabc', None]),
    'closes': lambda: iter([None]),
    'tls': one(b'\x15\x03\x01\x00\x02\x02\x46'),
    'http': lambda: iter([b'HTTP/1.1 400 Bad Request\r\nServer: nginx\r\n\r\n', None]),
    'says_hello': None,
    'protected': lambda: iter([b'-DENIED Redis is running in protected mode because protected mode is enabled\r\n', None]),
    'loading': one(b'-LOADING Redis is loading the dataset in memory\r\n'),
    'long_values': None,
    'too_old': one(b'$44\r\n# Server\r\nredis_version:2.8.24\r\nx:12345678\r\n\r\n'),
}


def long_value(word):
    """Of one who is asked by reco_redis_verify()."""
    if word in (b'SCAN', b'HGETALL'):
        return b'*2\r\n$1\r\n0\r\n*0\r\n' if word == b'SCAN' else b'*2\r\n$1\r\nx\r\n$8000000\r\n' + b'x' * 8000000 + b'\r\n'
    return {b'TYPE': b'+string\r\n', b'TTL': b':1\r\n', b'GET': b'$8000000\r\n' + b'x' * 8000000 + b'\r\n'}.get(word, b'+OK\r\n')


def answer_commands(connection, reply):
    """One reply to each command's first word; all words are short and hold no line's end."""
    lines = connection.makefile('rb')
    for line in lines:
        words = [(lines.readline(), lines.readline())[1].rstrip() for _ in range(int(line[1:]))]
        connection.sendall(reply(words[0]))


def answer(connection, behaviour):
    if behaviour == 'long_values':
        answer_commands(connection, long_value)
    if behaviour == 'says_hello':  # before it is asked
        connection.sendall(b'SSH-2.0-OpenSSH_9.2\r\n')
    while True:
        data = connection.recv(65536)
        if not data:
            return
        if behaviour == 'repeats_command':
            connection.sendall(b'-ERR unknown command, with args beginning with: ' + data.replace(b'\r\n', b' ') + b'\r\n')
            continue
        for piece in (BEHAVIOURS[behaviour] or one(b'+OK\r\n'))():
            if piece is None:
                return
            connection.sendall(piece)


def serve(listener, behaviour):
    def one_client(connection):
        try:
            with connection:
                answer(connection, behaviour)
        except OSError:
            pass

    while True:
        connection, _ = listener.accept()
        threading.Thread(target=one_client, args=(connection,), daemon=True).start()


def main():
    for behaviour in sys.argv[1:] or BEHAVIOURS:
        listener = socket.create_server(('127.0.0.1', 0))
        threading.Thread(target=serve, args=(listener, behaviour), daemon=True).start()
        print(behaviour, listener.getsockname()[1])
    print(flush=True)
    sys.stdin.read()
    os._exit(0)


if __name__ == '__main__':
    main()
