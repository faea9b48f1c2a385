"""When an audit runs by itself: by the clock, on arrival, and how a schedule ends.

May import the flow and what it is made of, and Prefect. ``firing`` and ``arrival`` alone load no Prefect; nothing here
knows how a run is worked.
"""
