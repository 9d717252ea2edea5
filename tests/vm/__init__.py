"""Infrastructure in an emulated computer with Debian's own kernel: modules to load, cgroup v2 alone."""
