"""Cluster DNS: BIND answers for the cluster's domain and forwards the rest; a watcher feeds it by RFC 2136 updates."""
