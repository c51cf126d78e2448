import os
from hashlib import sha256

import pytest
from sqlalchemy import select

from context_store import DamagedBlob, Store, StoreAway
from context_store.blobs import GRACE_SECONDS, BlobFindings
from context_store.journal import INLINE
from context_store.pending import claim_envelopes
from context_store.tables import blobs
from tests.store.make import envelope, keep

SMALL, LARGE = b"small", b"x" * (INLINE + 1)


async def refs(store: Store) -> dict[bytes, int]:
    return await store.read(lambda conn: {row.sha256: row.refs for row in conn.execute(select(blobs))})


@pytest.mark.parametrize("data", [b"", SMALL, b"x" * INLINE, LARGE])
async def test_bytes_come_back(store: Store, data: bytes):
    (sha,) = await store.write(store.blobs.put, [data], 0)
    assert sha == sha256(data).digest()
    assert await store.blob(sha) == data
    assert store.blobs.path(sha).exists() == (len(data) > INLINE)


async def test_references_are_counted_and_the_last_takes_the_row(store: Store):
    sha = (await store.write(store.blobs.put, [LARGE, LARGE], 0))[0]
    await store.write(store.blobs.put, [LARGE], 0)
    assert await refs(store) == {sha: 3}
    await store.write(store.blobs.release, {sha: 2})
    assert await refs(store) == {sha: 1}
    await store.write(store.blobs.release, {sha: 1})
    assert await refs(store) == {}
    with pytest.raises(DamagedBlob):
        await store.blob(sha)


async def test_changed_bytes_are_noticed(store: Store):
    shas = await store.write(store.blobs.put, [LARGE], 0)
    store.blobs.path(shas[0]).write_bytes(LARGE[:-1] + b"y")
    with pytest.raises(DamagedBlob, match="changed"):
        await store.blob(shas[0])


async def test_missing_file_is_noticed_and_found_by_doctor(store: Store):
    shas = await store.write(store.blobs.put, [LARGE], 0)
    store.blobs.path(shas[0]).unlink()
    with pytest.raises(DamagedBlob, match="gone"):
        await store.blob(shas[0])
    assert await store.read(store.blobs.find) == BlobFindings(0, tuple(shas))


async def test_file_that_was_cut_short_is_written_again(store: Store):
    sha = store.blobs.stow(LARGE)
    store.blobs.path(sha).write_bytes(b"x")
    store.blobs.stow(LARGE)
    assert store.blobs.load(sha) == LARGE


async def test_folder_that_takes_no_file_is_a_store_that_is_away(store: Store):
    folder = store.blobs.path(sha256(LARGE).digest()).parent
    aside = folder.rename(folder.with_name("aside"))
    folder.touch()
    with pytest.raises(StoreAway, match="can't be written now"):
        store.blobs.stow(LARGE)
    folder.unlink()
    aside.rename(folder)
    assert store.blobs.path(store.blobs.stow(LARGE)).read_bytes() == LARGE


async def test_sweep_takes_old_orphans_and_leaves_the_rest(store: Store):
    (kept,) = await store.write(store.blobs.put, [LARGE], 0)
    old, fresh = store.blobs.stow(LARGE + b"old"), store.blobs.stow(LARGE + b"fresh")
    left = store.blobs.folder / "00" / ".dead.tmp"
    left.write_bytes(b"half")
    now = store.blobs.path(fresh).stat().st_mtime
    for path in (store.blobs.path(kept), store.blobs.path(old), left):
        os.utime(path, (0, now - GRACE_SECONDS - 10))
    assert await store.read(store.blobs.find) == BlobFindings(2, ())
    assert await store.read(store.blobs.sweep, now) == BlobFindings(1, ())
    assert [store.blobs.path(sha).exists() for sha in (kept, old, fresh)] == [True, False, True]
    assert not left.exists()


async def test_orphan_that_is_stowed_again_survives_the_sweep(store: Store):
    sha = store.blobs.stow(LARGE)
    path = store.blobs.path(sha)
    os.utime(path, (0, 0))
    store.blobs.stow(LARGE)
    assert (await store.read(store.blobs.sweep, path.stat().st_mtime + 1)).orphans == 0
    assert path.exists()


async def test_large_envelope_refers_to_its_file_and_redelivery_counts_no_second_reference(store: Store):
    def large(key: str):
        raw, sha = store.blobs.place(LARGE)
        return envelope(store, key)._replace(raw=raw, raw_sha=sha, size=len(LARGE))

    first = large("k")
    await keep(store, first)
    await keep(store, large("k"))
    assert await refs(store) == {first.raw_sha: 1}
    (pending,) = await store.read(claim_envelopes, 10)
    assert pending.raw is None
    assert store.blobs.fill(pending).raw == LARGE


def test_nothing_small_is_written_to_the_folder(tmp_path):
    from context_store.blobs import BlobStore

    store = BlobStore(tmp_path)
    assert store.place(SMALL) == (SMALL, None)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
