"""A process of its own that tends a store until it is killed: compacts it, or makes its tables, over and over."""

import os
import shutil
import sys
from pathlib import Path

from tailwag.sources.store import History, Recorder
from tailwag.sources.store.compaction import compacted
from tailwag.sources.store.disk import SystemDisk
from tailwag.sources.store.periods import FOLDER, updated_tables


def main() -> None:
    folder, work = Path(sys.argv[1]), sys.argv[2]
    os.write(1, b"ready\n")
    if work == "compact":
        with Recorder(folder) as recorder:
            # a little at a time, so that a kill finds it somewhere in the middle
            for run_bytes in range(4_000, 400_000, 4_000):
                compacted(folder, SystemDisk(), epoch=recorder.epoch, run_bytes=run_bytes)
    shutil.rmtree(folder.with_name("thrown away"), ignore_errors=True)
    while work == "tables":
        updated_tables(History.open(folder))
        (folder / FOLDER).rename(folder.with_name("thrown away"))
        shutil.rmtree(folder.with_name("thrown away"))
    os.write(1, b"done\n")


if __name__ == "__main__":
    main()
