"""What the end-to-end tests share: a real server each run owns, AWS clients for it, and bounded waits."""
