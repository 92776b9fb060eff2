"""A stand-in for Google Cloud Storage on this machine: the calls of its JSON API that gcsfs makes. `python storage.py`
prints its address; objects are kept in memory, and every request is printed.
"""

import base64
import hashlib
import json
import re
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

OBJECTS: dict[tuple[str, str], tuple[bytes, int]] = {}  # (bucket, name) -> content, generation
STARTED: dict[str, tuple[tuple[str, str], bytearray]] = {}  # resumable uploads


def described(key):
    content, generation = OBJECTS[key]
    md5 = base64.b64encode(hashlib.md5(content).digest()).decode()
    return {
        "kind": "storage#object", "bucket": key[0], "name": key[1], "size": str(len(content)), "md5Hash": md5,
        "etag": f"e{generation}", "generation": str(generation), "updated": "2026-01-01T00:00:00.000Z",
        "timeCreated": "2026-01-01T00:00:00.000Z", "contentType": "application/octet-stream",
    }  # fmt: skip


def stored(key, content):
    OBJECTS[key] = (content, len(STARTED) + OBJECTS.get(key, (b"", 0))[1] + 1)
    return described(key)


class Storage(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, format, *arguments):
        print(format % arguments, flush=True)

    def answer(self, found, status=200, **headers):
        content = found if isinstance(found, bytes) else json.dumps(found).encode()
        self.send_response(status)
        for name, value in {"Content-Length": len(content), **headers}.items():
            self.send_header(name, str(value))
        self.end_headers()
        self.wfile.write(content)

    def asked(self):
        """(Bucket and name of the object, the query)."""
        parts = urlsplit(self.path)
        found = re.match(r"(?:/download|/upload)?/storage/v1/b/([^/]+)(?:/o(?:/(.+))?)?$", parts.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        return (unquote(found[1]), unquote(found[2] or "")), query

    def do_GET(self):
        (bucket, name), query = self.asked()
        if "/o" not in urlsplit(self.path).path.partition("/b/")[2]:
            return self.answer({"kind": "storage#bucket", "name": bucket})
        if not name:
            return self.answer(listed(bucket, query.get("prefix", ""), query.get("delimiter", "")))
        if (bucket, name) not in OBJECTS:
            return self.answer({"error": {"code": 404, "message": f"No such object: {bucket}/{name}"}}, 404)
        if query.get("alt") != "media":
            return self.answer(described((bucket, name)))
        content, status = OBJECTS[bucket, name][0], 200
        if wanted := re.match(r"bytes=(\d+)-(\d*)", self.headers.get("Range", "")):
            content, status = content[int(wanted[1]) : int(wanted[2] or len(content)) + 1], 206
        return self.answer(content, status)

    def do_POST(self):
        (bucket, _), query = self.asked()
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if "id" in query:
            return self.chunk(query["id"], body)
        if query["uploadType"] == "resumable":
            number = str(len(STARTED))
            key = bucket, query.get("name") or json.loads(body)["name"]
            STARTED[number] = key, bytearray()
            return self.answer({}, Location=f"http://{self.headers['Host']}/upload/storage/v1/b/{bucket}/o?id={number}")
        if query["uploadType"] == "multipart":
            boundary = re.search(r"boundary=['\"]?([^'\";]+)", self.headers["Content-Type"])[1].encode()
            about, content = (part.partition(b"\n\n")[2] for part in body.split(b"--" + boundary)[1:3])
            return self.answer(stored((bucket, json.loads(about)["name"]), content[:-1]))
        return self.answer(stored((bucket, query["name"]), body))

    def chunk(self, number, body):
        key, content = STARTED[number]
        content += body
        whole = re.match(r"bytes .*/(\d+)$", self.headers.get("Content-Range", ""))
        if whole and int(whole[1]) == len(content):
            return self.answer(stored(key, bytes(content)))
        return self.answer(b"", 308, Range=f"bytes=0-{len(content) - 1}")

    def do_DELETE(self):
        key, _ = self.asked()
        return self.answer(b"", 204 if OBJECTS.pop(key, None) else 404)


def listed(bucket, prefix, delimiter):
    names = sorted(name for one, name in OBJECTS if one == bucket and name.startswith(prefix))
    deep = {name for name in names if delimiter and delimiter in name[len(prefix) :]}
    folders = sorted({prefix + name[len(prefix) :].partition(delimiter)[0] + delimiter for name in deep})
    items = [described((bucket, name)) for name in names if name not in deep]
    return {"kind": "storage#objects", "items": items, "prefixes": folders}


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", 0), Storage)
    print(f"http://127.0.0.1:{server.server_port}", file=sys.stderr, flush=True)
    server.serve_forever()
