"""What `autocreate sieve` and `autocreate config check` say of scripts."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from autocreate.mailstore.sieve.script import is_bytecode
from tests.contract.script_stores import WRONG, WRONG_AT
from tests.servers.common import free_port
from tests.servers.cyrus import Cyrus
from tests.servers.product import Product


@pytest.fixture
def product(cyrus: Cyrus) -> Iterator[Product]:
    with Product(cyrus, accounts=["joe"]) as made:
        yield made


@pytest.fixture(params=["managesieve", "files"])
def way(request: pytest.FixtureRequest, cyrus: Cyrus) -> Mapping[str, str]:
    """The [cyrus] section's part about scripts."""
    return {"sieve": request.param, "imapd_conf": str(cyrus.imapd_conf_file)}


def configure(product: Product, cyrus: Mapping[str, Any], **policy: object) -> None:
    product.configure({"cyrus": cyrus, "policy": [{"name": "all", **policy}]})


def script(folder: Path, text: bytes) -> Path:
    file = folder / "all.sieve"
    file.write_bytes(text)
    return file


def test_a_good_script_compiles(product: Product, way: Mapping[str, str], tmp_path: Path) -> None:
    source = script(tmp_path, b"keep;\n")
    configure(product, way, sieve=str(source))
    done = product.run("sieve", "check")
    assert (done.returncode, done.stdout) == (0, f"policy 'all': {source}: compiles\n")


def test_a_wrong_script_is_told_with_its_line(
    product: Product, way: Mapping[str, str], tmp_path: Path
) -> None:
    source = script(tmp_path, WRONG)
    configure(product, way, sieve=str(source))
    done = product.run("sieve", "check")
    assert (done.returncode, done.stdout) == (
        65,
        f"policy 'all': {source}: it does not compile: {WRONG_AT}\n",
    )
    assert product.json("sieve", "check") == [
        {
            "policy": "all",
            "script": str(source),
            "state": "wrong",
            "details": [f"it does not compile: {WRONG_AT}"],
        }
    ]


def test_a_configuration_without_a_script_is_told_to_have_none(product: Product) -> None:
    done = product.run("sieve", "check")
    assert (done.returncode, done.stdout) == (0, "no policy has a Sieve script\n")
    assert product.json("sieve", "check") == []


def test_a_service_that_is_down_leaves_it_undecided(product: Product, tmp_path: Path) -> None:
    source, port = script(tmp_path, b"keep;\n"), free_port()
    configure(product, {"sieve_port": port}, sieve=str(source))
    done = product.run("sieve", "check")
    assert (done.returncode, done.stdout) == (
        75,
        f"policy 'all': {source}: not checked: Cyrus at 127.0.0.1:{port} cannot be "
        "reached (connecting): [Errno 111] Connection refused\n",
    )
    assert [it["state"] for it in product.json("sieve", "check")] == ["not checked"]


def test_a_compiled_script_older_than_its_source_is_told(
    product: Product, way: Mapping[str, str], tmp_path: Path
) -> None:
    source, compiled = script(tmp_path, b"keep;\n"), tmp_path / "all.bc"
    configure(product, way, sieve=str(source), sieve_compiled=str(compiled))
    done = product.run("sieve", "compile")
    assert (done.returncode, done.stdout) == (0, f"{source}: compiled into {compiled}\n")
    assert is_bytecode(compiled.read_bytes())
    os.utime(compiled, (1, 1))
    assert product.run("sieve", "check").stdout == (
        f"policy 'all': {source}: compiles\n"
        f"policy 'all': {source}: {compiled} is older than {source}: run autocreate sieve compile\n"
    )
    (told,) = product.json("sieve", "check")
    assert (told["state"], told["details"]) == (
        "compiles",
        [f"{compiled} is older than {source}: run autocreate sieve compile"],
    )


def test_a_script_named_on_the_command_line_needs_no_configuration(
    product: Product, tmp_path: Path
) -> None:
    source, target = script(tmp_path, b"keep;\n"), tmp_path / "out.bc"
    product.config_file.unlink()
    done = product.run("sieve", "compile", str(source), str(target))
    assert (done.returncode, done.stdout) == (0, f"{source}: compiled into {target}\n")
    assert is_bytecode(target.read_bytes())


def test_a_wrong_script_leaves_what_was_compiled_before(product: Product, tmp_path: Path) -> None:
    source, target = script(tmp_path, WRONG), tmp_path / "out.bc"
    target.write_bytes(b"before")
    done = product.run("sieve", "compile", str(source), str(target))
    assert (done.returncode, done.stderr) == (
        65,
        f"autocreate: {source}: it does not compile: {WRONG_AT}\n",
    )
    assert target.read_bytes() == b"before"
    assert sorted(os.listdir(tmp_path)) == ["all.sieve", "out.bc"]


def test_nothing_to_compile_says_what_to_write(product: Product) -> None:
    done = product.run("sieve", "compile")
    assert done.returncode == 78
    assert "autocreate_sieve_script_compiled" in done.stderr


def test_config_check_tells_a_wrong_script_and_refuses_nothing(
    product: Product, way: Mapping[str, str], tmp_path: Path
) -> None:
    source = script(tmp_path, WRONG)
    configure(product, way, sieve=str(source))
    done = product.run("config", "check")
    assert done.returncode == 0
    assert f"notice: policy 'all': {source}: it does not compile: {WRONG_AT}\n" in done.stdout


def test_a_script_of_imapd_conf_that_is_not_there_costs_the_script_alone(
    product: Product, cyrus: Cyrus, tmp_path: Path
) -> None:
    ours = tmp_path / "ours.conf"
    ours.write_text(
        cyrus.imapd_conf_file.read_text()
        + "autocreate_quota: 1000\nautocreate_post: yes\nautocreate_sieve_script: /no/such\n"
    )
    product.configure({"cyrus": {"imapd_conf": str(ours)}, "policy": []})
    done = product.run("plan", "joe@example.org")
    assert done.returncode == 0
    assert "create INBOX" in done.stdout
    assert (
        "Sieve script /no/such cannot be used, so nobody gets it: No such file or directory"
        in done.stderr
    )


def test_scripts_in_home_directories_are_refused_with_the_reason(
    product: Product, cyrus: Cyrus, tmp_path: Path
) -> None:
    ours = tmp_path / "ours.conf"
    ours.write_text(cyrus.imapd_conf_file.read_text() + "sieveusehomedir: yes\n")
    product.configure({"cyrus": {"imapd_conf": str(ours), "sieve": "files"}})
    done = product.run("config", "check")
    assert done.returncode == 78
    assert f'cyrus.sieve: "files" does not work with sieveusehomedir in {ours}' in done.stderr


def test_off_gives_nobody_a_script(product: Product, tmp_path: Path) -> None:
    source = script(tmp_path, WRONG)
    configure(product, {"sieve": "off"}, sieve=str(source))
    done = product.run("sieve", "check")
    assert (done.returncode, done.stdout) == (0, "no policy has a Sieve script\n")
    assert product.json("sieve", "check") == []
    assert "sieve" not in product.run("plan", "joe@example.org").stdout
