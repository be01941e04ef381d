"""A mistake in the environment is one line that names the variable and says what to set."""

from __future__ import annotations

from pathlib import Path

import pytest

from console.configuration import Configuration, check_config_file
from console.environment import ConfigurationError

SECRET = "x" * 50
DATABASE = "postgres://ballast:hunter2@db:5432/ballast"


def refusal(**variables: str) -> str:
    """What is said of an environment that cannot be used."""
    with pytest.raises(ConfigurationError) as caught:
        Configuration.read(variables)
    line = str(caught.value)
    assert "\n" not in line
    assert "hunter2" not in line
    return line


def test_an_empty_environment_is_one_machine_with_the_demo() -> None:
    found = Configuration.read({})
    assert (found.port, found.demo, found.database_url, found.redis_url) == (8000, True, "", "")
    assert found.allowed_hosts == ["127.0.0.1", "localhost", "[::1]"]


def test_an_empty_value_counts_as_none() -> None:
    names = ("PORT", "DEMO", "DATABASE_URL", "REDIS_URL", "PROMETHEUS_URL", "SECRET_KEY", "ALLOWED_HOSTS")
    assert Configuration.read(dict.fromkeys((*names, "BALLAST_DATA_DIR"), "")) == Configuration.read({})


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("PORT", "abc", "PORT is 'abc'. Set it to a whole number from 1 to 65535."),
        ("PORT", "0", "PORT is '0'. Set it to a whole number from 1 to 65535."),
        ("PORT", "70000", "PORT is '70000'. Set it to a whole number from 1 to 65535."),
        ("PORT", "²", "PORT is '²'. Set it to a whole number from 1 to 65535."),
        ("DEMO", "maybe", "DEMO is 'maybe'. Set it to 1 or 0."),
        ("BEHIND_TLS", "tls", "BEHIND_TLS is 'tls'. Set it to 1 or 0."),
        ("DATABASE_POOL_SIZE", "-1", "DATABASE_POOL_SIZE is '-1'. Set it to a whole number from 0 to 1000."),
        ("SESSION_COOKIE_AGE", "0", "SESSION_COOKIE_AGE is '0'. Set it to a whole number of at least 1."),
        ("LOG_LEVEL", "loud", "LOG_LEVEL is 'loud'. Set it to DEBUG, INFO, WARNING, ERROR or CRITICAL."),
        ("WINDOW_DAYS", "27", "WINDOW_DAYS is '27'. Set it to 28 or 30."),
        (
            "PROMETHEUS_URL",
            "hello",
            "PROMETHEUS_URL is not an address. Set it to an address such as http://prometheus:9090.",
        ),
        (
            "PROMETHEUS_URL",
            "ftp://prometheus",
            "PROMETHEUS_URL starts with ftp://. Set it to an address such as http://prometheus:9090.",
        ),
        (
            "PROMETHEUS_URL",
            "http://",
            "PROMETHEUS_URL names no host. Set it to an address such as http://prometheus:9090.",
        ),
        (
            "REDIS_URL",
            "hello",
            "REDIS_URL is not an address. Set it to an address such as redis://host:6379/0.",
        ),
        (
            "REDIS_URL",
            "redis://host:6379/cache",
            "REDIS_URL ends in a database that is not a number. Set it to an address such as redis://host:6379/0.",
        ),
        (
            "DATABASE_URL",
            "nonsense",
            "DATABASE_URL is not an address. Set it to an address such as postgres://user:password@host:5432/name.",
        ),
        (
            "DATABASE_URL",
            "mysql://root:hunter2@db/ballast",
            "DATABASE_URL starts with mysql://. "
            "Set it to an address such as postgres://user:password@host:5432/name.",
        ),
        (
            "DATABASE_URL",
            "postgres://ballast:hunter2@db",
            "DATABASE_URL names no database. "
            "Set it to an address such as postgres://user:password@host:5432/name.",
        ),
    ],
)
def test_a_value_that_makes_no_sense_is_named(variable: str, value: str, said: str) -> None:
    assert refusal(**{variable: value}) == said


def test_a_password_that_breaks_an_address_is_explained_and_not_repeated() -> None:
    line = refusal(DATABASE_URL="postgres://ballast:hunter2#/x@db/ballast", SECRET_KEY=SECRET)
    assert line.startswith("DATABASE_URL cannot be taken apart")
    assert "%23" in line


def test_the_owner_alone_is_refused() -> None:
    assert "DATABASE_OWNER_URL is set and DATABASE_URL is not" in refusal(DATABASE_OWNER_URL=DATABASE)


def test_the_owners_address_is_checked_too() -> None:
    line = refusal(DATABASE_URL=DATABASE, DATABASE_OWNER_URL="nonsense", SECRET_KEY=SECRET)
    assert line.startswith("DATABASE_OWNER_URL is not an address.")


def test_a_database_of_ones_own_needs_a_secret() -> None:
    assert refusal(DATABASE_URL=DATABASE).startswith(
        "SECRET_KEY is not set, and with DATABASE_URL it has to be."
    )


def test_a_short_secret_is_refused_and_not_repeated() -> None:
    line = refusal(DATABASE_URL=DATABASE, SECRET_KEY="hunter2")
    assert line.startswith("SECRET_KEY has 7 characters")


@pytest.mark.parametrize("host", ["https://ballast.example.org", "ballast.example.org:8000", "a/b", "a b"])
def test_a_host_that_is_no_name_is_refused(host: str) -> None:
    line = refusal(ALLOWED_HOSTS=f"127.0.0.1,{host}")
    assert line.startswith(f"ALLOWED_HOSTS has {host!r}, which is not a host name. Set it to names alone")


@pytest.mark.parametrize("host", ["ballast.example.org", ".example.org", "*", "[::1]", "10.0.0.5"])
def test_every_form_of_host_that_django_knows_is_taken(host: str) -> None:
    assert Configuration.read({"ALLOWED_HOSTS": f" {host} ,"}).allowed_hosts == [host]


def test_an_origin_without_scheme_is_refused() -> None:
    line = refusal(CSRF_TRUSTED_ORIGINS="ballast.example.org")
    assert "Set it to scheme and host" in line


def test_a_relative_folder_is_taken_from_where_one_stands(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert Configuration.read({"BALLAST_DATA_DIR": "data"}).data_dir == tmp_path / "data"


def test_a_configuration_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    line = refusal(BALLAST_CONFIG=str(tmp_path / "none.toml"))
    assert line.startswith(f"BALLAST_CONFIG names {tmp_path}/none.toml, which cannot be read")


def test_a_configuration_file_that_is_no_toml_is_named_with_the_line(tmp_path: Path) -> None:
    file = tmp_path / "ballast.toml"
    file.write_text("[telemetry]\norder = [\n")
    line = refusal(BALLAST_CONFIG=str(file))
    assert line.startswith(f"BALLAST_CONFIG names {file}, which is not TOML:")
    assert "line" in line


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[telemetry]\norder = ["mine"]\n', "order names mine"),
        ("[telemetry]\ntimeout = 3\n", "telemetry.timeout"),
        ("[telmetry]\n", "'telmetry', which Ballast does not know"),
        ("[archetypes.http_api]\nspread = 1\n", "[archetypes.default] is needed"),
        ('[archetypes.default]\ntitle = "any"\n', "'typical_availability' is missing"),
    ],
)
def test_what_the_configuration_file_says_is_checked(text: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / "ballast.toml"
    file.write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        check_config_file(file)
    assert said in str(caught.value)
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)
