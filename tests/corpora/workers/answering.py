"""A worker for the tests of the pool: it adds, fails, dies, hangs or prints, as its job asks."""

import os
import time

from inattention.corpora.workers.serving import serve


def answer(job: dict) -> dict:
    if job["do"] == "fail":
        raise ValueError("no such number")
    if job["do"] == "die":
        os._exit(3)
    if job["do"] == "hang":
        time.sleep(600)
    if job["do"] == "print":
        print("a library says hello")
    return {"sum": job["number"] + 1, "process": os.getpid()}


if __name__ == "__main__":
    serve(answer, (ValueError,))
