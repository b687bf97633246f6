"""Tests of the sources of settings, and of unknown variables."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.__main__ import main
from app.runtime.environment import unknown_variables
from app.settings import Settings, read_settings


@pytest.fixture
def env_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file `.env` of the working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path / ".env"


def test_a_file_sets_what_the_environment_does_not(
    env_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert read_settings().file is None
    env_file.write_text(
        "# comment\nCONTEXT_PORT=8100\nCONTEXT_HOST='::1'\nCONTEXT_LOG_LEVEL=\nPOSTGRES_DB=x\n"
    )
    monkeypatch.setenv("CONTEXT_PORT", "8200")
    settings = read_settings()
    assert (settings.port, settings.host, settings.log_level) == (8200, "::1", "INFO")
    assert settings.file == env_file


def test_unknown_variables_are_named_with_a_suggestion(
    env_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONTEXT_BOOTSTRAP_TOKN", "s3cret")
    monkeypatch.setenv("CONTEXT_PORT", "8100")
    monkeypatch.setenv("CONTEXT_URL", "http://127.0.0.1")  # the client reads it
    monkeypatch.setenv("CONTEXTUAL", "1")
    env_file.write_text("CONTEXT_NOTHING_LIKE_IT=s3cret\nCONTEXT_HOST=::1\n")
    first, second = unknown_variables(env_file)
    assert "CONTEXT_BOOTSTRAP_TOKN" in first
    assert "did you mean CONTEXT_BOOTSTRAP_TOKEN?" in first
    assert f"CONTEXT_NOTHING_LIKE_IT in {env_file}" in second
    assert "did you mean" not in second
    assert "s3cret" not in first + second


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+asyncpg"])
def test_every_scheme_of_postgresql_is_accepted(scheme: str) -> None:
    settings = Settings(database_url=f"{scheme}://a:b@db.example/c?sslmode=require")
    assert settings.database_url == "postgresql+asyncpg://a:b@db.example/c?sslmode=require"


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("CONTEXT_DATABASE_URL", "mysql://u:s3cret@db.example/c", "must be like postgresql://"),
        ("CONTEXT_DATABASE_URL", "db.example", "must be like postgresql://"),
        ("CONTEXT_S3_ENDPOINT", "s3.example:9000", "http:// or https://"),
        ("CONTEXT_S3_PUBLIC_ENDPOINT", "ftp://s3.example", "http:// or https://"),
        ("CONTEXT_PORT", "eighty", "CONTEXT_PORT"),
    ],
)
def test_a_bad_value_ends_the_start_in_one_sentence(
    env_file: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    variable: str,
    value: str,
    said: str,
) -> None:
    monkeypatch.setenv(variable, value)
    monkeypatch.setenv("CONTEXT_DATA_DIR", str(env_file.parent / "data"))
    assert main(["serve"]) == 2
    error = capsys.readouterr().err
    assert variable in error
    assert said in error
    assert "s3cret" not in error
    assert error.count("\n") == 1
    assert not (env_file.parent / "data").exists()


def test_a_short_secret_key_is_refused_with_an_outside_database() -> None:
    with pytest.raises(ValueError, match=r"CONTEXT_SECRET_KEY has 5 characters"):
        Settings.model_validate(
            {"database_url": "postgresql://a@db.example/c", "secret_key": "short"}
        )
