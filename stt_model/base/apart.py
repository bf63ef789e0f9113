"""Call native code on untrusted bytes in a separate process, so that a crash stays there."""

from __future__ import annotations

import contextlib
import resource
from collections.abc import Callable
from concurrent.futures import BrokenExecutor
from concurrent.futures import TimeoutError as TooLongError
from typing import Any, TypeVar

_Result = TypeVar("_Result")


def call_apart(
    function: Callable[..., _Result],
    *arguments: Any,
    memory: int,
    seconds: float,
    failure: Callable[[str], Exception],
) -> _Result:
    """Call ``function`` in a separate process and return its result.

    Args:
        function: defined in a module, since it is pickled by name. Its exceptions are raised here.
        arguments: what to call it with.
        memory: limit on its address space, in bytes.
        seconds: time limit.
        failure: makes the error to raise from the reason, if the process died or took too long.
    """
    from loky import ProcessPoolExecutor

    # The standard library's pool would run the main program again.
    pool = ProcessPoolExecutor(1)
    try:
        return pool.submit(_call, function, arguments, memory).result(seconds)
    except BrokenExecutor as error:
        raise failure(f"the process that read it has died{_signal(error)}") from error
    except TooLongError as error:
        raise failure(f"it took more than {seconds:.0f} s") from error
    finally:
        pool.shutdown(kill_workers=True)


def _call(function: Callable[..., _Result], arguments: tuple[Any, ...], memory: int) -> _Result:
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    limit = memory if hard == resource.RLIM_INFINITY else min(memory, hard)
    # Some systems have no such limit.
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
        # An expected crash leaves no core dump.
        resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    return function(*arguments)


def _signal(error: Exception) -> str:
    """Return which signal ended the process, as loky reports it."""
    text = str(error)
    return next(
        (f" of {name}" for name in ("SIGSEGV", "SIGBUS", "SIGFPE", "SIGABRT") if name in text), ""
    )
