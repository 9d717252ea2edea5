"""Fetch a URL and print what came: fetch.py URL."""

import sys
import urllib.request

with urllib.request.urlopen(sys.argv[1], timeout=10) as answer:  # noqa: S310 (the test's own URL)
    sys.stdout.write(answer.read().decode())
