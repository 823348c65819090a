"""Scripts without ``if __name__ == "__main__":``, which every process that they start runs again.

A process that Python starts by `spawn` or `forkserver` first imports the script, to find what is defined in it.
"""

import multiprocessing
import os

RUN_AGAIN = 74  # exit status of a process that ran the script again; neither Python nor the system uses it
NO_GUARD = """the script that was started has no guard, so that each of its worker processes runs it again.
Call what it does below a guard, which is true in the first process alone:
    if __name__ == "__main__":
        main()"""


def end_if_run_again() -> None:
    """End this process if it runs the script of the process that started it; that process then reports `NO_GUARD`."""
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        os._exit(RUN_AGAIN)
