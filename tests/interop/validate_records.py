"""Validates records against the JSON Schema.

    python validate_records.py SCHEMA.json GOOD.jsonl BAD.json

Every line of GOOD.jsonl must be valid. BAD.json: [{"why", "record"}]; none of its records may be.
"""

import json
import sys

from jsonschema import Draft202012Validator


def main(schema_file: str, good_file: str, bad_file: str) -> int:
    with open(schema_file, encoding="utf-8") as file:
        schema = json.load(file)
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    with open(good_file, encoding="utf-8") as file:
        good = [json.loads(line) for line in file]
    with open(bad_file, encoding="utf-8") as file:
        bad = json.load(file)
    failures = 0
    for record in good:
        for error in validator.iter_errors(record):
            failures += 1
            causes = "; ".join(f"{cause.json_path}: {cause.message}" for cause in error.context or [error])
            print(f"refused, though it is valid: {json.dumps(record)[:400]}\n    {causes}")
    for example in bad:
        if validator.is_valid(example["record"]):
            failures += 1
            print(f"accepted, though it is not valid: {example['why']}")
    if not good or not bad:
        failures += 1
        print("there must be good and bad examples")
    print(f"{len(good)} good and {len(bad)} bad records, {failures} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
