"""Call native code on foreign bytes in a process of its own, whose end is not this one's."""

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
    """Return what ``function`` returns, called in a process of its own.

    Args:
        function: of a module, as it is sent by its name. What it raises is raised here.
        arguments: what to call it with.
        memory: bytes of address space that it may take.
        seconds: how long it may take.
        failure: makes the error to raise from how the process ended, if it did so or took too long.
    """
    from loky import ProcessPoolExecutor

    # Not the standard library's, which would run the main program anew.
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
        # A crash that was reckoned with leaves no image of its memory behind.
        resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    return function(*arguments)


def _signal(error: Exception) -> str:
    """Return which signal ended the process, as loky says it."""
    text = str(error)
    return next(
        (f" of {name}" for name in ("SIGSEGV", "SIGBUS", "SIGFPE", "SIGABRT") if name in text), ""
    )
