"""A server that keeps models as the Model Registry's REST interface has them."""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from stt_model.export.model_card import ModelIdentity, format_card
from tests.loopback import LoopbackServer

API = "/api/model_registry/v1alpha3/"


class RegistryServer(LoopbackServer):
    """``broken`` has the status of the next answers; ``loses`` answers made things with 503."""

    def __init__(self):
        self.models, self.versions, self.places = [], [], {}
        self.headers, self.broken, self.loses = [], [], False
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                self.answer(None)

            def do_POST(self):
                self.answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

            def answer(self, body):
                server.headers.append(dict(self.headers))
                parts = urlsplit(self.path)
                assert parts.path.startswith(API)
                query = {key: each[0] for key, each in parse_qs(parts.query).items()}
                status, content = server.handle(parts.path.removeprefix(API), query, body)
                if server.broken:
                    status, content = server.broken.pop(), {"code": "", "message": "not now"}
                if body and server.loses:
                    server.loses, status = False, 503
                text = json.dumps(content).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_):
                pass

        super().__init__(Handler)

    def handle(self, what, query, body):
        if what == "registered_model":
            return self._find(self.models, query)
        if what == "model_version":
            query["registeredModelId"] = query.pop("parentResourceId")
            return self._find(self.versions, query)
        if what == "registered_models":
            return self._keep(self.models, body, "name")
        if what == "model_versions":
            return self._keep(self.versions, body, "registeredModelId", "name")
        _, version, _ = what.split("/")
        places = self.places.setdefault(version, [])
        if body is None:
            return 200, {"items": places, "size": len(places)}
        return self._keep(places, body, "name")

    @staticmethod
    def _find(kept, query):
        found = [each for each in kept if query.items() <= each.items()]
        return (200, found[0]) if found else (404, {"code": "", "message": "no one found"})

    @staticmethod
    def _keep(kept, body, *unique):
        if any(all(each[key] == body[key] for key in unique) for each in kept):
            return 409, {"code": "", "message": "already exists"}
        kept.append({**body, "id": str(len(kept) + 1)})
        return 201, kept[-1]


def write_export(folder: Path) -> Path:
    """Make a folder as an export leaves it, as far as registration looks at it."""
    folder.mkdir(parents=True, exist_ok=True)
    identity = ModelIdentity("us", "swahili", "1.2.0", "sw-Latn-KE", "Apache-2.0")
    card = format_card(identity, runtime="tflite", released=True, facts={})
    (folder / identity.file_name).write_text(card)
    files = {"output_graph.tflite": "0" * 64, identity.file_name: "1" * 64}
    (folder / "export.json").write_text(json.dumps({"files": files}))
    return folder
