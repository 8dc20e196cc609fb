"""Bytes by key, in files or in S3: one client opens both."""
