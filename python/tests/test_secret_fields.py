"""Fields of pydantic models that are URLs or secrets."""

from __future__ import annotations

import dataclasses
from typing import Any

import pydantic
import pytest

import coldframe
from coldframe.errors import LossyWarning, UnsupportedError


class Service(pydantic.BaseModel):
    home: pydantic.HttpUrl
    any_url: pydantic.AnyUrl = pydantic.AnyUrl("ftp://files.example.org/a")
    database: pydantic.PostgresDsn = pydantic.PostgresDsn("postgres://user@db.example.org:5432/app")


class Login(pydantic.BaseModel):
    password: Any


class Shown(pydantic.BaseModel):
    password: pydantic.SecretStr

    @pydantic.field_serializer("password", when_used="json")
    def _show(self, password: pydantic.SecretStr) -> str:
        return password.get_secret_value()


@dataclasses.dataclass
class Plain:
    password: Any


def test_a_model_with_urls_comes_back() -> None:
    store = coldframe.Store("memory://")
    service = Service(home=pydantic.HttpUrl("https://example.org/"))
    with pytest.warns(LossyWarning, match="restores it"):
        store.put("service", service, serializer="json")
    assert store.get("service", type=Service) == service


SECRETS = (pydantic.SecretStr("hunter2"), pydantic.SecretBytes(b"hunter2"), pydantic.Secret[int](7))


@pytest.mark.parametrize("secret", SECRETS, ids=lambda secret: type(secret).__name__)
@pytest.mark.parametrize(
    ("wrapped", "path"),
    [
        (lambda secret: Login(password=secret), 'value["password"]'),
        (lambda secret: Login(password=[{"a": secret}]), 'value["password"][0]["a"]'),
        (lambda secret: Plain(secret), 'value["password"]'),
        (lambda secret: {"logins": [Plain(secret)]}, 'value["logins"][0]["password"]'),
        (lambda secret: {"a": secret}, 'value["a"]'),
        (lambda secret: secret, "value"),
    ],
    ids=["model", "deep in a model", "dataclass", "in a dict of dataclasses", "in a dict", "alone"],
)
def test_a_secret_is_refused_and_not_told(secret: Any, wrapped: Any, path: str) -> None:
    store = coldframe.Store("memory://")
    with pytest.raises(UnsupportedError) as caught:
        store.put("login", wrapped(secret), serializer="json")
    assert caught.value.message.startswith(f"{path}: of a Secret")
    assert "get_secret_value()" in (caught.value.hint or "")
    assert "hunter2" not in str(caught.value)
    assert not store.exists("login")


def test_a_secret_that_its_model_writes_out_is_taken() -> None:
    store = coldframe.Store("memory://")
    shown = Shown(password=pydantic.SecretStr("hunter2"))
    with pytest.warns(LossyWarning, match="restores it"):
        store.put("login", shown, serializer="json")
    assert store.get("login", type=Shown) == shown


def test_an_empty_secret_is_taken() -> None:
    store = coldframe.Store("memory://")
    with pytest.warns(LossyWarning):
        store.put("login", Login(password=pydantic.SecretStr("")), serializer="json")
    assert store.get("login") == {"password": ""}
