"""Files that people bring: event files of Windows, tables, JSON, bare or packed, read in bounded memory.

A file is read in a process of its own (``python -m monitors.files``): whatever it does to its reader, it does to nobody else.
"""
