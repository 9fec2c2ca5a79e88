"""Reads one Parquet object of an S3 server the way pyarrow and polars do, and prints the seconds that each read took.

    remote.py LIBRARY ENDPOINT BUCKET/PATH ROUNDS [COLUMN…]
"""

import json
import sys
import time

KEY, SECRET, REGION = "test", "testtesttest", "us-east-1"


def pyarrow_reader(endpoint, path, columns):
    import pyarrow.parquet as parquet
    from pyarrow import fs

    scheme, host = endpoint.split("://")
    files = fs.S3FileSystem(
        access_key=KEY, secret_key=SECRET, region=REGION, scheme=scheme, endpoint_override=host
    )
    return lambda: parquet.read_table(path, columns=columns, filesystem=files, pre_buffer=True)


def polars_reader(endpoint, path, columns):
    import polars

    options = {
        "aws_access_key_id": KEY,
        "aws_secret_access_key": SECRET,
        "aws_region": REGION,
        "aws_endpoint_url": endpoint,
        "aws_allow_http": "true",
    }

    def read():
        frame = polars.scan_parquet(f"s3://{path}", storage_options=options)
        return (frame.select(columns) if columns else frame).collect()

    return read


def main():
    library, endpoint, path, rounds, *columns = sys.argv[1:]
    read = {"pyarrow": pyarrow_reader, "polars": polars_reader}[library](endpoint, path, columns or None)
    seconds = []
    for _ in range(int(rounds)):
        start = time.perf_counter()
        table = read()
        seconds.append(time.perf_counter() - start)
    print(json.dumps({"seconds": seconds, "rows": len(table)}))


if __name__ == "__main__":
    main()
