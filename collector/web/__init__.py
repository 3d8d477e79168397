"""A small HTTP server for pages that programs read: TLS and users by a web configuration file."""
