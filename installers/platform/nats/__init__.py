"""The nats component."""
