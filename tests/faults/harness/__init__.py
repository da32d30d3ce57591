"""Breaks a scripted run at random moments in every way listed, resumes it, and checks that nothing is lost.

`python -m tests.faults.harness --help` says how; `docs/reliability.md` has what it found.
"""
