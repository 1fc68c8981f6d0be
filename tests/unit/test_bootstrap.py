"""Set-up looks where pip is told to look."""

import sys

import pytest

import bootstrap


def told(*lines: str) -> tuple[list[str], dict[str, str]]:
    """uv's flags and environment where `pip config list` says these lines."""
    says = f"print({chr(10).join(lines)!r})"
    return bootstrap.as_pip_is_told([sys.executable, "-c", says])


def test_indexes_links_and_constraints_are_handed_on() -> None:
    flags, environment = told(
        "global.cert='/etc/ssl/own.pem'",
        "global.extra-index-url='https://one/simple file:///two/simple'",
        "global.index-url='https://mirror/simple'",
        "install.constraint='/etc/constraints.txt'",
        "global.timeout='180'",
    )

    pairs = list(zip(flags[::2], flags[1::2], strict=True))
    assert ("--default-index", "https://mirror/simple") in pairs
    assert ("--index", "https://one/simple") in pairs
    assert ("--index", "file:///two/simple") in pairs
    assert ("--constraints", "/etc/constraints.txt") in pairs
    assert environment["UV_HTTP_TIMEOUT"] == "180"


def test_a_variable_holds_over_a_file_whatever_comes_first() -> None:
    flags, _ = told(":env:.find-links='/from/variable'", "global.find-links='/from/file'")

    assert "/from/variable" in flags
    assert "/from/file" not in flags


def test_what_uv_is_told_itself_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/mine.pem")

    _, environment = told("global.cert='/etc/ssl/own.pem'")

    assert environment["SSL_CERT_FILE"] == "/mine.pem"


def test_nothing_told_is_nothing_handed_on_but_pips_way_with_several_indexes() -> None:
    assert told("list.format='columns'")[0] == ["--index-strategy", "unsafe-best-match"]
