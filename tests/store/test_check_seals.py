from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from store.witnessing import WITNESS

from secops.store import chain, checkpoints, repair, segment
from secops.store.check_seals import check_seals
from secops.store.files import FileLog
from secops.store.keeper import Keeper, keeping
from secops.store.retention import Retention

CERTIFICATE = b'"chain":"chain"}\n'  # the tests' signer does not look at it
NOW = datetime(2026, 11, 24, tzinfo=UTC)


def sealed(directory: Path, batches: int = 12) -> Keeper:
    log = FileLog(directory, partitions=2, writable=True, reserve_bytes=0, segment_bytes=1000, clock=lambda: NOW)
    for number in range(batches):
        log.append({p: [{"organization.id": "a", "n": number * 20 + k} for k in range(20)] for p in range(2)})
    log.close()
    keeper = Keeper(directory, WITNESS, clock=lambda: NOW)
    keeper.seal()
    keeper.checkpoint()
    return keeper


@pytest.mark.parametrize("change", ["changed", "gone", "longer"])
def test_a_sealed_segment_that_is_not_what_was_sealed_is_named(tmp_path: Path, change: str) -> None:
    sealed(tmp_path)
    assert check_seals(tmp_path, 2, WITNESS) == []
    path = segment.list_segments(tmp_path, 1)[0]
    content = path.read_bytes()
    if change == "gone":
        path.unlink()
    elif change == "longer":
        path.write_bytes(content + b"\x00")
    else:
        path.write_bytes(content[:50] + bytes([content[50] ^ 1]) + content[51:])
    assert str(path) in {flaw.path for flaw in check_seals(tmp_path, 2, WITNESS)}


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_a_changed_byte_of_chains_and_checkpoints_is_found(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    directory = tmp_path_factory.mktemp("log")
    sealed(directory)
    path = data.draw(
        st.sampled_from([checkpoints.path_of(directory), *(chain.path_of(directory, p) for p in range(2))])
    )
    content = bytearray(path.read_bytes())
    at = data.draw(st.integers(0, len(content) - 1))
    assume(not content.endswith(CERTIFICATE) or not 0 < len(content) - at - 3 <= 5)
    content[at] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    assert check_seals(directory, 2, WITNESS)


def test_what_left_by_retention_is_no_flaw_and_what_was_taken_out_is(tmp_path: Path) -> None:
    sealed(tmp_path)
    later = NOW
    keeper = Keeper(tmp_path, WITNESS, clock=lambda: later)
    for _ in range(190):
        later += timedelta(days=1)
        keeper.checkpoint()
    assert keeper.expire(Retention())
    assert check_seals(tmp_path, 2, WITNESS) == []
    assert repair.look(tmp_path, 2).holes == (), "what left by a tombstone is not lost"
    paths = segment.list_segments(tmp_path, 0)
    FileLog(tmp_path, partitions=2, writable=True).close()
    assert paths
    assert int(paths[0].stem) > 0


def test_a_repaired_segment_is_sealed_again_and_its_first_seal_stays_known(tmp_path: Path) -> None:
    keeper = sealed(tmp_path)
    path = segment.list_segments(tmp_path, 0)[0]
    before = len(chain.read(tmp_path, 0))
    content = path.read_bytes()
    path.write_bytes(content[:-30] + bytes(30))
    damage = repair.look(tmp_path, 2)
    repair.mend(tmp_path, damage, tenant="city", now=NOW)
    assert check_seals(tmp_path, 2, WITNESS), "what was filled is not what was sealed"
    with keeping(tmp_path):
        assert keeper.reseal(damage.paths) == 1
    assert check_seals(tmp_path, 2, WITNESS) == []
    links = chain.read(tmp_path, 0)
    assert len(links) == before + 1
    assert [link.first for link in links].count(int(path.stem)) == 2
    assert keeper.seal() == 0


def test_bytes_behind_a_sealed_segment_are_removed_and_the_seal_holds_again(tmp_path: Path) -> None:
    keeper = sealed(tmp_path)
    path = segment.list_segments(tmp_path, 0)[0]
    path.write_bytes(path.read_bytes() + b"what is this")
    damage = repair.look(tmp_path, 2)
    assert [(hole.size, hole.events) for hole in damage.holes] == [(12, 0)]
    repair.mend(tmp_path, damage, tenant="city", now=NOW)
    with keeping(tmp_path):
        assert keeper.reseal(damage.paths) == 0
    assert check_seals(tmp_path, 2, WITNESS) == []


@pytest.mark.parametrize("expired", [0, 2])
def test_chains_that_cannot_be_read_are_put_aside_and_begun_anew(tmp_path: Path, expired: int) -> None:
    sealed(tmp_path)
    for partition in range(expired):
        segment.list_segments(tmp_path, partition)[0].unlink()
    path = chain.path_of(tmp_path, 0)
    path.write_bytes(b"{" + path.read_bytes())
    keeper = Keeper(tmp_path, WITNESS, clock=lambda: NOW)
    assert check_seals(tmp_path, 2, WITNESS)
    with pytest.raises(ValueError, match="unexpected"):
        keeper.seal()
    aside = tmp_path / "damaged" / "seals.1"
    with keeping(tmp_path):
        assert keeper.renew(aside) > 0
    assert check_seals(tmp_path, 2, WITNESS) == []
    assert (aside / "0.jsonl").exists()
    assert repair.look(tmp_path, 2).holes == ()
    assert keeper.seal() == 0
