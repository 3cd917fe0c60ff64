# As perl.pl, with the cgi module of Python.
import io
import sys
import warnings

warnings.simplefilter("ignore")
import cgi

source = sys.stdin.buffer


def walk(form, out):
    for item in form.list or []:
        if item.list:
            walk(item, out)
            continue
        if item.filename:
            continue
        value = item.value
        if isinstance(value, str):
            value = value.encode("utf-8", "surrogateescape")
        out.append((item.name or "").encode("utf-8", "surrogateescape").hex() + "=" + (value or b"").hex())


while True:
    line = source.readline()
    if not line:
        break
    kind_length, body_length = map(int, line.split())
    kind = source.read(kind_length).decode("latin-1")
    body = source.read(body_length)
    out = []
    try:
        environ = {"REQUEST_METHOD": "POST", "CONTENT_TYPE": kind, "CONTENT_LENGTH": str(len(body))}
        form = cgi.FieldStorage(fp=io.BytesIO(body), environ=environ, keep_blank_values=True, errors="surrogateescape", encoding="utf-8")
        walk(form, out)
    except Exception:
        pass  # a refused body has no fields
    print(" ".join(out), flush=True)
