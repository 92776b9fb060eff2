"""A run's folder before the run begins or continues: whose it is, its inputs, and how it diverged."""
