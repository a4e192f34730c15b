"""Where the tasks of a sweep run: in this process, over the cores of this machine, or on a Dask cluster; the results are the same."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from itertools import islice
from typing import Any

from tailwag.errors import InputError, MissingPackageError, TailwagError
from tailwag.experiments.sweep_task import Result, SweepTask, run_task
from tailwag.sources.opening import RawFile

Done = tuple[int, Result]
TaskMap = Callable[[Sequence[SweepTask], Mapping[str, RawFile]], Iterator[Done]]
"""Tasks and the files they name in; (place, result) out, in whatever order they are done."""

AHEAD = 4
"""Tasks handed out for each worker: enough that none waits, few enough that a sweep of any size starts at once."""
CONNECT_SECONDS = 10.0
MOST_WORKERS = 1024


def here(tasks: Sequence[SweepTask], files: Mapping[str, RawFile]) -> Iterator[Done]:
    """One task after the other in this process."""
    for place, task in enumerate(tasks):
        yield place, run_task(task, files)


@dataclass(frozen=True, slots=True)
class Processes:
    """Over ``workers`` processes of this machine, each a fresh interpreter that dies with this one."""

    workers: int

    def __call__(self, tasks: Sequence[SweepTask], files: Mapping[str, RawFile]) -> Iterator[Done]:
        workers = min(self.workers, len(tasks))
        if workers <= 1:
            yield from here(tasks, files)
            return
        pool = ProcessPoolExecutor(
            workers, mp_context=multiprocessing.get_context("spawn"), initializer=_start_worker, initargs=(dict(files),)
        )
        try:
            yield from _handed_out(pool, tasks, AHEAD * workers)
        except BrokenProcessPool:
            raise TailwagError(
                "a worker process died (killed, or out of memory); run the same command again, it goes on from what is done, and take "
                "fewer --workers where memory is short"
            ) from None
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _handed_out(pool: ProcessPoolExecutor, tasks: Sequence[SweepTask], ahead: int) -> Iterator[Done]:
    rest = iter(enumerate(tasks))
    running: dict[Future[Result], int] = {pool.submit(_run_in_worker, task): place for place, task in islice(rest, ahead)}
    while running:
        finished, _ = wait(running, return_when=FIRST_COMPLETED)
        for future in finished:
            place = running.pop(future)
            running |= {pool.submit(_run_in_worker, task): following for following, task in islice(rest, 1)}
            yield place, future.result()


_files: Mapping[str, RawFile] = {}


def _start_worker(files: Mapping[str, RawFile]) -> None:
    """Keep the files; leave Ctrl-C to the parent, and end when the parent is gone, however it went."""
    global _files  # a pool hands its workers nothing else but each task's arguments
    _files = files
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _run_in_worker(task: SweepTask) -> Result:
    return run_task(task, _files)


@dataclass(frozen=True, slots=True)
class Dask:
    """On the workers of a running Dask scheduler at ``address``; tailwag must be installed there, of the same version."""

    address: str

    def __call__(self, tasks: Sequence[SweepTask], files: Mapping[str, RawFile]) -> Iterator[Done]:
        with _client(self.address) as client:
            yield from _on_cluster(client, tasks, files)


def _on_cluster(client: Any, tasks: Sequence[SweepTask], files: Mapping[str, RawFile]) -> Generator[Done]:
    from distributed import as_completed

    threads = sum(client.nthreads().values())
    if not threads:
        raise InputError(
            "--scheduler: no worker is connected to this scheduler; start some (dask worker ADDRESS) and run the command again"
        )
    shared = client.scatter([dict(files)], broadcast=True, hash=False)[0] if files else {}
    places = {task.key: place for place, task in enumerate(tasks)}
    rest = iter(tasks)

    def submitted(count: int) -> list[Any]:
        return [client.submit(run_task, task, shared, key=f"tailwag-{task.key}") for task in islice(rest, count)]

    found = as_completed(submitted(AHEAD * threads), loop=client.loop)  # type: ignore[no-untyped-call]
    for future in found:
        result = future.result()
        for following in submitted(1):
            found.add(following)  # type: ignore[no-untyped-call]
        yield places[future.key.removeprefix("tailwag-")], result


def _client(address: str) -> Any:
    try:
        from distributed import Client
    except ImportError:
        raise MissingPackageError(
            "--scheduler needs the package distributed; install it with: pip install 'tailwag[cluster]', or leave the option out"
        ) from None
    try:
        return Client(address, timeout=CONNECT_SECONDS, set_as_default=False)  # type: ignore[no-untyped-call]
    except (OSError, TimeoutError, ValueError, TypeError) as error:
        reason = type(error).__name__
        raise InputError(
            f"--scheduler: no Dask scheduler answers at {address[:80]!a} ({reason}); start one (dask scheduler) and give its address, "
            "such as tcp://127.0.0.1:8786"
        ) from None


def all_cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
