"""Where chunks of snapshots are measured: in this process, over the cores of this machine, or on a Dask cluster; the results are the same."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any

from tailwag.errors import InputError, TailwagError
from tailwag.experiments.study.history_task import Chunk, Result, run_chunk
from tailwag.experiments.sweep_maps import _client, _end_with_parent

ChunkMap = Callable[[Iterable[Chunk]], Iterator[list[Result]]]
"""Chunks in, taken as they are needed; results out, in whatever order they are done."""
AHEAD = 2
"""Chunks handed out for each worker: none waits, and no more of a file's rows than these are held twice."""
THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


def here(chunks: Iterable[Chunk]) -> Iterator[list[Result]]:
    """One chunk after the other in this process."""
    return map(run_chunk, chunks)


@dataclass(frozen=True, slots=True)
class Processes:
    """Over ``workers`` processes of this machine, each a fresh interpreter on one thread that dies with this one."""

    workers: int

    def __call__(self, chunks: Iterable[Chunk]) -> Iterator[list[Result]]:
        rest = iter(chunks)
        first = list(islice(rest, 1))
        if not first:
            return
        with _single_threaded():
            pool = ProcessPoolExecutor(self.workers, mp_context=multiprocessing.get_context("spawn"), initializer=_start_worker)
            try:
                yield from _handed_out(pool, _after(first, rest), AHEAD * self.workers)
            except BrokenProcessPool:
                raise TailwagError(
                    "a worker process died (killed, or out of memory); run the same command again, it goes on from what is done, and take "
                    "fewer --workers where memory is short"
                ) from None
            finally:
                pool.shutdown(wait=True, cancel_futures=True)


def _after(first: list[Chunk], rest: Iterator[Chunk]) -> Iterator[Chunk]:
    yield from first
    yield from rest


@contextmanager
def _single_threaded() -> Iterator[None]:
    """New processes start with one thread each: the workers are the parallelism, and sums keep their order."""
    before = {name: os.environ.get(name) for name in THREADS}
    os.environ.update(dict.fromkeys(THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _handed_out(pool: ProcessPoolExecutor, chunks: Iterator[Chunk], ahead: int) -> Iterator[list[Result]]:
    running: set[Future[list[Result]]] = {pool.submit(run_chunk, chunk) for chunk in islice(chunks, ahead)}
    while running:
        finished, running = wait(running, return_when=FIRST_COMPLETED)
        running |= {pool.submit(run_chunk, chunk) for chunk in islice(chunks, len(finished))}
        for future in finished:
            yield future.result()


def _start_worker() -> None:
    """Leave Ctrl-C to the parent, and end when the parent is gone, however it went."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


@dataclass(frozen=True, slots=True)
class Dask:
    """On the workers of a running Dask scheduler at ``address``; tailwag must be installed there, of the same version.

    Each chunk carries its snapshots' rows: the workers need no file.
    """

    address: str

    def __call__(self, chunks: Iterable[Chunk]) -> Iterator[list[Result]]:
        with _client(self.address) as client:
            yield from _on_cluster(client, iter(chunks))


def _on_cluster(client: Any, chunks: Iterator[Chunk]) -> Generator[list[Result]]:
    from distributed import as_completed

    threads = sum(client.nthreads().values())
    if not threads:
        raise InputError(
            "--scheduler: no worker is connected to this scheduler; start some (dask worker ADDRESS) and run the command again"
        )

    def submitted(count: int) -> list[Any]:
        return [client.submit(run_chunk, chunk, pure=False) for chunk in islice(chunks, count)]

    found = as_completed(submitted(AHEAD * threads), loop=client.loop)  # type: ignore[no-untyped-call]
    for future in found:
        results = future.result()
        for following in submitted(1):
            found.add(following)  # type: ignore[no-untyped-call]
        yield results
