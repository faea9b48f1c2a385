"""The chain of custody: the ledger's signed entries, the site's key, which files an entry vouches for.

May import errors, the file lock and the library that signs. No type of a finding: whatever is entered is a mapping, and
whatever is vouched for is bytes.
"""
