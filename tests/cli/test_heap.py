"""The hub's threads share malloc's memory: what one has done with, the others use."""

import os
import subprocess
import sys
from pathlib import Path

ARENAS = """
import ctypes, re, sys, threading

libc, stay = ctypes.CDLL(None), threading.Barrier(6)
libc.fopen.restype = ctypes.c_void_p

def arenas():
    file = libc.fopen(sys.argv[1].encode(), b"w")
    libc.malloc_info(0, ctypes.c_void_p(file))
    libc.fclose(ctypes.c_void_p(file))
    return len(re.findall("<heap nr", open(sys.argv[1]).read()))

def allocate():
    held = bytes(30_000)
    stay.wait()
    stay.wait()

if sys.argv[2] == "one":
    from hub.cli.serve import one_heap
    one_heap()
for _ in range(5):
    threading.Thread(target=allocate).start()
stay.wait()
print(arenas())
stay.wait()
"""


def test_threads_allocate_from_one_heap(tmp_path: Path):
    plain = {name: value for name, value in os.environ.items() if name != "MALLOC_ARENA_MAX"}
    begun = [
        subprocess.Popen(
            [sys.executable, "-c", ARENAS, tmp_path / how, how], stdout=subprocess.PIPE, text=True, env=plain
        )
        for how in ("one", "as it is")
    ]
    one, as_it_is = (int(each.communicate()[0]) for each in begun)
    assert one == 1
    assert as_it_is > 1  # or the threads would show nothing
