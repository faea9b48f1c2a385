"""What an archive holds, from headers alone: scanned, grouped into series, kept in a catalogue.

May import errors, pseudonyms, the checks that the readers of images make of a header (so that a scan and an audit
agree), the listing, and worker processes. Decodes no voxel.
"""
