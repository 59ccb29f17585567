"""Files that hold secrets: made new, readable by nobody else from the first moment."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from pathlib import Path


def create(path: Path) -> BinaryIO:
    """Create ``path`` with mode 0600 and open it for writing.

    Raises:
        FileExistsError: it is there already; a secret is never overwritten.
    """
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")
