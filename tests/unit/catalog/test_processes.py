"""Several processes on one file: writers and readers at once, a fork, and a writer that is killed."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sqlite3
import threading
import time
from pathlib import Path

from imagery.catalogs.sqlite.conditions import ItemQuery
from imagery.catalogs.sqlite.store import CatalogStore

BATCH = 5


def publish(path: Path, name: str, batches: int, template: dict, acknowledged: Path) -> None:
    """Write batches, and note each one that was acknowledged."""
    store = CatalogStore(path)
    with acknowledged.open("a") as log:
        for batch in range(batches):
            store.put_items([{**template, "id": f"{name}-{batch}-{n}"} for n in range(BATCH)])
            log.write(f"{name}-{batch}\n")
            log.flush()
    store.close()


def spawn(target, *args) -> multiprocessing.Process:
    process = multiprocessing.get_context("spawn").Process(target=target, args=args)
    process.start()
    return process


def counts(store: CatalogStore) -> dict[str, int]:
    """Items of each batch, as one search sees them."""
    found: dict[str, int] = {}
    token = None
    while True:
        page = store.search(ItemQuery(limit=1000, token=token))
        for each in page.items:
            batch = each.id.rpartition("-")[0]
            found[batch] = found.get(batch, 0) + 1
        token = page.next_token
        if token is None:
            return found


def test_writers_and_readers_of_several_processes_do_not_disturb_each_other(tmp_path, store, make_item):
    path, log = tmp_path / "catalog.db", tmp_path / "acknowledged"
    writers = [spawn(publish, path, f"w{n}", 12, make_item("x"), log) for n in range(3)]
    partial = 0
    while any(writer.is_alive() for writer in writers):
        page = store.search(ItemQuery(limit=1000))
        partial += len(page.items) % BATCH
    for writer in writers:
        writer.join()

    assert [writer.exitcode for writer in writers] == [0, 0, 0]
    assert partial == 0, "a reader saw half a batch"
    assert counts(store) == {f"w{n}-{batch}": BATCH for n in range(3) for batch in range(12)}
    assert store.get_collection("clips")["extent"]["spatial"]["bbox"] == [[14, 46, 14.1, 46.1]]


def test_a_killed_writer_loses_no_acknowledged_batch_and_leaves_no_half_one(tmp_path, store, make_item):
    path, log = tmp_path / "catalog.db", tmp_path / "acknowledged"
    for round_ in range(2):
        writer = spawn(publish, path, f"r{round_}", 100_000, make_item("x"), log)
        while not log.exists() or f"r{round_}-3\n" not in log.read_text():
            time.sleep(0.01)
        assert writer.pid is not None
        os.kill(writer.pid, signal.SIGKILL)
        writer.join()

    found = counts(store)
    assert set(log.read_text().split()) <= set(found)
    assert set(found.values()) == {BATCH}
    store.put_items([make_item("after")])
    store.close()
    db = sqlite3.connect(path)
    assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert db.execute("SELECT rtreecheck('items_rtree')").fetchone() == ("ok",)
    total = db.execute("SELECT count(*) FROM items").fetchone()[0]
    assert db.execute("SELECT sum(items) FROM extents").fetchone()[0] == total
    db.close()


def test_a_store_opened_before_a_fork_works_on_both_sides(store, make_item, find):
    store.put_items([make_item("before")])
    child = os.fork()
    if child == 0:
        try:
            store.put_items([make_item("child")])
            ok = len(store.search(ItemQuery()).items) == 2
            store.close()
        except BaseException:
            ok = False
        os._exit(0 if ok else 1)
    assert os.waitpid(child, 0)[1] == 0
    store.put_items([make_item("parent")])
    assert sorted(find(store)) == ["before", "child", "parent"]


def test_threads_share_a_store(store, make_item, find):
    def work(name: str) -> None:
        for n in range(10):
            store.put_items([make_item(f"{name}-{n}")])
            store.search(ItemQuery(bbox=(13, 45, 15, 47)))

    threads = [threading.Thread(target=work, args=(f"t{n}",)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(find(store)) == 60
