# Reads requests as python.py does, and prints the texts and attributes that ElementTree finds in the XML.
import sys
import xml.etree.ElementTree as ElementTree

source = sys.stdin.buffer
while True:
    line = source.readline()
    if not line:
        break
    kind_length, body_length = map(int, line.split())
    source.read(kind_length)
    body = source.read(body_length)
    found = []
    try:
        for element in ElementTree.fromstring(body).iter():
            found += [element.text, element.tail, *element.attrib.values()]
    except (ElementTree.ParseError, LookupError, ValueError):
        pass  # a refused body has no texts
    print(" ".join("=" + text.encode("utf-8", "surrogatepass").hex() for text in found if text), flush=True)
