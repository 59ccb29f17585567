"""``python -m secops`` and the ``secops`` command."""

from __future__ import annotations

from secops.cli.root import main

if __name__ == "__main__":
    main()
