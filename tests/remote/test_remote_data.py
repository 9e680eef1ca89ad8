"""Data that lies elsewhere, fetched from real servers through links that break."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edgeflow.core.errors import DataError, RecipeError
from edgeflow.flow.cache import Cache
from edgeflow.flow.remote_data import elsewhere, glance, here_already, with_data
from edgeflow.project.manifest import _remote_table
from edgeflow.project.recipe import Recipe, recipe_of
from tests.remote.servers import Cutting, hdfs, missing_hadoop, missing_swift, swift, web

SIZE = 9_000_000
"""More than two of the blocks that are asked for."""


def recipe(home: Path, url: str, **data: object) -> Recipe:
    tables = {"model": {"factory": "m.py:f"}, "inputs": {"x": {"shape": [-1, 3]}}}
    return recipe_of({**tables, "data": {"evaluation": url, **data}}, home / "edgeflow.toml", "edgeflow.toml")


def sha(blob: bytes) -> str:
    return hashlib.sha256(blob).hexdigest()


@pytest.fixture(scope="module")
def blob() -> bytes:
    return np.random.default_rng(0).bytes(SIZE)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, blob: bytes) -> Iterator[tuple[str, Path]]:
    folder = tmp_path_factory.mktemp("site")
    (folder / "val.npz").write_bytes(blob)
    with web(folder) as url:
        yield url, folder


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgeflow.files.fetch.WAIT_S", 0.01)


def test_a_file_comes_whole_over_a_link_that_breaks_and_is_asked_for_once(
    tmp_path: Path, site: tuple[str, Path], blob: bytes
) -> None:
    port, said = int(site[0].rpartition(":")[2]), []
    with Cutting(port, SIZE // 6, breaks=4) as link:
        url = f"http://127.0.0.1:{link.port}/val.npz"
        asked = recipe(tmp_path, f"{url}#sha256={sha(blob)}")
        got = with_data(asked, tmp_path / "build", lambda *what: said.append(what))
        assert link.left == 0
        assert link.passed < SIZE * 1.4  # it went on where it broke off
        before = link.opened
        assert with_data(asked, tmp_path / "build", None) == got
        assert link.opened == before  # what is held to a hash and is here is not asked for
    path = got.ingest_settings().evaluation
    assert (tmp_path / path).read_bytes() == blob
    assert path.startswith("build/.cache/data/")
    assert got.source("evaluation") == path
    assert {what for _, _, what in said} >= {"start", "done"}
    assert any(" of 8 MiB" in what for _, _, what in said)
    assert _remote_table(got) == {"evaluation": {"url": url, "sha256": sha(blob), "bytes": SIZE, "files": 1}}


def test_what_came_before_a_cut_is_kept_for_the_next_run(tmp_path: Path, site: tuple[str, Path], blob: bytes) -> None:
    with Cutting(int(site[0].rpartition(":")[2]), SIZE // 2, breaks=1, dies=True) as link:
        asked = recipe(tmp_path, f"http://127.0.0.1:{link.port}/val.npz#sha256={sha(blob)}")
        with pytest.raises(DataError, match=r"broke off after 4(?s:.*)what came is kept"):
            with_data(asked, tmp_path / "build", None)
        link.dies = False
        assert with_data(asked, tmp_path / "build", None).brought["evaluation"].bytes == SIZE
        assert link.passed < SIZE * 1.2


def test_another_content_than_the_hash_says_is_refused_and_not_kept(tmp_path: Path, site: tuple[str, Path]) -> None:
    with pytest.raises(DataError, match=r"its sha256 is .*, and the recipe holds it to 0000"):
        with_data(recipe(tmp_path, f"{site[0]}/val.npz#sha256={'0' * 64}"), tmp_path / "build", None)
    assert not list((tmp_path / "build/.cache/data").glob("*/facts.json"))


def test_more_than_the_bound_is_refused_also_where_the_size_is_not_told(tmp_path: Path, site: tuple[str, Path]) -> None:
    pinned = f"#sha256={'0' * 64}"
    with pytest.raises(DataError, match=r"has more than 1000 bytes(?s:.*)remote_bytes_max = 9000000"):
        with_data(recipe(tmp_path, f"{site[0]}/val.npz{pinned}", remote_bytes_max=1000), tmp_path / "build", None)
    with web(site[1], ranges=False) as stream, pytest.raises(DataError, match="has more than 1000 bytes"):
        with_data(recipe(tmp_path, f"{stream}/val.npz{pinned}", remote_bytes_max=1000), tmp_path / "build", None)


def test_a_list_brings_the_files_that_it_names(tmp_path: Path, site: tuple[str, Path]) -> None:
    (site[1] / "a b").mkdir(exist_ok=True)
    (site[1] / "a b" / "é.png").write_bytes(b"one")
    (site[1] / "list.txt").write_text("a b/é.png 0\n")
    lines = "".join(f"{sha((site[1] / name).read_bytes())}  {name}\n" for name in ("a b/é.png", "list.txt"))
    url = f"{site[0]}/list.txt#sha256={sha(lines.encode())}"
    got = with_data(recipe(tmp_path, url), tmp_path / "build", None)
    listed = tmp_path / str(got.source("evaluation"))
    assert (listed.parent / "a b" / "é.png").read_bytes() == b"one"
    (site[1] / "list.txt").write_text("../../etc/passwd 0\n")
    with pytest.raises(DataError, match="leads out of its folder"):
        with_data(recipe(tmp_path / "other", url), tmp_path / "other" / "build", None)


def test_plan_asks_and_fetches_nothing(tmp_path: Path, site: tuple[str, Path]) -> None:
    (item,) = elsewhere(recipe(tmp_path, f"{site[0]}/val.npz#sha256={'0' * 64}"))
    assert glance(item).endswith("9.0 MB in 1 files; a build fetches it")
    assert not here_already(recipe(tmp_path, f"{site[0]}/v#sha256={'0' * 64}"), Cache(tmp_path)).brought
    (item,) = elsewhere(recipe(tmp_path, f"{site[0]}/none.npz#sha256={'0' * 64}"))
    with pytest.raises(DataError, match="is not there"):
        glance(item)


@pytest.mark.parametrize(
    ("url", "word"),
    [
        ("https://user:hunter2@host/x.npz", "a user's name or password"),
        ("https://hunter2@host/x.npz", "a user's name or password"),
        ("webhdfs://user:hunter2@host:50070/x", "a user's name or password"),
        ("https://bucket.host/x.npz?X-Amz-Signature=hunter2", "carries a credential, 'X-Amz-Signature'"),
        ("https://account.host/x.npz?sv=1&sig=hunter2", "carries a credential, 'sig'"),
        ("http://host/x.npz", "needs a hash"),
        ("https://host/x.npz#sha256=12", "64 hexadecimal digits"),
        ("file:///etc/passwd", "files of this machine"),
        ("simplecache::s3://bucket/hunter2", "no .npz|wraps others|does not exist"),
        ("https://host/data.py:load", "names code"),
        ("s3://bucket", "a place and a path"),
    ],
)
def test_a_recipe_holds_no_credentials_and_no_code(tmp_path: Path, url: str, word: str) -> None:
    with pytest.raises(RecipeError, match=word) as caught:
        elsewhere(recipe(tmp_path, url)) or pytest.fail("taken for a path") if "::" not in url else _refused(url)
    assert "hunter2" not in str(caught.value)


def _refused(url: str) -> None:
    from edgeflow.core.remote import remote_source

    remote_source(url.replace("simplecache::", "zip://x::"), "evaluation")


def test_only_data_is_fetched(tmp_path: Path) -> None:
    tables = {
        "model": {"program": "https://host/m.pdmodel"},
        "inputs": {"x": {"shape": [1]}},
        "data": {"evaluation": "x"},
    }
    with pytest.raises(RecipeError, match=r"\[model\] program: is a URL, and only data is fetched"):
        recipe_of(tables, tmp_path / "edgeflow.toml", "edgeflow.toml")


@pytest.mark.skipif(bool(missing_swift()), reason=missing_swift())
def test_a_bucket_of_a_real_s3_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, blob: bytes) -> None:
    import fsspec

    with swift(tmp_path / "swift") as endpoint, Cutting(int(endpoint.rpartition(":")[2]), SIZE // 3, breaks=3) as link:
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test:tester")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
        monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        store = fsspec.filesystem("s3", skip_instance_cache=True)
        store.mkdir("bucket")
        store.pipe({f"bucket/val/{k % 3}/{k}.png": blob[k : k + 1000] for k in range(30)})
        store.pipe_file("bucket/val.npz", blob)
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{link.port}")
        _whole_file_and_folder(tmp_path, "s3://bucket", blob)
        assert link.left == 0
        store.pipe_file("bucket/val.npz", blob[1:])  # its ETag says that it changed
        again = with_data(recipe(tmp_path, "s3://bucket/val.npz"), tmp_path / "build", None)
        assert again.brought["evaluation"].sha256 == sha(blob[1:])
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
        with pytest.raises(DataError) as caught:
            with_data(recipe(tmp_path, "s3://bucket/val"), tmp_path / "elsewhere", None)
        assert "hunter2" not in str(caught.value)


@pytest.mark.skipif(bool(missing_hadoop()), reason=missing_hadoop())
def test_a_real_hdfs_natively_and_over_http(tmp_path: Path, blob: bytes) -> None:
    import time

    native = pytest.importorskip("hdfs_native.fsspec")
    with hdfs(tmp_path / "hdfs") as (rpc, over_http):
        store = native.HdfsFileSystem("127.0.0.1", int(rpc.rpartition(":")[2]))
        for _ in range(60):
            try:
                store.pipe_file("/bucket/val.npz", blob)
                break
            except Exception:  # its DataNode has not come yet
                time.sleep(1)
        for k in range(30):
            store.pipe_file(f"/bucket/val/{k % 3}/{k}.png", blob[k : k + 1000])
        _whole_file_and_folder(tmp_path / "native", f"{rpc}/bucket", blob)
        _whole_file_and_folder(tmp_path / "http", f"{over_http}/bucket", blob)
        with pytest.raises(DataError, match="is not there") as caught:
            with_data(recipe(tmp_path, f"{rpc}/nowhere.npz"), tmp_path / "build", None)
        assert "java" not in str(caught.value)


def _whole_file_and_folder(home: Path, base: str, blob: bytes) -> None:
    asked = recipe(home, f"{base}/val", calibration=f"{base}/val.npz")
    got = with_data(asked, home / "build", None)
    folder = home / str(got.source("evaluation"))
    assert sorted(path.name for path in folder.iterdir()) == ["0", "1", "2"]
    assert all((folder / str(k % 3) / f"{k}.png").read_bytes() == blob[k : k + 1000] for k in range(30))
    assert (home / str(got.source("calibration"))).read_bytes() == blob
    lines = sorted((f"{k % 3}/{k}.png", sha(blob[k : k + 1000])) for k in range(30))
    assert got.brought["evaluation"].sha256 == sha("".join(f"{digest}  {name}\n" for name, digest in lines).encode())
    assert with_data(asked, home / "build", None) == got
