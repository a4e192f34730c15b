"""A recorder of its own process for tests that kill it: records payloads of every size without pause and acknowledges each on stdout."""

import os
import random
import sys
from hashlib import sha256

from tailwag.sources.store.recorder import Recorder

MOST = 100_000


def main() -> None:
    folder, seed, segment_bytes = sys.argv[1], sys.argv[2], int(sys.argv[3])
    draw = random.Random(seed)
    with Recorder(folder, segment_bytes=segment_bytes) as recorder:
        for _ in range(MOST):
            payload = draw.randbytes(draw.choice((0, 40, 700, 9_000, 150_000)))
            done = recorder.append_payload(payload, as_of_ns=1, received_ns=1)
            assert done.sha256 == sha256(payload).hexdigest()
            os.write(1, f"{done.seq} {done.sha256}\n".encode())


if __name__ == "__main__":
    main()
