"""Entry point of the console command: imports nothing before it can catch an interruption."""

from __future__ import annotations

import sys


def main() -> int:
    """Run a command; return its exit code, even if it is interrupted while being loaded."""
    try:
        from stt_bootstrap.pipelines.cli import main as run

        return run()
    except KeyboardInterrupt:
        problem, code = "interrupted", 130
    except (ImportError, MemoryError, OSError) as error:
        reason = str(error).rpartition("Original error was:")[2] or type(error).__name__
        problem = f"a library cannot be loaded ({reason}); give the process more memory (ulimit -v)"
        code = 1
    if sys.stderr is not None:
        print(f"error: {' '.join(problem.split())}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
