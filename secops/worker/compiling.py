"""A process that understands and compiles a changed rule set, while the detect role goes on with the one it has.

It leaves its work in the cache folder and ends; the role then loads from there in a moment. Apart, because reading
thousands of YAML files would take half of the role's time from matching, and because a folder of a hundred thousand
hostile rules may cost this process its life and nobody else's.
"""

from __future__ import annotations

import sys

import orjson

from secops.settings import Settings
from secops.supervised import end_with_stdin
from secops.worker.prepared import make_ready


def main() -> None:
    """Take the settings as a line of JSON from standard input, compile, end; end at once when that is closed."""
    with open(sys.stdin.fileno(), "rb", buffering=0, closefd=False) as unbuffered:  # what follows is for end_with_stdin
        settings = Settings(**orjson.loads(unbuffered.readline()))
    end_with_stdin()
    make_ready(settings)


if __name__ == "__main__":
    main()
