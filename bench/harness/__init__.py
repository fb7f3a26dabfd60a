"""Subjects, servers, load and table of the benchmark against peers."""
