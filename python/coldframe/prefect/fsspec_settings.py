"""What Prefect's RemoteFileSystem means to coldframe: a base path, and settings for a file system of fsspec."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from coldframe.errors import UnsupportedError
from coldframe.prefect.blocks import (
    WAY_OUT,
    Location,
    Options,
    azure_location,
    azure_server,
    bucket_of,
    check_endpoint,
    connection,
    gcs_emulator,
    refused,
    secret,
    url_of,
)

__all__ = ["location_of"]

_HARMLESS = frozenset(
    {
        "asynchronous", "batch_size", "blocksize", "block_size", "cache_regions", "cache_timeout", "consistency",
        "default_block_size", "default_cache_type", "default_fill_cache", "fixed_upload_size", "listings_expiry_time",
        "loop", "max_concurrency", "max_paths", "max_single_put_size", "project", "skip_instance_cache",
        "use_listings_cache", "use_ssl", "verify", "version_aware",
    }
)  # fmt: skip
"""What changes no answer, or is looked at by itself."""
_S3_KEYS: Mapping[str, str] = {
    "key": "access_key_id",
    "username": "access_key_id",
    "aws_access_key_id": "access_key_id",
    "secret": "secret_access_key",
    "password": "secret_access_key",
    "aws_secret_access_key": "secret_access_key",
    "token": "session_token",
    "aws_session_token": "session_token",
    "region_name": "region",
}
_AZURE_KEYS: Mapping[str, str] = {
    "account_name": "account_name",
    "account_key": "account_key",
    "sas_token": "sas_token",
    "client_id": "client_id",
    "client_secret": "client_secret",
    "tenant_id": "tenant_id",
}


def location_of(block: Any) -> Location:
    """The folder for frames under the base path of a RemoteFileSystem.

    Raises UnsupportedError naming the protocol or the setting that cannot be carried over.
    """
    parts = urlsplit(block.basepath)
    scheme = parts.scheme.lower()
    protocol = _PROTOCOLS.get(scheme)
    if protocol is None:
        raise UnsupportedError(f"coldframe cannot put frames beside results on `{scheme}://`", hint=WAY_OUT)
    if parts.query or parts.fragment or parts.password:
        raise refused(block, "basepath", "which holds more than a bucket and a folder")
    return protocol(block, parts.netloc, unquote(parts.path), dict(block.settings))


def _s3(block: Any, bucket: str, folder: str, settings: dict[str, Any]) -> Location:
    bucket = bucket_of(block, "basepath", bucket)
    client = dict(settings.pop("client_kwargs", None) or {})
    config = dict(settings.pop("config_kwargs", None) or {})
    said = {**client, **settings}
    options: Options = {}
    for name, value in said.items():
        if value is None or name in _HARMLESS or name in ("endpoint_url", "anon", "requester_pays"):
            continue
        if name not in _S3_KEYS:
            raise refused(block, f"settings[{name!r}]")
        options[_S3_KEYS[name]] = _text(block, name, value)
    s3 = dict(config.pop("s3", None) or {})
    style = s3.pop("addressing_style", "auto")
    left = [f"config_kwargs[{name!r}]" for name in (*config, *s3)]
    if left:
        raise refused(block, left[0])
    if said.get("anon"):
        options = {"skip_signature": True}
    if said.get("requester_pays"):
        options["request_payer"] = True
    options.update(_s3_where(block, bucket, said, style))
    _check_verify(block, said.get("verify"), options)
    return Location(url_of(block, f"s3://{bucket}", "basepath", folder), options)


def _s3_where(block: Any, bucket: str, said: dict[str, Any], style: str) -> Options:
    endpoint = said.get("endpoint_url")
    if endpoint is None:
        if said.get("use_ssl") is False:
            raise refused(block, "settings['use_ssl']", "and without an endpoint there is nobody to ask without it")
        return {"virtual_hosted_style_request": style != "path" and "." not in bucket}
    endpoint = _text(block, "endpoint_url", endpoint).rstrip("/")
    check_endpoint(block, "settings['endpoint_url']", endpoint)
    parts = urlsplit(endpoint)
    if style == "virtual":
        endpoint = f"{parts.scheme}://{bucket}.{parts.netloc}{parts.path}"
    where: Options = {"endpoint": endpoint, "virtual_hosted_style_request": style == "virtual"}
    if parts.scheme == "http":
        where["allow_http"] = True
    return where


def _gcs(block: Any, bucket: str, folder: str, settings: dict[str, Any]) -> Location:
    bucket = bucket_of(block, "basepath", bucket)
    token, endpoint = settings.pop("token", None), settings.pop("endpoint_url", None)
    for name, value in settings.items():
        if value is not None and name not in _HARMLESS:
            raise refused(block, f"settings[{name!r}]")
    options: Options = {}
    token = secret(token)
    if isinstance(token, Mapping):
        options["service_account_key"] = json.dumps(token)
    elif token == "anon":
        options["skip_signature"] = True
    elif isinstance(token, str) and token.endswith(".json"):
        options["service_account"] = str(Path(token).expanduser().absolute())
    elif token not in (None, "google_default", "cloud"):
        raise refused(block, "settings['token']", "which is neither a service account's file nor its content")
    if endpoint is None:
        options.update(gcs_emulator(block))
    else:
        check_endpoint(block, "settings['endpoint_url']", _text(block, "endpoint_url", endpoint))
        options.update({"base_url": endpoint.rstrip("/"), "allow_http": endpoint.startswith("http://")})
    _check_verify(block, settings.get("verify"), options)
    return Location(url_of(block, f"gs://{bucket}", "basepath", folder), options)


def _azure(block: Any, netloc: str, folder: str, settings: dict[str, Any]) -> Location:
    container, _, host = netloc.partition("@")
    container = bucket_of(block, "basepath", container, r"[a-z0-9][a-z0-9-]*")
    text, account_host = settings.pop("connection_string", None), settings.pop("account_host", None)
    options: Options = {}
    for name, value in settings.items():
        if value is None or name in _HARMLESS or name == "anon":
            continue
        if name not in _AZURE_KEYS:
            raise refused(block, f"settings[{name!r}]")
        options[_AZURE_KEYS[name]] = _text(block, name, value)
    server: str | None = None
    if text is not None:
        server, found = connection(block, _text(block, "connection_string", text))
        options = {**found, **options}
    elif account_host or host:
        address = f"https://{account_host or host.replace('.dfs.', '.blob.')}"
        server, found = azure_server(block, "basepath", address, None)
        options = {**found, **options}
    elif "account_name" not in options:
        raise refused(block, "settings", "where neither account_name nor connection_string says whose container it is")
    if settings.get("anon") is True and not {"account_key", "sas_token", "client_secret"} & set(options):
        options["skip_signature"] = True
    return azure_location(block, server, options, container, "basepath", folder)


def _text(block: Any, name: str, value: Any) -> str:
    value = secret(value)
    if not isinstance(value, str):
        raise refused(block, f"settings[{name!r}]", "which is no text")
    return value


def _check_verify(block: Any, verify: Any, options: Options) -> None:
    if verify is False:
        options["allow_invalid_certificates"] = True
    elif verify not in (None, True):
        raise refused(block, "settings['verify']", "which names a bundle of certificates, and coldframe takes none")


_PROTOCOLS: Mapping[str, Callable[[Any, str, str, dict[str, Any]], Location]] = {
    "s3": _s3,
    "s3a": _s3,
    "gs": _gcs,
    "gcs": _gcs,
    "az": _azure,
    "abfs": _azure,
    "abfss": _azure,
}
