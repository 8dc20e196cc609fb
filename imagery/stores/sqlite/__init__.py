"""The stores in one SQLite file, for one machine: any number of threads and processes."""
