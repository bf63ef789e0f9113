"""The output of `submit`: lines for people, or JSON objects for programs."""

from __future__ import annotations

import json
import sys
from typing import Any


class RunReport:
    """Notes go to stderr; results to stdout, or, ``as_json``, everything as one object a line."""

    def __init__(self, as_json: bool = False) -> None:
        self._as_json = as_json

    def note(self, line: str, event: str = "", **fields: Any) -> None:
        """Print a line about progress; programs get the ``event`` with its fields, if any."""
        print(line, file=sys.stderr, flush=True)
        if event:
            self._object(event, fields)

    def result(self, *lines: str, event: str, **fields: Any) -> None:
        """Print a result."""
        if self._as_json:
            self._object(event, fields)
        else:
            print(*lines, sep="\n", flush=True)

    def only_for_programs(self, event: str, **fields: Any) -> None:
        """Print an event for programs that people see in another form."""
        self._object(event, fields)

    def _object(self, event: str, fields: dict[str, Any]) -> None:
        if self._as_json:
            print(json.dumps({"event": event, **fields}, ensure_ascii=False), flush=True)
