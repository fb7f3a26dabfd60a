"""Models, servers, load and tables of the benchmarks."""
