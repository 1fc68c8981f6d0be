"""Where settings are read from: flags, environment, TOML."""

import os
from pathlib import Path

import pytest

from clipfleet.config_file import config_file, unread_config
from clipfleet.errors import UsageError
from clipfleet.settings import read_settings


@pytest.fixture
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, and no CLIPFLEET_ variable but those a test sets."""
    for name in list(os.environ):
        if name.startswith("CLIPFLEET_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path


def write_config(folder: Path, text: str) -> None:
    """The settings file of the user who is `alone` in the folder."""
    own = folder / "config/clipfleet"
    own.mkdir(parents=True, exist_ok=True)
    (own / "clipfleet.toml").write_text(text)


def test_a_setting_has_its_default_where_nothing_sets_it(alone: Path) -> None:
    assert read_settings().lease_s == 30.0


def test_a_setting_comes_from_the_users_own_toml_file(alone: Path) -> None:
    write_config(alone, "lease_s = 3")

    assert read_settings().lease_s == 3.0


def test_without_a_variable_the_users_own_file_lies_in_their_home(
    alone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", "config")  # relative, which the XDG rule ignores
    monkeypatch.setenv("HOME", str(alone / "home"))
    write_config(alone, "lease_s = 3")
    (alone / "home/.config/clipfleet").mkdir(parents=True)
    (alone / "home/.config/clipfleet/clipfleet.toml").write_text("lease_s = 4")

    assert read_settings().lease_s == 4.0


def test_nothing_is_read_from_the_current_folder_that_nobody_named(alone: Path) -> None:
    (alone / "clipfleet.toml").write_text('engine_url = "http://evil/v1"')
    (alone / ".env").write_text("CLIPFLEET_ENGINE_URL=http://evil/v1")

    assert read_settings().engine_url is None


def test_a_file_of_the_current_folder_is_said_not_to_be_read(alone: Path) -> None:
    assert unread_config() is None

    (alone / "clipfleet.toml").write_text("lease_s = 3")

    assert unread_config() == (
        "./clipfleet.toml is not read, as it may have come with the clips; to use it, set "
        "CLIPFLEET_CONFIG=./clipfleet.toml"
    )


def test_nothing_is_said_of_a_file_that_is_read_or_passed_over_by_name(
    alone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_config(alone, "lease_s = 3")
    monkeypatch.chdir(alone / "config/clipfleet")
    assert unread_config() is None

    monkeypatch.setenv("CLIPFLEET_CONFIG", "./clipfleet.toml")
    assert unread_config() is None
    assert read_settings().lease_s == 3.0


@pytest.mark.parametrize("home", ["", "relative"])
def test_without_a_home_nothing_is_read_and_the_variables_to_set_are_named(
    alone: Path, monkeypatch: pytest.MonkeyPatch, home: str
) -> None:
    for name in ("XDG_CONFIG_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", lambda: Path(home))

    assert config_file() is None
    with pytest.raises(UsageError, match="set HOME, or XDG_CACHE_HOME"):
        read_settings()
    assert read_settings(cache_dir="/cache").lease_s == 30.0


def test_a_setting_comes_from_the_toml_file_that_a_variable_names(
    alone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (alone / "other.toml").write_text("lease_s = 4")
    monkeypatch.setenv("CLIPFLEET_CONFIG", "other.toml")

    assert read_settings().lease_s == 4.0


def test_a_settings_variable_wins_over_the_toml_file(
    alone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_config(alone, "lease_s = 3")
    monkeypatch.setenv("CLIPFLEET_LEASE_S", "5")

    assert read_settings().lease_s == 5.0


def test_a_settings_flag_wins_over_its_variable(
    alone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLIPFLEET_STORE", "from-variable")

    assert read_settings(store="from-flag").store == "from-flag"


def test_a_settings_flag_that_is_not_given_leaves_the_variable(
    alone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLIPFLEET_STORE", "from-variable")

    assert read_settings(store=None).store == "from-variable"


def test_an_unknown_setting_in_the_toml_file_is_named(alone: Path) -> None:
    write_config(alone, "lease = 3")

    with pytest.raises(UsageError, match=r"there is no setting lease; did you mean lease_s\?$"):
        read_settings()


def test_a_setting_out_of_range_is_refused_with_its_variable_named(
    alone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLIPFLEET_LEASE_S", "0")

    with pytest.raises(UsageError, match="CLIPFLEET_LEASE_S"):
        read_settings()


def test_a_toml_file_that_is_not_toml_is_named(alone: Path) -> None:
    write_config(alone, "lease_s =")

    with pytest.raises(UsageError, match=r"clipfleet\.toml is not valid TOML"):
        read_settings()


def test_a_config_variable_that_names_no_file_is_refused(
    alone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLIPFLEET_CONFIG", "nowhere.toml")

    with pytest.raises(UsageError, match=r"CLIPFLEET_CONFIG names nowhere\.toml"):
        read_settings()


def test_a_secret_does_not_show_when_settings_are_printed(alone: Path) -> None:
    settings = read_settings(broker="redis://:hunter2@host", s3_secret_key="hunter2")

    assert "hunter2" not in repr(settings)


def test_a_secret_does_not_show_when_its_setting_is_refused(
    alone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_config(alone, 's3_secret_key = ["hunter2"]')

    with pytest.raises(UsageError, match="s3_secret_key") as refusal:
        read_settings()

    assert "hunter2" not in str(refusal.value)
