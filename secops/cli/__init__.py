"""The command line. A command's module is loaded only when it is asked for, so that offline commands start at once."""
