"""What blocks mean: each setting has its option, or is refused by its name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from prefect.filesystems import LocalFileSystem, RemoteFileSystem
from prefect_aws import AwsCredentials, MinIOCredentials, S3Bucket
from prefect_aws.client_parameters import AwsClientParameters
from prefect_azure import AzureBlobStorageCredentials
from prefect_azure.blob_storage import AzureBlobStorageContainer

from coldframe.errors import ConfigurationError, UnsupportedError
from coldframe.prefect import blocks
from coldframe.prefect.remembered import Remembered

HOME = Path("/prefect/storage")
SECRET = "PLANTED4711"
KEYS = {"access_key_id": "KEY", "secret_access_key": SECRET}
AMAZON = {
    "region": "eu-central-1",
    "endpoint": "https://acme.s3.eu-central-1.amazonaws.com",
    "virtual_hosted_style_request": True,
}


@pytest.fixture(autouse=True)
def no_settings_of_this_machine(clean_environment: None) -> None:
    """Nothing but the block says anything."""


def place(block: Any) -> tuple[str, dict[str, Any]]:
    found = blocks.location_of(block, HOME)
    assert SECRET not in repr(found)
    return found.url, found.options


def aws(bucket: str = "acme", folder: str = "", parameters: dict[str, Any] | None = None, **fields: Any) -> S3Bucket:
    given = {"aws_access_key_id": "KEY", "aws_secret_access_key": SECRET, "region_name": "eu-central-1", **fields}
    credentials = AwsCredentials(aws_client_parameters=AwsClientParameters(**(parameters or {})), **given)
    return S3Bucket(bucket_name=bucket, bucket_folder=folder, credentials=credentials)


def minio(**parameters: Any) -> S3Bucket:
    client = AwsClientParameters(**parameters)
    credentials = MinIOCredentials(minio_root_user="KEY", minio_root_password=SECRET, aws_client_parameters=client)
    return S3Bucket(bucket_name="acme", credentials=credentials)


def azure(container: str = "results", folder: str | None = None, **fields: Any) -> AzureBlobStorageContainer:
    credentials = AzureBlobStorageCredentials(**fields)
    return AzureBlobStorageContainer(container_name=container, base_folder=folder, credentials=credentials)


def remote(basepath: str, **settings: Any) -> RemoteFileSystem:
    return RemoteFileSystem(basepath=basepath, settings=settings)


@pytest.mark.parametrize(
    ("basepath", "url"),
    [
        ("/data/results", "/data/results/coldframe"),
        ("~/results", "/home/ada/results/coldframe"),
        (None, "/prefect/storage/coldframe"),
        ("results", "/prefect/storage/coldframe"),
    ],
)
def test_local(basepath: str | None, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    assert place(LocalFileSystem(basepath=basepath)) == (url, {})


def test_subclasses_are_known() -> None:
    class Ours(LocalFileSystem):
        _block_type_name = "Ours"

    assert place(Ours(basepath="/data")) == ("/data/coldframe", {})


LOCALHOST = {"endpoint": "http://localhost:9000", "allow_http": True, "virtual_hosted_style_request": False}
IN_HOST = {"endpoint": "http://acme.localhost:9000", "allow_http": True, "virtual_hosted_style_request": True}
REGION = {"region": "eu-central-1"}


@pytest.mark.parametrize(
    ("block", "url", "options"),
    [
        (aws(), "s3://acme/coldframe", {**AMAZON, **KEYS}),
        (aws(aws_session_token="TOKEN"), "s3://acme/coldframe", {**AMAZON, **KEYS, "session_token": "TOKEN"}),
        (aws(folder="/a//b c/"), "s3://acme/a/b%20c/coldframe", {**AMAZON, **KEYS}),
        (aws(folder="50%/ü?#"), "s3://acme/50%25/%C3%BC%3F%23/coldframe", {**AMAZON, **KEYS}),
        (
            aws(parameters={"verify": False}),
            "s3://acme/coldframe",
            {**AMAZON, **KEYS, "allow_invalid_certificates": True},
        ),
        (aws(parameters={"config": {"retries": {"max_attempts": 3}}}), "s3://acme/coldframe", {**AMAZON, **KEYS}),
        (
            aws(parameters={"config": {"signature_version": "unsigned"}}),
            "s3://acme/coldframe",
            {**AMAZON, "skip_signature": True},
        ),
        (
            aws(parameters={"config": {"s3": {"addressing_style": "path"}}}),
            "s3://acme/coldframe",
            {
                **AMAZON,
                **KEYS,
                "endpoint": "https://s3.eu-central-1.amazonaws.com",
                "virtual_hosted_style_request": False,
            },
        ),
        (
            aws("with.dots"),
            "s3://with.dots/coldframe",
            {
                **AMAZON,
                **KEYS,
                "endpoint": "https://s3.eu-central-1.amazonaws.com",
                "virtual_hosted_style_request": False,
            },
        ),
        (
            aws(region_name="cn-north-1"),
            "s3://acme/coldframe",
            {**AMAZON, **KEYS, "region": "cn-north-1", "endpoint": "https://acme.s3.cn-north-1.amazonaws.com.cn"},
        ),
        # Nobody named a region: the environment may.
        (aws(region_name=None), "s3://acme/coldframe", {**KEYS, "virtual_hosted_style_request": True}),
        (
            aws(parameters={"use_ssl": False}),
            "s3://acme/coldframe",
            {**AMAZON, **KEYS, "endpoint": "http://acme.s3.eu-central-1.amazonaws.com", "allow_http": True},
        ),
        (
            aws(parameters={"endpoint_url": "http://localhost:9000/"}),
            "s3://acme/coldframe",
            {**REGION, **LOCALHOST, **KEYS},
        ),
        (
            aws(
                parameters={"endpoint_url": "http://localhost:9000", "config": {"s3": {"addressing_style": "virtual"}}}
            ),
            "s3://acme/coldframe",
            {**REGION, **IN_HOST, **KEYS},
        ),
        (
            aws(
                parameters={"endpoint_url": "http://127.0.0.1:9000", "config": {"s3": {"addressing_style": "virtual"}}}
            ),
            "s3://acme/coldframe",
            {**REGION, **LOCALHOST, **KEYS, "endpoint": "http://127.0.0.1:9000"},
        ),
        (
            minio(endpoint_url="http://localhost:9000"),
            "s3://acme/coldframe",
            {"region": "us-east-1", **LOCALHOST, **KEYS},
        ),
    ],
)
def test_s3(block: S3Bucket, url: str, options: dict[str, Any]) -> None:
    assert place(block) == (url, options)


@pytest.mark.parametrize(
    "style", [{}, {"config": {"s3": {"addressing_style": "path"}}}, {"config": {"s3": {"addressing_style": "virtual"}}}]
)
@pytest.mark.parametrize("endpoint", [None, "http://localhost:9000", "http://127.0.0.1:9000", "https://minio.acme.com"])
def test_style_is_what_boto_itself_asks_by(endpoint: str | None, style: dict[str, Any]) -> None:
    for bucket in ("acme", "with.dots", "UPPER", "under_score"):
        block = aws(bucket, parameters={"endpoint_url": endpoint, **style})
        url = block.credentials.get_s3_client().generate_presigned_url("head_bucket", Params={"Bucket": bucket})
        # A signed URL has the global name of Amazon's servers, which lead on to the region's.
        asked = url.partition("?")[0].rstrip("/").replace("s3.amazonaws", "s3.eu-central-1.amazonaws")
        if asked == "http://with.dots.127.0.0.1:9000":
            # No name of a host: boto would ask nobody.
            continue
        _, options = place(block)
        in_host = options["virtual_hosted_style_request"]
        assert asked == (options["endpoint"] if in_host else f"{options['endpoint']}/{bucket}")


def test_credentials_of_boto(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    block = S3Bucket(bucket_name="acme", credentials=AwsCredentials(profile_name="work"))
    with pytest.raises(ConfigurationError, match="ProfileNotFound"):
        place(block)
    (tmp_path / "credentials").write_text(f"[work]\naws_access_key_id = KEY\naws_secret_access_key = {SECRET}\n")
    (tmp_path / "config").write_text("[profile work]\nregion = eu-west-1\nendpoint_url = http://localhost:9000\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    assert place(block) == ("s3://acme/coldframe", {"region": "eu-west-1", **LOCALHOST, **KEYS})
    # What the environment says, coldframe finds there by itself.
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "KEY")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    plain = S3Bucket(bucket_name="acme")
    assert place(plain) == ("s3://acme/coldframe", {"virtual_hosted_style_request": True})


@pytest.mark.parametrize(
    ("text", "url", "options"),
    [
        (
            f"DefaultEndpointsProtocol=https;AccountName=acme;AccountKey={SECRET}==;EndpointSuffix=core.windows.net",
            "abfss://results@acme.dfs.core.windows.net/coldframe",
            {"account_key": f"{SECRET}=="},
        ),
        (
            f"accountname=acme;accountkey={SECRET};EndpointSuffix=core.chinacloudapi.cn;",
            "az://results/coldframe",
            {
                "account_name": "acme",
                "account_key": SECRET,
                "endpoint": "https://acme.blob.core.chinacloudapi.cn",
                "allow_http": False,
            },
        ),
        (
            f"BlobEndpoint=https://acme.blob.core.windows.net/;SharedAccessSignature=?sv=2024&sig={SECRET}",
            "abfss://results@acme.dfs.core.windows.net/coldframe",
            {"sas_token": f"sv=2024&sig={SECRET}"},
        ),
        (
            f"BlobEndpoint=http://127.0.0.1:10000/devstoreaccount1;AccountKey={SECRET}",
            "az://results/coldframe",
            {
                "account_name": "devstoreaccount1",
                "account_key": SECRET,
                "endpoint": "http://127.0.0.1:10000/devstoreaccount1",
                "allow_http": True,
            },
        ),
        ("UseDevelopmentStorage=true", "az://results/coldframe", {"use_emulator": True}),
    ],
)
def test_azure_connection_strings(text: str, url: str, options: dict[str, Any]) -> None:
    assert place(azure(connection_string=text)) == (url, options)


def test_azure_accounts() -> None:
    own = "https://acme.blob.core.windows.net"
    principal = {"client_id": "c", "tenant_id": "t", "client_secret": SECRET}
    assert place(azure(folder="a/b", account_url=own)) == (
        "abfss://results@acme.dfs.core.windows.net/a/b/coldframe",
        {},
    )
    assert place(azure(account_url=f"{own}/", **principal))[1] == principal
    assert place(azure(account_url=f"{own}?sig={SECRET}"))[1] == {"sas_token": f"sig={SECRET}"}
    url, options = place(azure(account_url="https://acme.privatelink.example"))
    assert (url, options["endpoint"]) == ("az://results/coldframe", "https://acme.privatelink.example")


@pytest.mark.parametrize(
    ("block", "url", "options"),
    [
        (
            remote("s3://acme/a b/", key="KEY", secret=SECRET, token="TOKEN", use_ssl=True),
            "s3://acme/a%20b/coldframe",
            {**KEYS, "session_token": "TOKEN", "virtual_hosted_style_request": True},
        ),
        (
            remote("s3://acme", key="KEY", secret=SECRET, client_kwargs={"endpoint_url": "http://localhost:9000"}),
            "s3://acme/coldframe",
            {**LOCALHOST, **KEYS},
        ),
        (
            remote(
                "s3a://acme",
                endpoint_url="http://localhost:9000",
                anon=True,
                config_kwargs={"s3": {"addressing_style": "virtual"}},
            ),
            "s3://acme/coldframe",
            {**IN_HOST, "skip_signature": True},
        ),
        (remote("gs://acme/x", project="p"), "gs://acme/x/coldframe", {}),
        (remote("gcs://acme", token="/key.json"), "gs://acme/coldframe", {"service_account": "/key.json"}),
        (
            remote("gs://acme", token={"a": SECRET}),
            "gs://acme/coldframe",
            {"service_account_key": json.dumps({"a": SECRET})},
        ),
        (
            remote("az://results/x", account_name="acme", account_key=SECRET),
            "abfss://results@acme.dfs.core.windows.net/x/coldframe",
            {"account_key": SECRET},
        ),
        (
            remote("abfss://results@acme.dfs.core.windows.net/x", sas_token=SECRET),
            "abfss://results@acme.dfs.core.windows.net/x/coldframe",
            {"sas_token": SECRET},
        ),
        (
            remote("az://results", connection_string="UseDevelopmentStorage=true"),
            "az://results/coldframe",
            {"use_emulator": True},
        ),
    ],
)
def test_remote_file_systems(block: RemoteFileSystem, url: str, options: dict[str, Any]) -> None:
    assert place(block) == (url, options)


@pytest.mark.parametrize(
    ("block", "named"),
    [
        (aws(parameters={"verify_cert_path": __file__}), "verify_cert_path"),
        (aws(parameters={"config": {"client_cert": SECRET}}), "client_cert"),
        (aws(parameters={"config": {"proxies": {"https": SECRET}}}), "proxies"),
        (aws(parameters={"config": {"signature_version": "s3"}}), "signature_version"),
        (aws(parameters={"endpoint_url": f"http://user:{SECRET}@localhost"}), "endpoint_url"),
        (aws("arn:aws:s3:us-west-2:123456789012:accesspoint/x"), "bucket_name"),
        (aws(folder="a/../b"), "bucket_folder"),
        (azure("$web", connection_string="UseDevelopmentStorage=true"), "container_name"),
        (azure(connection_string=SECRET), "connection_string"),
        (azure(connection_string=f"AccountKey={SECRET}"), "connection_string"),
        (azure(connection_string="UseDevelopmentStorage=true;DevelopmentStorageProxyUri=x"), "connection_string"),
        (remote(f"smb://user:{SECRET}@host/share"), "smb://"),
        (remote("memory://x"), "memory://"),
        (remote(f"s3://user:{SECRET}@acme/x"), "basepath"),
        (remote("s3://acme", profile="work"), "profile"),
        (remote("s3://acme", client_kwargs={"verify": "/ca.pem"}), "verify"),
        (remote("s3://acme", client_kwargs={"aws_secret": SECRET}), "aws_secret"),
        (remote("s3://acme", config_kwargs={"proxies": SECRET}), "proxies"),
        (remote("gs://acme", token=SECRET), "token"),
        (remote("az://results", account_key=SECRET), "account_name"),
        (remote("az://results", account_name="acme", credential=SECRET), "credential"),
    ],
)
def test_what_cannot_be_carried_over_is_named(block: Any, named: str) -> None:
    with pytest.raises(UnsupportedError) as raised:
        place(block)
    assert named in raised.value.message
    assert type(block).__name__ in raised.value.message or "coldframe cannot put frames" in raised.value.message
    assert "ColdframeSerializer(store=" in str(raised.value.hint)
    assert SECRET not in str(raised.value)


def test_remembered_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("coldframe.prefect.remembered.monotonic", lambda: now[0])
    kept: Remembered[object] = Remembered(seconds=300, most=2)
    first = kept.get(b"a", object)
    now[0] = 299
    assert kept.get(b"a", object) is first
    now[0] = 300
    second = kept.get(b"a", object)
    assert second is not first
    kept.get(b"b", object)
    assert kept.get(b"a", object) is second
    kept.get(b"c", object)
    assert kept.get(b"a", object) is second
    with pytest.raises(ZeroDivisionError):
        kept.get(b"d", lambda: 1 / 0)
    assert kept.get(b"d", object) is kept.get(b"d", object)
