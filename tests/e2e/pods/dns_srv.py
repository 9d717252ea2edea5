"""Ask for the SRV records of a name: dns_srv.py NAME prints a JSON list of [port, target]. Uses dnspython."""

import json
import sys

import dns.resolver

answer = dns.resolver.resolve(sys.argv[1], "SRV", lifetime=5)
sys.stdout.write(json.dumps(sorted((row.port, row.target.to_text()) for row in answer)))
