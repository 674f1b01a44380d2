"""Independent work side by side: results in the order asked for, the first error wins."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import TypeVar, cast

Result = TypeVar("Result")
Item = TypeVar("Item")
First = TypeVar("First")
Second = TypeVar("Second")


def run_all(tasks: Sequence[Callable[[], Result]], *, width: int = 16) -> list[Result]:
    """Run every task in a thread of its own and return the results in order.

    At the first error, tasks that have not begun are dropped; those under way are waited for (nothing is left half
    done behind the caller's back), then that error is raised. Errors of the others are attached as notes.
    """
    if len(tasks) == 1:
        return [tasks[0]()]
    if not tasks:
        return []
    with ThreadPoolExecutor(max_workers=min(width, len(tasks))) as pool:
        futures: list[Future[Result]] = [pool.submit(task) for task in tasks]
        try:
            wait(futures, return_when=FIRST_EXCEPTION)
        finally:
            for future in futures:
                future.cancel()
        wait(futures)
    errors = [error for future in futures if not future.cancelled() and (error := future.exception())]
    if errors:
        first = errors[0]
        for text in dict.fromkeys(str(other) for other in errors[1:]):
            if text != str(first):
                first.add_note(f"at the same time: {text}")
        raise first
    return [future.result() for future in futures]


def pair(first: Callable[[], First], second: Callable[[], Second]) -> tuple[First, Second]:
    """Two different pieces of work side by side."""
    done: list[First | Second] = run_all([first, second])
    return cast("First", done[0]), cast("Second", done[1])


def for_each(function: Callable[[Item], Result], items: Iterable[Item], *, width: int = 16) -> list[Result]:
    """``run_all`` for one function over many items."""
    return run_all([_bind(function, item) for item in items], width=width)


def by_key(function: Callable[[str], Result], keys: Iterable[str], *, width: int = 16) -> Mapping[str, Result]:
    """``for_each`` that keeps the keys."""
    names = list(keys)
    return dict(zip(names, for_each(function, names, width=width), strict=True))


@contextmanager
def meanwhile(imports: Callable[[], object]) -> Generator[None]:
    """Import what will be needed while the block waits for others' answers.

    Whoever needs it first waits for the rest of it, and sees its failure.
    """
    with ThreadPoolExecutor(max_workers=1) as pool:
        pool.submit(imports)
        yield


def _bind(function: Callable[[Item], Result], item: Item) -> Callable[[], Result]:
    return lambda: function(item)
