"""What is: questions about a host that know how to read their own answer."""
