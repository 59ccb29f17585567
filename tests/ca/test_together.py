"""Writes of many threads share a transaction: durable each, and a failing one takes nothing of the others with it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from ca.together import MOST, Together
from secops.db import Database
from tests.waiting import wait_until

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


class Counted:
    """A database that counts its transactions, and waits before each until it may go on."""

    def __init__(self, path: Path) -> None:
        self.database = Database(f"sqlite:///{path}/state.db")
        with self.database.begin() as tx:
            tx.execute(sa.text("CREATE TABLE written (number INTEGER PRIMARY KEY)"))
        self.transactions = 0
        self.go = threading.Event()
        self.broken = False

    @contextmanager
    def begin(self) -> Iterator[Session]:
        self.transactions += 1
        assert self.go.wait(30)
        with self.database.begin() as tx:
            yield tx
            if self.broken:
                raise OSError("the disk is full")

    @contextmanager
    def read(self) -> Iterator[Session]:
        with self.database.read() as tx:
            yield tx

    def numbers(self) -> list[int]:
        with self.read() as tx:
            return list(tx.scalars(sa.text("SELECT number FROM written ORDER BY number")))


@pytest.fixture
def counted(tmp_path: Path) -> Iterator[Counted]:
    made = Counted(tmp_path)
    yield made
    made.database.close()


def add(tx: Session, number: int) -> int:
    tx.execute(sa.text("INSERT INTO written VALUES (:number)"), {"number": number})
    if number % 10 == 7:
        raise ValueError(f"not {number}")
    return number


def test_those_who_wait_share_a_transaction_and_each_fails_alone(counted: Counted) -> None:
    books = Together(counted)
    with ThreadPoolExecutor(40) as threads:
        answers = [threads.submit(books.write, lambda tx, n=n: add(tx, n)) for n in range(40)]
        wait_until(lambda: len(books._asked) == 39 and counted.transactions == 1, what="39 who wait for the first")
        counted.go.set()
    good = [n for n in range(40) if n % 10 != 7]
    assert [answer.result() for answer in answers if answer.exception() is None] == good
    assert [str(answer.exception()) for answer in answers if answer.exception()] == [
        f"not {n}" for n in (7, 17, 27, 37)
    ]
    assert counted.numbers() == good
    assert counted.transactions == 2


def test_no_transaction_holds_more_than_its_share(counted: Counted) -> None:
    books = Together(counted)
    number = 2 * MOST + 10
    with ThreadPoolExecutor(number) as threads:
        answers = [threads.submit(books.write, lambda tx, n=n: add(tx, 10 * n)) for n in range(number)]
        wait_until(lambda: len(books._asked) == number - 1, what="all but the first wait")
        counted.go.set()
    assert [answer.result() for answer in answers] == [10 * n for n in range(number)]
    assert len(counted.numbers()) == number
    assert counted.transactions == 1 + 3


def test_a_commit_that_fails_fails_for_all_whom_it_was_for(counted: Counted) -> None:
    books = Together(counted)
    counted.broken = True
    with ThreadPoolExecutor(5) as threads:
        answers = [threads.submit(books.write, lambda tx, n=n: add(tx, n)) for n in range(5)]
        wait_until(lambda: len(books._asked) == 4, what="four who wait")
        counted.go.set()
    assert {str(answer.exception()) for answer in answers} == {"the disk is full"}
    assert counted.numbers() == []
    counted.broken = False
    assert books.write(lambda tx: add(tx, 3)) == 3
    assert counted.numbers() == [3]
