"""Frames go through stores that blocks were turned into, to real servers, and are read by the saved block."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import os
import uuid
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from prefect.filesystems import LocalFileSystem, RemoteFileSystem
from prefect_aws import AwsCredentials, MinIOCredentials, S3Bucket
from prefect_aws.client_parameters import AwsClientParameters
from prefect_azure import AzureBlobStorageCredentials
from prefect_azure.blob_storage import AzureBlobStorageContainer
from prefect_gcp import GcpCredentials
from prefect_gcp.cloud_storage import GcsBucket
from support import output, table

import coldframe
from coldframe.errors import ColdframeError
from coldframe.prefect import blocks, storage
from coldframe.prefect.storage import landing, store_of

ACCOUNT = "devstoreaccount1"
# The emulator of Azure Blob Storage publishes it in its documentation.
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


@pytest.fixture(autouse=True)
def no_settings_of_this_machine(clean_environment: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing but the block says anything; remote data is not kept on this disk."""
    monkeypatch.setenv("COLDFRAME_CACHE", "off")
    # A store that cannot be reached is told soon.
    monkeypatch.setenv("COLDFRAME_MAX_RETRIES", "0")


def server(name: str) -> str:
    url = os.environ.get(name)
    if not url:
        pytest.skip(f"{name} is not set")
    return url


def folder() -> str:
    return f"landing/{uuid.uuid4().hex}/a b"


def s3_bucket(credentials: Any = None, **fields: Any) -> S3Bucket:
    parameters = AwsClientParameters(endpoint_url=server("COLDFRAME_TEST_S3"))
    if credentials is None:
        given = {"aws_access_key_id": "test", "aws_secret_access_key": "testtesttest", "region_name": "us-east-1"}
        credentials = AwsCredentials(**{**given, **fields})
    credentials.aws_client_parameters = parameters
    return S3Bucket(bucket_name="coldframe", bucket_folder=folder(), credentials=credentials)


def azure_container(text: str) -> AzureBlobStorageContainer:
    credentials = AzureBlobStorageCredentials(connection_string=text)
    return AzureBlobStorageContainer(container_name="coldframe", base_folder=folder(), credentials=credentials)


def round_trip(block: Any) -> coldframe.ResultReference:
    """A put, and a read by what a record holds; the file lies where the block's own records lie."""
    found = landing(None, block)
    reference = coldframe.ResultReference.from_json(found.store.put("flow/trips", table()).compact().json())
    again = store_of(reference, None, block, None)
    assert again.url == reference.storage == found.store.url
    assert again.get(reference).equals(table())
    return reference


def test_s3() -> None:
    block = s3_bucket()
    reference = round_trip(block)
    kept = block.credentials.get_s3_client().list_objects_v2(Bucket="coldframe", Prefix=block.bucket_folder)
    names = [entry["Key"] for entry in kept["Contents"]]
    assert any(name.startswith(f"{block.bucket_folder}/coldframe/data/flow/trips/") for name in names), names
    block.write_path("record", b"{}", _sync=True)
    assert reference.storage is not None and reference.storage.endswith("/a%20b/coldframe")


def test_minio_credentials() -> None:
    round_trip(s3_bucket(MinIOCredentials(minio_root_user="test", minio_root_password="testtesttest")))


def test_keys_from_a_profile_of_aws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "credentials"
    path.write_text("[work]\naws_access_key_id = test\naws_secret_access_key = one\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(path))
    block = s3_bucket(AwsCredentials(profile_name="work", region_name="us-east-1"))
    round_trip(block)
    assert blocks.location_of(block, tmp_path).options["secret_access_key"] == "one"
    before = landing(None, block).store
    assert landing(None, block).store is before
    # Credentials that change mean another store, once the session is old.
    path.write_text("[work]\naws_access_key_id = test\naws_secret_access_key = two\n")
    assert landing(None, block).store is before
    blocks._CLIENTS.clear()
    assert landing(None, block).store is not before
    round_trip(block)


def test_an_assumed_role(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", server("COLDFRAME_TEST_S3"))
    block = s3_bucket(assume_role_arn="arn:aws:iam::123456789012:role/frames")
    first = blocks.location_of(block, tmp_path).options
    assert first["session_token"] and first["access_key_id"] != "test"
    assert blocks.location_of(block, tmp_path).options == first
    round_trip(block)
    blocks._CLIENTS.clear()
    assert blocks.location_of(block, tmp_path).options["session_token"] != first["session_token"]


def test_remote_file_system() -> None:
    settings = {"key": "test", "secret": "testtesttest", "client_kwargs": {"endpoint_url": server("COLDFRAME_TEST_S3")}}
    round_trip(RemoteFileSystem(basepath=f"s3://coldframe/{folder()}", settings=settings))


def test_azure_by_account_key() -> None:
    endpoint = f"{server('COLDFRAME_TEST_AZURE')}/{ACCOUNT}"
    text = f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={KEY};BlobEndpoint={endpoint};"
    round_trip(azure_container(text))
    # This server checks signatures: another key is refused, and is in no text.
    wrong = base64.b64encode(b"PLANTED4711" * 6).decode()
    with pytest.raises(ColdframeError) as raised:
        round_trip(azure_container(text.replace(KEY, wrong)))
    assert wrong not in str(raised.value)


def test_azure_by_shared_access_signature() -> None:
    said = {
        "sv": "2021-12-02",
        "ss": "b",
        "srt": "sco",
        "sp": "rwdlac",
        "se": "2099-01-01T00:00:00Z",
        "spr": "https,http",
    }
    signed = "\n".join(
        [ACCOUNT, said["sp"], said["ss"], said["srt"], "", said["se"], "", said["spr"], said["sv"], "", ""]
    )
    digest = hmac.new(base64.b64decode(KEY), signed.encode(), hashlib.sha256).digest()
    token = urlencode({**said, "sig": base64.b64encode(digest).decode()})
    endpoint = f"{server('COLDFRAME_TEST_AZURE')}/{ACCOUNT}"
    round_trip(azure_container(f"BlobEndpoint={endpoint};SharedAccessSignature={token}"))


def test_azure_development_storage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURITE_BLOB_STORAGE_URL", server("COLDFRAME_TEST_AZURE"))
    round_trip(azure_container("UseDevelopmentStorage=true"))


@pytest.fixture(scope="module")
def service_account() -> dict[str, str]:
    """A service account, as Google gives one, of nobody."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    kind, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return {
        "type": "service_account",
        "project_id": "acme",
        "private_key_id": "1",
        "private_key": key.private_bytes(serialization.Encoding.PEM, kind, plain).decode(),
        "client_email": "frames@acme.iam.gserviceaccount.com",
        "client_id": "1",
        "token_uri": "https://oauth2.googleapis.com/token",
    }


@pytest.mark.parametrize("given", ["service_account_info", "service_account_file"])
def test_gcs_path_of_the_client_only(
    given: str, service_account: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The server is one of S3 behind a proxy that turns headers round: it checks neither tokens nor signatures.
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", server("COLDFRAME_TEST_GCS"))
    path = tmp_path / "account.json"
    path.write_text(json.dumps(service_account))
    value: Any = service_account if given == "service_account_info" else path
    block = GcsBucket(bucket="coldframe", bucket_folder=folder(), gcp_credentials=GcpCredentials(**{given: value}))
    place = blocks.location_of(block, tmp_path)
    assert ("service_account_key" in place.options) is (given == "service_account_info")
    assert service_account["private_key"][40:80] not in repr(place)
    round_trip(block)


@pytest.fixture
def saved(prefect_server: None) -> S3Bucket:
    """A block that a real server keeps."""
    name = f"landing-{uuid.uuid4().hex}"
    s3_bucket().save(name, _sync=True)
    found = S3Bucket.load(name, _sync=True)
    assert isinstance(found, S3Bucket)
    return found


def forget() -> None:
    """What another process would not have."""
    for kept in (storage._stores, storage._saved_blocks, blocks._CLIENTS):
        kept.clear()


@pytest.mark.parametrize("in_loop", [False, True])
def test_a_reader_without_a_run_finds_the_saved_block(saved: S3Bucket, in_loop: bool) -> None:
    found = landing(None, saved)
    assert found.block == str(saved._block_document_id)
    reference = coldframe.ResultReference.from_json(found.store.put("flow/trips", table()).compact().json())
    forget()

    def read() -> Any:
        return store_of(reference, None, None, found.block).get(reference)

    async def inside() -> Any:
        # As for the result of a flow: on a thread whose event loop runs.
        return read()

    assert (asyncio.run(inside()) if in_loop else read()).equals(table())
    forget()
    # Without the block there are no credentials here, and the error says what is refused.
    with pytest.raises(ColdframeError) as raised:
        store_of(reference, None, None, None).get(reference)
    assert "testtesttest" not in str(raised.value)


def test_another_process_finds_the_saved_block(saved: S3Bucket, prefect_home: Path, tmp_path: Path) -> None:
    from prefect.settings import get_current_settings

    found = landing(None, saved)
    reference = found.store.put("flow/trips", table()).compact().json()
    # Prefect and its collections warn of themselves when all of them are imported.
    code = """
        import warnings
        warnings.simplefilter("ignore")
        import sys
        import coldframe
        from coldframe.prefect.storage import store_of
        reference = coldframe.ResultReference.from_json(sys.argv[1])
        print(store_of(reference, None, None, sys.argv[2]).get(reference).num_rows)
    """
    api = get_current_settings().api.url
    assert api is not None
    printed = output(code, reference, str(found.block), PREFECT_API_URL=api, PREFECT_HOME=str(tmp_path))
    assert printed.split()[-1] == "100"


def test_a_block_that_is_gone_leaves_the_environment(saved: S3Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    found = landing(None, saved)
    reference = coldframe.ResultReference.from_json(found.store.put("flow/trips", table()).compact().json())
    forget()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testtesttest")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", server("COLDFRAME_TEST_S3"))
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    for block in (str(uuid.uuid4()), "no id", None):
        assert store_of(reference, None, None, block).get(reference).equals(table())


def test_the_server_is_not_asked_for_what_lies_in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def asked(block: str) -> Any:
        raise AssertionError(f"the server was asked for {block}")

    monkeypatch.setattr(storage, "_saved_block", asked)
    found = landing(None, LocalFileSystem(basepath=str(tmp_path)))
    reference = found.store.put("flow/trips", table()).compact()
    assert store_of(reference, None, None, str(uuid.uuid4())).get(reference).equals(table())
