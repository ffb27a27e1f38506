"""Lets `python -m qdrant_operator` run the command line."""

from __future__ import annotations

import sys

from qdrant_operator.cli import main

if __name__ == "__main__":
    sys.exit(main())
