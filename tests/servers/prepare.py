"""Waits for the test servers, and makes the bucket and the container `coldframe`.

    prepare.py S3_PORT AZURE_PORT
"""

import base64
import hashlib
import hmac
import sys
import time
import urllib.error
import urllib.request
from email.utils import formatdate

# The account that the emulator of Azure Blob Storage publishes in its documentation.
ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


def bucket(port):
    return urllib.request.Request(f"http://127.0.0.1:{port}/coldframe", method="PUT")


def container(port):
    headers = {"x-ms-date": formatdate(usegmt=True), "x-ms-version": "2021-12-02"}
    named = "".join(f"{name}:{value}\n" for name, value in sorted(headers.items()))
    signed = "PUT" + "\n" * 12 + named + f"/{ACCOUNT}/{ACCOUNT}/coldframe\nrestype:container"
    digest = hmac.new(base64.b64decode(KEY), signed.encode(), hashlib.sha256).digest()
    headers["Authorization"] = f"SharedKey {ACCOUNT}:{base64.b64encode(digest).decode()}"
    url = f"http://127.0.0.1:{port}/{ACCOUNT}/coldframe?restype=container"
    return urllib.request.Request(url, method="PUT", headers=headers)


def made(request):
    """Sends the request until the server is up, for at most a minute."""
    for _ in range(600):
        try:
            with urllib.request.urlopen(request(), timeout=10):
                return
        except urllib.error.HTTPError as error:
            if error.code not in (502, 503):
                sys.exit(f"{error.url}: {error} {error.read().decode(errors='replace')}")
        except OSError:
            pass
        time.sleep(0.1)
    sys.exit(f"nothing answers at {request().full_url}")


if __name__ == "__main__":
    s3_port, azure_port = sys.argv[1:]
    made(lambda: bucket(s3_port))
    made(lambda: container(azure_port))
