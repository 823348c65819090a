"""What all tests share: one thread, shapes checked at every call, and no network."""

import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch
from jaxtyping import install_import_hook

# Shape annotations of the whole package become checks. It must stand before the first import of it.
install_import_hook("inattention", "typechecks.checked")
torch.set_num_threads(1)
