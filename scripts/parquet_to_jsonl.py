#!/usr/bin/env python3
"""Writes the rows of a Parquet file as JSON lines, which noregret reads (docs/data.md).

Columns keep their names; nested values become objects and lists. What JSON cannot hold stops with the row and the
column: NaN, infinities, bytes, dates. Leave such columns out with --columns.
"""

import argparse
import gzip
import json
import os
import sys


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("input", nargs="+", help="Parquet files, read one after another")
    parser.add_argument("output", help="OUT.jsonl or OUT.jsonl.gz")
    parser.add_argument("--columns", help="only these, with commas between them", type=lambda text: text.split(","))
    return parser.parse_args()


def line_of(row, place):
    for name, value in row.items():
        try:
            json.dumps(value, allow_nan=False)
        except (TypeError, ValueError) as error:
            sys.exit(f"{place}: column '{name}': {error}; leave it out with --columns")
    return json.dumps(row, ensure_ascii=False) + "\n"


def convert(pyarrow, path, columns, out):
    try:
        parquet = pyarrow.parquet.ParquetFile(path)
    except (OSError, pyarrow.ArrowException) as error:
        sys.exit(f"{path}: {error}")
    unknown = set(columns or []) - set(parquet.schema_arrow.names)
    if unknown:
        sys.exit(f"{path}: no column {', '.join(sorted(unknown))}; there are {', '.join(parquet.schema_arrow.names)}")
    count = 0
    for batch in parquet.iter_batches(batch_size=1000, columns=columns):
        for row in batch.to_pylist():
            count += 1
            out.write(line_of(row, f"{path}: row {count}"))
    return count


def main():
    args = parse_args()
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        sys.exit("pyarrow is missing; install it: python3 -m venv .venv && .venv/bin/pip install pyarrow, then run "
                 "this script with .venv/bin/python")
    aside = args.output + ".part"  # the output is whole or not there
    opened = gzip.open if args.output.endswith(".gz") else open
    try:
        with opened(aside, "wt", encoding="utf-8") as out:
            count = sum(convert(pyarrow, path, args.columns, out) for path in args.input)
        os.replace(aside, args.output)
    except (OSError, pyarrow.ArrowException) as error:
        sys.exit(str(error))
    finally:
        if os.path.exists(aside):
            os.remove(aside)
    print(f"{args.output}: {count} rows", file=sys.stderr)


if __name__ == "__main__":
    main()
