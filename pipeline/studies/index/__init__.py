"""What an archive holds, from headers alone: scanned, grouped into series, kept in a catalogue.

Reads headers with the readers' own functions, so that a scan and an audit agree.
"""
