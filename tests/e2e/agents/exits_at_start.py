"""An agent that ends before it ever listens."""

import sys

print("the model file is missing", flush=True)
sys.exit(7)
