"""The fault harness: load with a ledger, a strict far side, a nemesis that kills the hub, and a checker (R1-R9).

`python -m bench faults` is the long campaign; `tests/faults` runs its quick tier.
"""
