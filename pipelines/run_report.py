"""What `submit` tells of a run: lines for a person, and objects for a program."""

from __future__ import annotations

import json
import sys
from typing import Any


class RunReport:
    """Notes go to stderr; results to stdout, or, ``as_json``, everything as one object a line."""

    def __init__(self, as_json: bool = False) -> None:
        self._as_json = as_json

    def note(self, line: str, event: str = "", **fields: Any) -> None:
        """Tell what happens on the way; with an ``event``, a program is told its fields."""
        print(line, file=sys.stderr, flush=True)
        if event:
            self._object(event, fields)

    def result(self, *lines: str, event: str, **fields: Any) -> None:
        """Tell what came out."""
        if self._as_json:
            self._object(event, fields)
        else:
            print(*lines, sep="\n", flush=True)

    def only_for_programs(self, event: str, **fields: Any) -> None:
        """Tell a program what a person sees in another way."""
        self._object(event, fields)

    def _object(self, event: str, fields: dict[str, Any]) -> None:
        if self._as_json:
            print(json.dumps({"event": event, **fields}, ensure_ascii=False), flush=True)
