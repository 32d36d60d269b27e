"""The command line; the only package that imports both ends."""

import os

# numpy comes with the driver; nothing here multiplies matrices, and threads for it take 0.1 s
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
