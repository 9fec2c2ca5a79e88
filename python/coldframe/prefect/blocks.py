"""What the blocks of Prefect's result storages mean to coldframe: a URL, and options to open it by.

Blocks are told by the names of their classes, so that no library of a cloud is imported for them. A setting that has no
counterpart is refused by its name; it is never left out in silence where it says who is asking, whom, or how safely.
"""

from __future__ import annotations

import ipaddress
import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from coldframe.errors import ConfigurationError, UnsupportedError
from coldframe.prefect.remembered import Remembered, fingerprint, surroundings

__all__ = ["FOLDER", "WAY_OUT", "Location", "Options", "kind_of", "location_of"]

Options = dict[str, "str | bool"]

FOLDER = "coldframe"
"""The folder of the frames, beside the results."""
WAY_OUT = (
    'say where frames land: ColdframeSerializer(store="s3/prod") with a profile of that name in coldframe.toml, or '
    "COLDFRAME_STORE in the environment"
)


@dataclass(frozen=True)
class Location:
    """Where a store lies, and the options to open it by, which may be secrets and are in no text of it."""

    url: str
    options: Options = field(default_factory=dict, repr=False)


def kind_of(block: Any) -> str | None:
    """What a block is known as: ``local``, ``s3``, ``gcs``, ``azure``, ``remote``; None if it is not known."""
    for made in type(block).__mro__:
        found = _KNOWN.get((made.__module__.partition(".")[0], made.__name__))
        if found is not None:
            return found
    return None


def location_of(block: Any, storage_path: Path) -> Location:
    """The folder for frames beside the results of a block.

    Args:
        block: A block of Prefect's that results are written to.
        storage_path: Prefect's own folder for results, for a block that would mean the working folder.

    Raises UnsupportedError naming what cannot be carried over, ConfigurationError if credentials cannot be had.
    """
    kind = kind_of(block)
    if kind is None:
        name = type(block).__name__
        raise UnsupportedError(f"coldframe cannot put frames beside the results of a {name} block", hint=WAY_OUT)
    if kind == "local":
        return local_location(block.basepath, storage_path)
    return _LOCATIONS[kind](block)


def local_location(basepath: str | None, storage_path: Path) -> Location:
    """The folder for frames in a folder; Prefect's own where `basepath` depends on the working folder."""
    folder = Path(basepath).expanduser() if basepath else storage_path
    if not folder.is_absolute():
        folder = storage_path
    folder = folder.expanduser()
    if not folder.is_absolute():
        raise ConfigurationError(
            f"Prefect's local storage path `{folder}` depends on the working folder",
            hint=f"set PREFECT_RESULTS_LOCAL_STORAGE_PATH or PREFECT_HOME to an absolute path; or {WAY_OUT}",
        )
    return Location(str(folder / FOLDER))


def refused(block: Any, setting: str, why: str = "which coldframe has no counterpart of") -> UnsupportedError:
    """The error for a setting of a block that cannot be carried over."""
    return UnsupportedError(f"the result storage {type(block).__name__} has `{setting}`, {why}", hint=WAY_OUT)


def url_of(block: Any, root: str, setting: str, folder: str | None) -> str:
    """The URL of the frames' folder inside `folder` of a bucket, whose URL is `root`."""
    parts = [part for part in (folder or "").split("/") if part not in ("", ".")]
    if ".." in parts:
        raise refused(block, setting, "with `..` in it, which no URL of a store can hold")
    return "/".join([root, *(quote(part, safe="=+,@!$&'()*;:~") for part in parts), FOLDER])


def bucket_of(block: Any, setting: str, name: str, pattern: str = r"[A-Za-z0-9][A-Za-z0-9._-]*") -> str:
    """The name of a bucket, if it is one that a URL can hold."""
    if not re.fullmatch(pattern, name):
        raise refused(block, setting, "which is no plain name of a bucket")
    return name


def check_endpoint(block: Any, setting: str, endpoint: str) -> None:
    """Refuses an endpoint that is no plain address of a server."""
    parts = urlsplit(endpoint)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise refused(block, setting, "which is no address of a server such as https://host:port")
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise refused(block, setting, "which holds more than the address of a server")


def secret(value: Any) -> Any:
    """What a secret of pydantic or Prefect holds; anything else as it is."""
    reveal = getattr(value, "get_secret_value", None)
    return value if reveal is None else reveal()


# S3. How boto would ask is asked of boto: regions, endpoints and credentials come from many files and variables.

_CLIENTS: Remembered[tuple[Any, Any]] = Remembered()
"""Sessions and clients of boto, by what they are made from: each assumed role is a request."""
_FOUND_HERE_TOO = frozenset({"env", "iam-role", "container-role"})
"""Where credentials may come from that coldframe finds by itself, and renews."""
_IGNORED_CONFIG = frozenset(
    {
        "connect_timeout", "read_timeout", "retries", "max_pool_connections", "tcp_keepalive", "user_agent",
        "user_agent_extra", "user_agent_appid", "parameter_validation", "region_name", "s3", "signature_version",
        "use_dualstack_endpoint", "use_fips_endpoint", "ignore_configured_endpoint_urls", "defaults_mode",
        "inject_host_prefix", "request_checksum_calculation", "response_checksum_validation",
        "disable_request_compression", "request_min_compression_size_bytes", "client_context_params",
    }
)  # fmt: skip
"""What changes no answer, or is read from the client."""
_AMAZON = (".amazonaws.com", ".amazonaws.com.cn")


def _s3_location(block: Any) -> Location:
    credentials = block.credentials
    parameters = credentials.aws_client_parameters
    if parameters.verify_cert_path is not None:
        raise refused(block, "verify_cert_path")
    if not isinstance(parameters.verify, bool) and parameters.verify is not None:
        raise refused(block, "verify", "which names a bundle of certificates, and coldframe takes none")
    for name, value in (parameters.config or {}).items():
        if name not in _IGNORED_CONFIG and value not in (None, {}):
            raise refused(block, f"config[{name!r}]")
    if parameters.endpoint_url is not None:
        # Before boto sees it, whose errors repeat it.
        check_endpoint(block, "endpoint_url", parameters.endpoint_url)
    bucket = bucket_of(block, "bucket_name", block.bucket_name)
    session, client = _client(block)
    options = _s3_where(block, bucket, client, session, parameters.endpoint_url is not None)
    if parameters.verify is False:
        options["allow_invalid_certificates"] = True
    signature = client.meta.config.signature_version
    if _unsigned(signature):
        options["skip_signature"] = True
    elif signature not in (None, "s3v4", "v4"):
        raise refused(block, "config['signature_version']", "and coldframe signs by version 4 alone")
    else:
        options.update(_s3_keys(session))
    return Location(url_of(block, f"s3://{bucket}", "bucket_folder", block.bucket_folder), options)


def _client(block: Any) -> tuple[Any, Any]:
    credentials = block.credentials

    def make() -> tuple[Any, Any]:
        try:
            session = credentials.get_boto3_session()
            given = credentials.aws_client_parameters.get_params_override()
            return session, session.client("s3", **given)
        # Whatever boto fails with: a profile that is not here, a role that is refused.
        except Exception as error:
            raise ConfigurationError(
                f"boto could not make a client from the credentials of {type(block).__name__}: {type(error).__name__}",
                hint=f"mend the block's credentials, or {WAY_OUT}",
            ) from error

    return _CLIENTS.get(fingerprint(credentials.model_dump(), surroundings()), make)


def _unsigned(signature: Any) -> bool:
    return signature == "unsigned" or type(signature).__name__ == "UNSIGNED"


def _s3_keys(session: Any) -> Options:
    try:
        found = session.get_credentials()
        frozen = None if found is None else found.get_frozen_credentials()
    except Exception as error:
        raise ConfigurationError(
            f"boto could not get the credentials of the result storage: {type(error).__name__}",
            hint=f"log in again, or {WAY_OUT}",
        ) from error
    if frozen is None or found.method in _FOUND_HERE_TOO:
        return {}
    if found.method == "assume-role-with-web-identity" and os.environ.get("AWS_WEB_IDENTITY_TOKEN_FILE"):
        return {}
    keys: Options = {"access_key_id": frozen.access_key, "secret_access_key": frozen.secret_key}
    if frozen.token:
        keys["session_token"] = frozen.token
    return keys


def _s3_where(block: Any, bucket: str, client: Any, session: Any, given: bool) -> Options:
    """Region, endpoint and style, as botocore chooses them.

    Its rule: an endpoint that somebody named has the bucket in the path, Amazon's own in the host. The configured style
    overrides both, but never puts a bucket into the host whose name cannot stand there.
    """
    config, endpoint = client.meta.config, client.meta.endpoint_url.rstrip("/")
    check_endpoint(block, "endpoint_url", endpoint)
    parts = urlsplit(endpoint)
    host = parts.hostname or ""
    own = given or not host.endswith(_AMAZON)
    style = (config.s3 or {}).get("addressing_style")
    # A certificate for *.host does not cover a name with dots.
    label = (
        r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]" if "." not in bucket or parts.scheme == "https" else r"[a-z0-9][a-z0-9.-]*"
    )
    fits = re.fullmatch(label, bucket) is not None and not _is_ip(host)
    virtual = fits and (style == "virtual" or (not own and style != "path" and "." not in bucket))
    options: Options = {"virtual_hosted_style_request": virtual}
    if not own and session.region_name is None and host == "s3.amazonaws.com":
        # Nobody named a region: the environment of coldframe may.
        return options
    if client.meta.region_name and client.meta.region_name != "aws-global":
        options["region"] = client.meta.region_name
    if virtual:
        endpoint = f"{parts.scheme}://{bucket}.{parts.netloc}{parts.path}"
    options["endpoint"] = endpoint
    if parts.scheme == "http":
        options["allow_http"] = True
    return options


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _gcs_location(block: Any) -> Location:
    credentials = block.gcp_credentials
    options: Options = {}
    if credentials.service_account_info is not None:
        options["service_account_key"] = json.dumps(secret(credentials.service_account_info))
    elif credentials.service_account_file is not None:
        options["service_account"] = str(Path(credentials.service_account_file).expanduser().absolute())
    options.update(gcs_emulator(block))
    bucket = bucket_of(block, "bucket", block.bucket)
    return Location(url_of(block, f"gs://{bucket}", "bucket_folder", block.bucket_folder), options)


def gcs_emulator(block: Any) -> Options:
    """The server that Google's library would ask instead of Google's."""
    host = os.environ.get("STORAGE_EMULATOR_HOST")
    if not host:
        return {}
    endpoint = (host if "://" in host else f"http://{host}").rstrip("/")
    check_endpoint(block, "STORAGE_EMULATOR_HOST", endpoint)
    return {"base_url": endpoint, "allow_http": endpoint.startswith("http://")}


def _azure_location(block: Any) -> Location:
    credentials = block.credentials
    text = secret(credentials.connection_string)
    if text is not None:
        server, options = connection(block, text)
    else:
        server, options = azure_server(block, "account_url", credentials.account_url, None)
        if credentials.client_id is not None:
            options["client_id"], options["tenant_id"] = credentials.client_id, credentials.tenant_id
            options["client_secret"] = secret(credentials.client_secret)
    container = bucket_of(block, "container_name", block.container_name, r"[a-z0-9][a-z0-9-]*")
    return azure_location(block, server, options, container, "base_folder", block.base_folder)


def azure_location(
    block: Any, server: str | None, options: Options, container: str, setting: str, folder: str | None
) -> Location:
    """A folder in a container; the URL names the account where it is one of Azure's own servers."""
    account = options.get("account_name")
    if server is None and "use_emulator" not in options:
        options = {name: value for name, value in options.items() if name != "account_name"}
        return Location(url_of(block, f"abfss://{container}@{account}.dfs.core.windows.net", setting, folder), options)
    if server is not None:
        options = {**options, "endpoint": server, "allow_http": server.startswith("http://")}
    return Location(url_of(block, f"az://{container}", setting, folder), options)


def azure_server(block: Any, setting: str, address: str, account: str | None) -> tuple[str | None, Options]:
    """The server and account that an address of a blob service means; no server if it is Azure's own."""
    address, _, token = address.partition("?")
    check_endpoint(block, setting, address)
    parts = urlsplit(address)
    host = parts.hostname or ""
    label = host.partition(".")[0]
    options: Options = {"sas_token": token} if token else {}
    if parts.scheme == "https" and host == f"{label}.blob.core.windows.net" and parts.path in ("", "/"):
        return None, {**options, "account_name": label}
    in_path = parts.path.strip("/").partition("/")[0]
    options["account_name"] = account or in_path or label
    return address.rstrip("/"), options


def connection(block: Any, text: str) -> tuple[str | None, Options]:
    """The server and options that an Azure connection string means."""
    said: dict[str, str] = {}
    for entry in filter(None, (part.strip() for part in text.split(";"))):
        name, equals, value = entry.partition("=")
        if not equals:
            raise refused(block, "connection_string", "which is none: NAME=VALUE;… is expected")
        said[name.strip().lower()] = value.strip()
    if said.get("usedevelopmentstorage", "").lower() == "true":
        if "developmentstorageproxyuri" in said:
            raise refused(
                block, "connection_string", "whose DevelopmentStorageProxyUri coldframe has no counterpart of"
            )
        return None, {"use_emulator": True}
    account = said.get("accountname")
    if "blobendpoint" in said:
        server, options = azure_server(block, "connection_string", said["blobendpoint"], account)
    elif account:
        suffix, scheme = said.get("endpointsuffix", "core.windows.net"), said.get("defaultendpointsprotocol", "https")
        server, options = azure_server(block, "connection_string", f"{scheme}://{account}.blob.{suffix}", account)
    else:
        raise refused(block, "connection_string", "which names neither AccountName nor BlobEndpoint")
    if "accountkey" in said:
        options.pop("sas_token", None)
        options["account_key"] = said["accountkey"]
    elif "sharedaccesssignature" in said:
        options["sas_token"] = said["sharedaccesssignature"].removeprefix("?")
    return server, options


def _remote_location(block: Any) -> Location:
    from coldframe.prefect import fsspec_settings

    return fsspec_settings.location_of(block)


_KNOWN: Mapping[tuple[str, str], str] = {
    ("prefect", "LocalFileSystem"): "local",
    ("prefect", "RemoteFileSystem"): "remote",
    ("prefect_aws", "S3Bucket"): "s3",
    ("prefect_gcp", "GcsBucket"): "gcs",
    ("prefect_azure", "AzureBlobStorageContainer"): "azure",
}
_LOCATIONS: Mapping[str, Callable[[Any], Location]] = {
    "s3": _s3_location,
    "gcs": _gcs_location,
    "azure": _azure_location,
    "remote": _remote_location,
}
