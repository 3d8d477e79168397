"""Backups: what runs in the container (`runner`), and what is known of the backups made."""
