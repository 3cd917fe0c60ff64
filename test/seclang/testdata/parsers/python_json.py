# Reads requests as python.py does, and prints the names and texts that the json module finds.
import json
import sys

source = sys.stdin.buffer


def walk(value, found):
    if isinstance(value, str):
        found.append(value)
    elif isinstance(value, list):
        for item in value:
            walk(item, found)
    elif isinstance(value, Pairs):
        for name, item in value.items:
            walk(item, found)


class Pairs:
    def __init__(self, items):
        self.items = items


while True:
    line = source.readline()
    if not line:
        break
    kind_length, body_length = map(int, line.split())
    source.read(kind_length)
    body = source.read(body_length)
    found = []
    try:
        walk(json.loads(body, object_pairs_hook=Pairs, strict=False), found)
    except (ValueError, RecursionError):
        pass  # a refused body has no texts
    print(" ".join("=" + text.encode("utf-8", "replace").hex() for text in found if text), flush=True)
