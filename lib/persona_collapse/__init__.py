"""Did fine-tuning break a model's ability to play characters? The library behind the notebooks."""

import os

__version__ = "0.1.0"

# Small products, several kernels side by side: threads of the linear algebra would only wait for one another. One thread also
# adds up in the same order whatever the number of cores.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
