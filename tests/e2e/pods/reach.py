"""What a pod reaches: reach.py OUTSIDE-NAME URL... prints as JSON what went wrong, by name or URL; {} is good.

A URL of any answer counts, a refusal by the API included: it is the way there that is asked about.
"""

import json
import socket
import ssl
import sys
import urllib.error
import urllib.request
from contextlib import suppress

outside, *urls = sys.argv[1:]
wrong = {}
for name in (outside, "kubernetes.default.svc.cluster.local"):
    try:
        socket.getaddrinfo(name, 80)
    except OSError as failure:
        wrong[name] = str(failure)
# The cluster's authority is not in a pod without a service account.
context = ssl._create_unverified_context()  # noqa: S323
for url in urls:
    try:
        with suppress(urllib.error.HTTPError), urllib.request.urlopen(url, timeout=5, context=context):  # noqa: S310
            pass
    except OSError as failure:
        wrong[url] = str(failure)
json.dump(wrong, sys.stdout)
