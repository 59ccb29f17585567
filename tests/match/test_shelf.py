from __future__ import annotations

import threading
from pathlib import Path

from secops.match.load import load_rules
from secops.match.shelf import Shelf
from tests.waiting import wait_until

RULE = "title: t\nid: {id}\nlogsource: {{product: linux}}\ndetection: {{s: {{a: b}}, condition: s}}\n"


class Folder:
    """A folder of rules and what looks at it cost."""

    def __init__(self, path: Path) -> None:
        self.path, self.loads, self.now = path, 0, 100.0
        self.shelf = Shelf(self.load, self.mark, lambda: self.now)

    def write(self, name: str) -> None:
        (self.path / f"{name}.yml").write_text(RULE.format(id=name))

    def load(self) -> object:
        self.loads += 1
        return load_rules([self.path])

    def mark(self) -> tuple[str, ...]:
        return tuple(sorted(one.name for one in self.path.glob("*.yml")))

    def ids(self) -> set[str]:
        return {rule.id for rule in self.shelf.rules.rules}


def test_the_set_is_read_once_and_again_when_a_file_came(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    folder.write("one")
    assert folder.ids() == {"one"}
    folder.write("two")
    assert folder.ids() == {"one"}, "not looked at again so soon"
    folder.now += 3
    wait_until(lambda: folder.ids() == {"one", "two"}, 20)
    assert folder.loads == 2
    folder.now += 3
    folder.ids()
    folder.now += 3
    folder.ids()
    assert folder.loads == 2, "nothing changed"


def test_ones_own_change_is_seen_at_once(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    assert folder.ids() == set()
    folder.write("one")
    folder.shelf.refresh()
    assert folder.ids() == {"one"}


def test_many_at_once_read_it_once(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    folder.write("one")
    threads = [threading.Thread(target=folder.ids) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert folder.loads == 1
